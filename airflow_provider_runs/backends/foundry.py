"""Azure AI Foundry Agent Service, classic: the Assistants wire with Entra ID tokens.

Source: https://learn.microsoft.com/azure/ai-foundry/agents/ (as of 2026) and the published
``azure-ai-agents`` SDK. Microsoft serves it until 2027-03-31.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from airflow_provider_runs.backends.assistants import AssistantsBackend
from airflow_provider_runs.backends.credentials import EntraID
from airflow_provider_runs.connections.forms import COMMON_FIELDS, ConnectionForm, field
from airflow_provider_runs.connections.settings import is_url

if TYPE_CHECKING:
    from airflow_provider_runs.connections.settings import Settings

__all__ = ["FoundryBackend"]


class FoundryBackend(AssistantsBackend):
    """Foundry classic: a project's ``/threads/{thread_id}/runs/{run_id}``."""

    form = ConnectionForm(
        conn_type="runs_foundry",
        label="Runs: Azure AI Foundry Agents",
        hook_class="airflow_provider_runs.hooks.FoundryRunsHook",
        default_base_url=None,
        placeholders={
            "host": "https://RESOURCE.services.ai.azure.com/api/projects/PROJECT",
            "port": "443",
        },
        key_label="API key or client secret",
        fields={
            "credential": field(
                "Credential",
                "string",
                "default: what azure-identity finds; client_secret: tenant, client and secret; "
                "managed_identity, workload_identity: of the machine or pod; api_key: no token.",
                default="default",
                enum=[
                    "default",
                    "client_secret",
                    "managed_identity",
                    "workload_identity",
                    "api_key",
                ],
            ),
            "tenant_id": field("Tenant id", "string", "Of client_secret and workload_identity."),
            "client_id": field(
                "Client id",
                "string",
                "Of client_secret; of the others where the machine has several identities.",
            ),
            "authority": field(
                "Authority",
                "string",
                "Where tokens come from, in a sovereign cloud: https://login.microsoftonline.us.",
            ),
            "scope": field(
                "Scope", "string", "What tokens are for.", default="https://ai.azure.com/.default"
            ),
            "api_version": field(
                "API version", "string", "Sent as the query 'api-version'.", default="v1"
            ),
            **COMMON_FIELDS,
        },
    )

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        options, key = settings.options, settings.key
        kind = options["credential"]
        wants_key = kind in {"api_key", "client_secret"}
        needed = {"password": key} if wants_key else {}
        if kind == "client_secret":
            needed |= {name: options[name] for name in ("tenant_id", "client_id")}
        if missing := [name for name, value in needed.items() if not value]:
            raise self._config_error(f"credential {kind!r} needs {' and '.join(missing)} too")
        if key and not wants_key:
            raise self._config_error(
                f"there is a password, which credential {kind!r} does not use: empty it, or choose "
                "'api_key' or 'client_secret'"
            )
        if options["authority"] and not is_url(options["authority"], ("https",)):
            raise self._config_error("the authority must be an https URL")

    def headers(self) -> dict[str, str]:
        """Return the header of an API key, if the connection has one."""
        by_key = self.settings.options["credential"] == "api_key"
        return {"api-key": self.settings.key} if by_key else {}

    @cached_property
    def credential(self) -> EntraID | None:
        """The connection's identity, unless there is an API key."""
        by_key = self.settings.options["credential"] == "api_key"
        return None if by_key else EntraID(self.settings)
