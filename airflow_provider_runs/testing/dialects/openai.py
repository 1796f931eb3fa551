"""What OpenAI's dialects have in common."""

from __future__ import annotations

import secrets
import string
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from starlette.responses import JSONResponse

from airflow_provider_runs.testing.dialects.base import Dialect, key_of
from airflow_provider_runs.testing.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.responses import Response

    from airflow_provider_runs.testing.endpoints import ServedRequest
    from airflow_provider_runs.testing.json_types import JsonMapping, JsonObject

__all__ = ["OpenAI", "new_id"]

_ALPHABET = string.ascii_letters + string.digits


@dataclass(frozen=True)
class OpenAI(Dialect, abstract=True):
    """Has error envelopes, keys as bearer tokens or in ``api-key``, and metadata of strings."""

    prefixes: ClassVar[Sequence[str]] = ("", "/v1")

    def check_request(self, request: ServedRequest, api_key: str | None) -> None:
        """Check that a request has the server's key, or any if the server has none."""
        key = key_of(request, "api-key")
        if not key:
            raise ApiError(401, "You didn't provide an API key.", code="invalid_api_key")
        if api_key not in {None, key}:
            raise ApiError.of_status(401)

    def refusal(self, error: ApiError) -> Response:
        """Return the response to an error: its envelope."""
        return JSONResponse(error.envelope(), error.status_code)

    def no_route(self, status: int, method: str, path: str) -> ApiError:
        """Return OpenAI's error."""
        if status == 405:
            return ApiError(405, f"Not allowed: {method} {path}", code="method_not_supported")
        return ApiError(404, f"Invalid URL ({method} {path})")

    def metadata(self, body: JsonMapping) -> JsonObject:
        """Return the ``metadata`` of a body; an empty one without it.

        :raises ApiError: if it is no object, or has other values than strings.
        """
        metadata = super().metadata(body)
        if not all(isinstance(value, str) for value in metadata.values()):
            message = "Invalid type for 'metadata': expected an object with string values."
            raise self.invalid("metadata", message, "invalid_type")
        return metadata

    def check_prefix(self, param: str, value: str, prefix: str) -> None:
        """Check that an id begins as those of its kind do.

        :param param: the parameter that has the id.
        :param value: the id.
        :param prefix: how it begins, up to the ``_``.
        :raises ApiError: if it does not.
        """
        if not value.startswith(f"{prefix}_"):
            message = f"Invalid '{param}': '{value}'. Expected an ID that begins with '{prefix}'."
            raise self.invalid(param, message, "invalid_value")


def new_id(prefix: str) -> str:
    """Return a fresh id as OpenAI's are: the prefix, ``_`` and 24 letters and digits."""
    return f"{prefix}_{''.join(secrets.choice(_ALPHABET) for _ in range(24))}"
