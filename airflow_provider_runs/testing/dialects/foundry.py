"""Azure AI Foundry Agent Service, classic."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from airflow_provider_runs.testing.dialects.assistants import Assistants
from airflow_provider_runs.testing.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow_provider_runs.testing.endpoints import ServedRequest


__all__ = ["Foundry"]


@dataclass(frozen=True)
class Foundry(Assistants):
    """Speaks Assistants below ``/api/projects/{project}``, with an ``api-version`` in the query.

    Every project will do, and every version.
    """

    name: ClassVar[str] = "foundry"
    prefixes: ClassVar[Sequence[str]] = ("/api/projects/{project}",)
    base_path: ClassVar[str] = "/api/projects/demo"
    extra: ClassVar[Mapping[str, object]] = {"credential": "api_key"}
    start_requests: ClassVar[Sequence[tuple[str, str]]] = tuple(
        (f"{path}?api-version=v1", body) for path, body in Assistants.start_requests
    )

    def check_request(self, request: ServedRequest, api_key: str | None) -> None:
        """Check that a request has a key, and an API version."""
        super().check_request(request, api_key)
        if not request.query.get("api-version"):
            message = "The api-version query parameter (?api-version=) is required."
            raise ApiError(400, message, param="api-version", code="MissingApiVersionParameter")
