"""What the APIs in OpenAI's style share: the key and the API version."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from airflow_provider_runs.backends.base import Backend
from airflow_provider_runs.connections.fields import ConnectionOptions, Text

__all__ = ["OpenAIBackend", "OpenAIOptions"]


class OpenAIOptions(ConnectionOptions):
    """The options of a connection to such a server."""

    key_header: Literal["bearer", "api-key"] = Field(
        default="bearer",
        title="Key is sent as",
        description="bearer: 'Authorization: Bearer …'; api-key: an 'api-key' header.",
    )
    organization: Text = Field(
        default=None, title="Organization", description="Sent as 'OpenAI-Organization'."
    )
    project: Text = Field(default=None, title="Project", description="Sent as 'OpenAI-Project'.")
    api_version: Text = Field(
        default=None,
        title="API version",
        description="Sent as the query parameter 'api-version', if the server needs one.",
    )


class OpenAIBackend(Backend):
    """An API in OpenAI's style; the connection holds the key, organization and API version."""

    options: OpenAIOptions

    def headers(self) -> dict[str, str]:
        """Return the headers with the key, the organization and the project."""
        options, key = self.options, self.settings.key
        bearer = options.key_header == "bearer"
        headers = {
            "Authorization": f"Bearer {key}" if key and bearer else "",
            "api-key": "" if bearer else key,
            "OpenAI-Organization": options.organization,
            "OpenAI-Project": options.project,
        }
        return {name: value for name, value in headers.items() if value}

    def params(self) -> dict[str, str]:
        """Return the API version, if the connection has one."""
        version = self.options.api_version
        return {"api-version": version} if version else {}
