"""The credentials of backends, other than a key in a header. Tokens are fetched elsewhere."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from airflow_provider_runs.connections.settings import Settings

__all__ = ["EntraID"]


@dataclass(frozen=True, eq=False)  # compared by identity: it is the key of a cache
class EntraID:
    """An Entra ID identity, and the tokens that a backend wants of it.

    :param settings: the connection's settings. Its key is the client secret; its proxy,
        certificates and timeout also apply to the requests for tokens.
    :param kind: how the identity is proven; ``default`` is whatever ``azure-identity`` finds.
    :param tenant_id: the tenant, if the kind needs one.
    :param client_id: the client, or which identity of a machine to use.
    :param authority: the authority that issues tokens; ``None`` for the public cloud's.
    :param scope: the scope of the tokens.
    """

    settings: Settings = field(repr=False)
    kind: Literal["default", "client_secret", "managed_identity", "workload_identity"]
    tenant_id: str | None
    client_id: str | None
    authority: str | None
    scope: str
