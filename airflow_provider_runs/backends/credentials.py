"""Which credential a request wants, beside a key in a header. Who fetches it is not said here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_provider_runs.connections.settings import Settings

__all__ = ["EntraID"]


@dataclass(frozen=True, eq=False)
class EntraID:
    """A token of Entra ID, for the identity that a connection names.

    :param settings: the connection's, with the fields of ``backends.foundry``.
    """

    settings: Settings
