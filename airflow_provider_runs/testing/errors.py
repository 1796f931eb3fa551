"""The OpenAI error envelope, as an exception."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_provider_runs.testing.json_types import JsonObject


__all__ = ["ApiError"]


class ApiError(Exception):
    """What the server answers in place of an object; ``RunServer``'s own methods raise it too.

    :param status_code: the HTTP status.
    :param message: the text that a person reads.
    :param error_type: the envelope's ``type``.
    :param param: the request's parameter that is at fault, if one is.
    :param code: the machine-readable reason, if there is one.
    """

    def __init__(
        self,
        status_code: int,
        message: str,
        *,
        error_type: str = "invalid_request_error",
        param: str | None = None,
        code: str | None = None,
    ) -> None:
        super().__init__(message)
        self.status_code = status_code
        self.message = message
        self.error_type = error_type
        self.param = param
        self.code = code

    @classmethod
    def of_status(cls, status_code: int) -> ApiError:
        """Return the error that OpenAI sends with a status, for faults that give no body."""
        if status_code == 401:
            return cls(status_code, "Incorrect API key provided.", code="invalid_api_key")
        if status_code == 429:
            message = "Rate limit reached for requests. Please try again later."
            return cls(status_code, message, error_type="requests", code="rate_limit_exceeded")
        if status_code >= 500:
            message = "The server had an error while processing your request. Sorry about that!"
            return cls(status_code, message, error_type="server_error")
        return cls(status_code, f"The request was refused with status {status_code}.")

    def envelope(self) -> JsonObject:
        """Return the error as the body of an answer."""
        error = {
            "message": self.message,
            "type": self.error_type,
            "param": self.param,
            "code": self.code,
        }
        return {"error": error}
