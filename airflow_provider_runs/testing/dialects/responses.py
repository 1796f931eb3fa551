"""OpenAI's Responses API, in background mode.

Source: https://platform.openai.com/docs/api-reference/responses (as of 2026).
"""

from __future__ import annotations

import math
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, get_args

from airflow_provider_runs.testing.dialects.base import check_choice
from airflow_provider_runs.testing.dialects.openai import OpenAI
from airflow_provider_runs.testing.dialects.responses_json import response_json, word_of
from airflow_provider_runs.testing.endpoints import Endpoint
from airflow_provider_runs.testing.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_provider_runs.testing.endpoints import Reply, ServedRequest
    from airflow_provider_runs.testing.json_types import JsonMapping, JsonObject
    from airflow_provider_runs.testing.views import RunView

__all__ = ["CancelAgain", "CancelFinal", "ClientIds", "Responses"]

#: The values of the switches; ``Responses`` says what they mean.
CancelFinal = Literal[400, 409, 200]
CancelAgain = Literal[200, 400, 409]
ClientIds = Literal["none", "request_id", "x-agent-response-id"]


@dataclass(frozen=True)
class Responses(OpenAI):
    """Speaks OpenAI Responses, at ``/...`` and at ``/v1/...``. Its runs are responses.

    Those that are created over HTTP without ``background`` are answered at once as well, but
    cannot be cancelled.

    :param cancel_final: the HTTP status for a cancel of a response that has ended, but was not
        cancelled: 400 or 409; 200, with the response, unchanged.
    :param cancel_again: the HTTP status for a cancel of one that was cancelled; the same three.
    :param client_ids: where a client may give the id of the response that it starts: ``none``,
        nowhere, and a ``request_id`` is refused; ``request_id``, in that field of the body, as
        vLLM has it; ``x-agent-response-id``, in that header, as Foundry's hosted agents have it.
        An id that exists is refused, with 400 in the body and with 409 in the header.
    :param forget_after: seconds from the end of a response until it is forgotten; ``math.inf``
        for never.
    :raises ValueError: if a switch has another value, or the time is negative.
    """

    cancel_final: CancelFinal = 400
    cancel_again: CancelAgain = 200
    forget_after: float = math.inf
    client_ids: ClientIds = "none"

    name: ClassVar[str] = "responses"
    run_path: ClassVar[str] = "/responses/{run_id}"
    has_threads: ClassVar[bool] = False
    fields: ClassVar[JsonMapping] = {
        "model": "gpt-4o",
        "background": True,
        "instructions": None,
        "metadata": {},
        "max_output_tokens": None,
        "max_tool_calls": None,
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "reasoning": {"effort": None, "summary": None},
        "service_tier": "auto",
        "temperature": 1.0,
        "text": {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "truncation": "disabled",
        "user": None,
    }
    start_requests: ClassVar[Sequence[tuple[str, str]]] = (
        ("/responses", '{"model": "gpt-4o", "input": "Hello", "background": true}'),
    )

    def __post_init__(self) -> None:
        check_choice("cancel_final", self.cancel_final, get_args(CancelFinal))
        check_choice("cancel_again", self.cancel_again, get_args(CancelAgain))
        check_choice("client_ids", self.client_ids, get_args(ClientIds))
        if not self.forget_after >= 0:
            raise ValueError(f"forget_after must be 0 or more seconds, not {self.forget_after}")

    def endpoints(self) -> list[Endpoint]:
        """Return the endpoints for responses, and the list of models."""
        return [
            Endpoint("GET", "/models", self.list_models),
            Endpoint("POST", "/responses", self.create_run),
            Endpoint("GET", self.run_path, self.get_run),
            Endpoint("DELETE", self.run_path, self.delete_run),
            Endpoint("POST", f"{self.run_path}/cancel", self.cancel_run),
        ]

    def run_json(self, run: RunView) -> JsonObject:
        """Return a Response object."""
        return response_json(run)

    def new_id(self, kind: str) -> str:
        """Return ``resp_`` and 48 hexadecimal digits."""
        return f"resp_{secrets.token_hex(24)}"

    def check_id(self, kind: str, value: str) -> None:
        """Check that an id begins with ``resp_``, unless clients may give any."""
        if self.client_ids == "none":
            self.check_prefix("response_id", value, "resp")

    def missing(self, kind: str, value: str) -> ApiError:
        """Return OpenAI's error."""
        return ApiError(404, f"Response with id '{value}' not found.")

    def has_forgotten(self, run: RunView, now: float) -> bool:
        """Return whether a response ended ``forget_after`` seconds ago, or earlier."""
        return not run.is_active and now - run.updated_at >= self.forget_after

    async def list_models(self, request: ServedRequest) -> Reply:
        """Return the one model that is used unless another one is asked for."""
        created = int(request.store.now())
        model = {"id": "gpt-4o", "object": "model", "created": created, "owned_by": "system"}
        return {"object": "list", "data": [model]}

    async def create_run(self, request: ServedRequest) -> Reply:
        """Add a response, with the client's id if it may give one."""
        body = self.body(request)
        self.text(body, "model")
        fields = self.run_fields({**body, "background": body.get("background") is True})
        run_id = self._client_id(request, body)
        run = request.store.create_run(None, fields, run_id=run_id)
        request.record_creation(run.id)
        return response_json(run)

    async def get_run(self, request: ServedRequest) -> Reply:
        """Return a response."""
        return response_json(request.store.run(request["run_id"]))

    async def delete_run(self, request: ServedRequest) -> Reply:
        """Forget a response."""
        request.store.delete_run(request["run_id"])
        return {"id": request["run_id"], "object": "response", "deleted": True}

    async def cancel_run(self, request: ServedRequest) -> Reply:
        """Cancel a response, if it works in the background."""
        if not request.store.run(request["run_id"]).fields["background"]:
            raise ApiError(400, "Cannot cancel a synchronous response.")
        run, accepted = request.store.cancel_run(request["run_id"])
        if accepted:
            request.record_cancel(run.id)
        elif not run.is_active:
            self._check_repeat(run)
        return response_json(run)

    def _client_id(self, request: ServedRequest, body: JsonMapping) -> str | None:
        """Return the id that a client gives its response; ``None`` if it gives none.

        :raises ApiError: if it may not give one, or if there is a response with that id.
        """
        if self.client_ids == "x-agent-response-id":
            given = request.headers.get(self.client_ids) or None
            if given and request.store.has_run(given):
                raise ApiError(409, f"Response with id '{given}' already exists.")
            return given
        if self.client_ids == "none" and "request_id" in body:
            message = "Unknown parameter: 'request_id'."
            raise self.invalid("request_id", message, "unknown_parameter")
        if body.get("request_id") is None:
            return None
        given = self.text(body, "request_id")
        if request.store.has_run(given):
            raise self.invalid("request_id", "request id already exists")
        return given

    def _check_repeat(self, run: RunView) -> None:
        answer = self.cancel_again if run.status == "cancelled" else self.cancel_final
        if answer != 200:
            raise ApiError(answer, f"Cannot cancel a {word_of(run)} response.")
