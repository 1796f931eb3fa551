"""Which credential a request wants, beside a key in a header. Who fetches it is not said here."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from airflow_provider_runs.connections.settings import Settings

__all__ = ["EntraID"]


@dataclass(frozen=True, eq=False)  # one object a backend: what is made of it is kept by it
class EntraID:
    """A token of Entra ID.

    :param settings: the connection's: its key is the client's secret, and its proxy, certificates
        and timeout are those of the token's request too.
    :param kind: how the identity is proven; ``default`` is whatever ``azure-identity`` finds.
    :param tenant_id: the tenant, where the kind wants one.
    :param client_id: the client, or which of a machine's identities.
    :param authority: where tokens come from; ``None`` for the public cloud.
    :param scope: what the token is for.
    """

    settings: Settings = field(repr=False)
    kind: Literal["default", "client_secret", "managed_identity", "workload_identity"]
    tenant_id: str | None
    client_id: str | None
    authority: str | None
    scope: str
