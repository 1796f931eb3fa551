"""What the APIs in OpenAI's style share: the format of errors, the key and the API version."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from airflow_provider_runs.backends.base import Backend
from airflow_provider_runs.connections.fields import ConnectionOptions, Text

__all__ = ["OpenAIBackend", "OpenAIErrors", "OpenAIOptions"]


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


class OpenAIErrors(Backend):
    """An API whose errors have OpenAI's format."""

    def read_error(self, body: object) -> tuple[str, str]:
        """Read ``{"error": {"message", "type", "param", "code"}}``."""
        if not isinstance(body, dict):
            return "", ""
        error = body.get("error") or body.get("detail")  # gateways also send either as text
        if not isinstance(error, dict):
            return str(error or ""), ""
        return str(error.get("message") or ""), str(error.get("code") or error.get("type") or "")

    def knows_route(self, body: object) -> bool:
        """Return whether the body is an error in the format of OpenAI or of a FastAPI server."""
        if not isinstance(body, dict):
            return False
        words, _ = self.read_error(body)
        if isinstance(body.get("error"), dict):
            return not words.startswith("Invalid URL")  # what OpenAI says of an unknown path
        return bool(body.get("detail")) and words != "Not Found"  # what FastAPI says of one


class OpenAIBackend(OpenAIErrors):
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
