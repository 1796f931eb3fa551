"""Azure AI Foundry Agent Service, classic: the Assistants API with Entra ID tokens.

Source: https://learn.microsoft.com/azure/ai-foundry/agents/ (as of 2026) and the published
``azure-ai-agents`` SDK. Microsoft serves it until 2027-03-31.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from airflow_provider_runs.backends.assistants import ThreadRuns
from airflow_provider_runs.backends.credentials import EntraID
from airflow_provider_runs.connections.fields import ConnectionOptions, Text, is_url
from airflow_provider_runs.connections.forms import ConnectionForm

if TYPE_CHECKING:
    from airflow_provider_runs.connections.settings import Settings

__all__ = ["FoundryBackend"]


def _check_https(url: str | None) -> str | None:
    if url and not is_url(url, ("https",)):
        raise PydanticCustomError("field", "that must be an https URL")
    return url


class FoundryOptions(ConnectionOptions):
    """The options of a connection to a Foundry project."""

    credential: Literal[
        "default", "client_secret", "managed_identity", "workload_identity", "api_key"
    ] = Field(
        default="default",
        title="Credential",
        description=(
            "default: whatever azure-identity finds; client_secret: tenant, client and secret; "
            "managed_identity, workload_identity: that of the machine or pod; api_key: no token."
        ),
    )
    tenant_id: Text = Field(
        default=None,
        title="Tenant id",
        description="For client_secret and workload_identity.",
    )
    client_id: Text = Field(
        default=None,
        title="Client id",
        description="For client_secret; for the others if the machine has several identities.",
    )
    authority: Annotated[Text, AfterValidator(_check_https)] = Field(
        default=None,
        title="Authority",
        description=(
            "Where tokens come from in a sovereign cloud, such as https://login.microsoftonline.us."
        ),
    )
    scope: Text = Field(
        default="https://ai.azure.com/.default",
        title="Scope",
        description="The scope of the tokens.",
    )
    api_version: Text = Field(
        default="v1", title="API version", description="Sent as the query 'api-version'."
    )


class FoundryBackend(ThreadRuns):
    """Foundry classic: a project's ``/threads/{thread_id}/runs/{run_id}``."""

    form = ConnectionForm(
        conn_type="runs_foundry",
        label="Runs: Azure AI Foundry Agents",
        default_base_url=None,
        placeholders={
            "host": "https://RESOURCE.services.ai.azure.com/api/projects/PROJECT",
            "port": "443",
        },
        options=FoundryOptions,
        key_label="API key or client secret",
    )
    options: FoundryOptions

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        options, key = self.options, settings.key
        kind = options.credential
        wants_key = kind in {"api_key", "client_secret"}
        needed = {"password": key} if wants_key else {}
        if kind == "client_secret":
            needed |= {"tenant_id": options.tenant_id or "", "client_id": options.client_id or ""}
        if missing := [name for name, value in needed.items() if not value]:
            raise self._config_error(f"Credential {kind!r} also needs {' and '.join(missing)}")
        if key and not wants_key:
            raise self._config_error(
                f"Credential {kind!r} does not use the password: clear it, or choose 'api_key' or "
                "'client_secret'"
            )

    def headers(self) -> dict[str, str]:
        """Return the header with the API key, if the connection uses one."""
        return {"api-key": self.settings.key} if self.options.credential == "api_key" else {}

    def params(self) -> dict[str, str]:
        """Return the API version."""
        version = self.options.api_version
        return {"api-version": version} if version else {}

    @cached_property
    def credential(self) -> EntraID | None:
        """The connection's identity; ``None`` if it uses an API key."""
        options = self.options
        if options.credential == "api_key":
            return None
        return EntraID(
            self.settings,
            kind=options.credential,
            tenant_id=options.tenant_id,
            client_id=options.client_id,
            authority=options.authority,
            scope=options.scope or "",
        )
