"""What the APIs in OpenAI's style share: the key, the API version and the form of an error."""

from __future__ import annotations

from typing import Any

from airflow_provider_runs.backends.base import Backend
from airflow_provider_runs.connections.forms import field

__all__ = ["OPENAI_FIELDS", "OpenAIBackend"]

#: The fields of connections to such a server.
OPENAI_FIELDS: dict[str, dict[str, Any]] = {
    "key_header": field(
        "Key is sent as",
        "string",
        "bearer: 'Authorization: Bearer …'; api-key: an 'api-key' header.",
        default="bearer",
        enum=["bearer", "api-key"],
    ),
    "organization": field("Organization", "string", "Sent as 'OpenAI-Organization'."),
    "project": field("Project", "string", "Sent as 'OpenAI-Project'."),
    "api_version": field(
        "API version",
        "string",
        "Sent as the query 'api-version', where a server wants one.",
    ),
}


class OpenAIBackend(Backend):
    """An API in OpenAI's style."""

    def headers(self) -> dict[str, str]:
        """Return the key's header, the organization's and the project's."""
        options, key = self.settings.options, self.settings.key
        bearer = options["key_header"] == "bearer"
        headers = {
            "Authorization": f"Bearer {key}" if key and bearer else "",
            "api-key": "" if bearer else key,
            "OpenAI-Organization": options["organization"],
            "OpenAI-Project": options["project"],
        }
        return {name: value for name, value in headers.items() if value}

    def params(self) -> dict[str, str]:
        """Return the API version, if the connection names one."""
        version = self.settings.options["api_version"]
        return {"api-version": version} if version else {}

    def read_error(self, body: Any) -> tuple[str, str]:
        """Read ``{"error": {"message", "type", "param", "code"}}``."""
        if not isinstance(body, dict):
            return "", ""
        error = body.get("error") or body.get("detail")  # gateways also send either as text
        if not isinstance(error, dict):
            return str(error or ""), ""
        return str(error.get("message") or ""), str(error.get("code") or error.get("type") or "")

    def knows_route(self, body: Any) -> bool:
        """Return whether the body is an error in the API's form, or in that of a FastAPI server."""
        if not isinstance(body, dict):
            return False
        words, _ = self.read_error(body)
        if isinstance(body.get("error"), dict):
            return not words.startswith("Invalid URL")  # OpenAI's words for a path that it lacks
        return bool(body.get("detail")) and words != "Not Found"  # FastAPI's words for the same
