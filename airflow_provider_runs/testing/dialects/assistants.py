"""OpenAI's Assistants API, v2."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from airflow_provider_runs.testing.dialects.assistants_json import (
    message_json,
    messages_json,
    run_json,
    thread_json,
)
from airflow_provider_runs.testing.dialects.assistants_messages import message_of, messages_of
from airflow_provider_runs.testing.dialects.openai import OpenAI, new_id
from airflow_provider_runs.testing.dialects.pages import list_page
from airflow_provider_runs.testing.endpoints import Endpoint
from airflow_provider_runs.testing.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_provider_runs.testing.endpoints import Reply, ServedRequest
    from airflow_provider_runs.testing.json_types import JsonMapping, JsonObject
    from airflow_provider_runs.testing.views import RunView


__all__ = ["Assistants"]


@dataclass(frozen=True)
class Assistants(OpenAI):
    """Speaks OpenAI's Assistants v2, at ``/...`` and at ``/v1/...``."""

    name: ClassVar[str] = "assistants"
    thread_lock: ClassVar[bool] = True
    fields: ClassVar[JsonMapping] = {
        "assistant_id": "asst_RunsTestingAssistant0000",
        "model": "gpt-4o",
        "instructions": None,
        "tools": [],
        "metadata": {},
        "temperature": 1.0,
        "top_p": 1.0,
        "max_prompt_tokens": None,
        "max_completion_tokens": None,
        "truncation_strategy": {"type": "auto", "last_messages": None},
        "tool_choice": "auto",
        "parallel_tool_calls": True,
        "response_format": "auto",
    }
    start_requests: ClassVar[Sequence[tuple[str, str]]] = (
        ("/threads", "{}"),
        ("/threads/THREAD_ID/runs", '{"assistant_id": "asst_1"}'),
    )

    def endpoints(self) -> list[Endpoint]:
        """Return the endpoints for threads, messages and runs, and the list of assistants."""
        thread, run = "/threads/{thread_id}", self.run_path
        return [
            Endpoint("GET", "/assistants", self.list_assistants),
            Endpoint("POST", "/threads", self.create_thread),
            Endpoint("GET", thread, self.get_thread),
            Endpoint("DELETE", thread, self.delete_thread),
            Endpoint("POST", f"{thread}/messages", self.create_message),
            Endpoint("GET", f"{thread}/messages", self.list_messages),
            Endpoint("POST", f"{thread}/runs", self.create_run),
            Endpoint("GET", f"{thread}/runs", self.list_runs),
            Endpoint("GET", run, self.get_run),
            Endpoint("POST", f"{run}/cancel", self.cancel_run),
            Endpoint("POST", f"{run}/submit_tool_outputs", self.submit_tool_outputs),
        ]

    def run_json(self, run: RunView) -> JsonObject:
        """Return a Run object."""
        return run_json(run)

    def new_id(self, kind: str) -> str:
        """Return the kind, ``_``, and 24 letters and digits."""
        return new_id(kind)

    def check_id(self, kind: str, value: str) -> None:
        """Check that an id begins with its kind."""
        self.check_prefix(f"{kind}_id", value, kind)

    def missing(self, kind: str, value: str) -> ApiError:
        """Return OpenAI's error."""
        return ApiError(404, f"No {kind} found with id '{value}'.")

    async def list_assistants(self, request: ServedRequest) -> Reply:
        """Return an empty list: enough to try a key on."""
        return list_page([], request.query)

    async def create_thread(self, request: ServedRequest) -> Reply:
        """Add a thread, with the messages that the body has."""
        body, store = self.body(request), request.store
        messages = messages_of(self, body, "messages", store.now())
        return thread_json(store.create_thread(self.metadata(body), messages=messages))

    async def get_thread(self, request: ServedRequest) -> Reply:
        """Return a thread."""
        return thread_json(request.store.thread(request["thread_id"]))

    async def delete_thread(self, request: ServedRequest) -> Reply:
        """Forget a thread and its runs."""
        thread_id = request["thread_id"]
        request.store.delete_thread(thread_id)
        return {"id": thread_id, "object": "thread.deleted", "deleted": True}

    async def create_message(self, request: ServedRequest) -> Reply:
        """Add a message."""
        thread_id = request["thread_id"]
        blocking = request.store.blocking_run(thread_id)
        if blocking is not None:
            raise ApiError(
                400, f"Can't add messages to {thread_id} while a run {blocking.id} is active."
            )
        message = message_of(self, self.body(request), request.store.now())
        request.store.add_message(thread_id, message)
        return message_json(message, thread_id)

    async def list_messages(self, request: ServedRequest) -> Reply:
        """Return a page of a thread's messages, or of those that one run has put out."""
        messages = messages_json(request.store.thread(request["thread_id"]))
        run_id = request.query.get("run_id")
        chosen = [message for message in messages if run_id in {None, message["run_id"]}]
        return list_page(chosen, request.query)

    async def create_run(self, request: ServedRequest) -> Reply:
        """Add a run, and before it the messages that the body has for its thread."""
        thread_id, store = request["thread_id"], request.store
        store.thread(thread_id)
        body = self.body(request)
        self.text(body, "assistant_id")
        messages = messages_of(self, body, "additional_messages", store.now())
        run = store.create_run(thread_id, self.run_fields(body), messages=messages)
        request.record_creation(run.id)
        return run_json(run)

    async def list_runs(self, request: ServedRequest) -> Reply:
        """Return a page of a thread's runs."""
        runs = request.store.thread(request["thread_id"]).runs
        return list_page([run_json(run) for run in runs], request.query)

    async def get_run(self, request: ServedRequest) -> Reply:
        """Return a run."""
        return run_json(request.store.run(request["run_id"], request["thread_id"]))

    async def cancel_run(self, request: ServedRequest) -> Reply:
        """Cancel a run; a second cancel is refused, like one of a run that has ended."""
        run, accepted = request.store.cancel_run(request["run_id"], request["thread_id"])
        if not accepted:
            raise ApiError(400, f"Cannot cancel run with status '{run.status}'.")
        request.record_cancel(run.id)
        return run_json(run)

    async def submit_tool_outputs(self, request: ServedRequest) -> Reply:
        """Let a run go on that waits for tool outputs."""
        run = request.store.run(request["run_id"], request["thread_id"])
        outputs = self.body(request).get("tool_outputs")
        if not isinstance(outputs, list) or not all(isinstance(each, dict) for each in outputs):
            message = "Invalid type for 'tool_outputs': expected an array of objects."
            raise self.invalid("tool_outputs", message, "invalid_type")
        return run_json(request.store.submit(run.id, request["thread_id"], outputs))
