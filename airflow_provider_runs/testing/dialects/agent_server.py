"""What the servers of LangGraph's family have in common."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from starlette.responses import Response

from airflow_provider_runs.testing.dialects.base import Dialect, key_of
from airflow_provider_runs.testing.dialects.langgraph_json import assistant_json, run_json
from airflow_provider_runs.testing.dialects.langgraph_state import state_json, states_json
from airflow_provider_runs.testing.dialects.langgraph_threads import thread_json
from airflow_provider_runs.testing.endpoints import Endpoint
from airflow_provider_runs.testing.errors import ApiError
from airflow_provider_runs.testing.scripts import FINAL

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_provider_runs.testing.endpoints import Reply, ServedRequest
    from airflow_provider_runs.testing.json_types import JsonMapping, JsonObject
    from airflow_provider_runs.testing.views import RunView

__all__ = ["AgentServer"]

#: What a body has for the graph; a run shows it as its ``kwargs``.
_KWARGS = ("input", "command", "config", "context")


@dataclass(frozen=True)
class AgentServer(Dialect, abstract=True):
    """Has threads and runs with UUIDs, and asks for a key only if the server has one."""

    #: A run that asks a person has ended: the answer begins another one.
    final: ClassVar[frozenset[str]] = FINAL | {"requires_action"}
    invalid_status: ClassVar[int] = 422
    fields: ClassVar[JsonMapping] = {
        "assistant_id": "agent",
        "metadata": {},
        "kwargs": {},
        "multitask_strategy": "enqueue",
    }
    start_requests: ClassVar[Sequence[tuple[str, str]]] = (
        ("/threads", "{}"),
        ("/threads/THREAD_ID/runs", '{"assistant_id": "agent", "input": {}}'),
    )

    def endpoints(self) -> list[Endpoint]:
        """Return the endpoints for threads and runs, and for the server's health."""
        thread, run = "/threads/{thread_id}", self.run_path
        return [
            Endpoint("GET", "/ok", self.get_ok, is_open=True),
            Endpoint("GET", "/info", self.get_info, is_open=True),
            Endpoint("POST", "/assistants/search", self.search_assistants),
            Endpoint("POST", "/threads", self.create_thread),
            Endpoint("POST", "/threads/search", self.search_threads),
            Endpoint("GET", thread, self.get_thread),
            Endpoint("DELETE", thread, self.delete_thread),
            Endpoint("GET", f"{thread}/state", self.get_state),
            Endpoint("POST", f"{thread}/history", self.list_states),
            Endpoint("POST", f"{thread}/runs", self.create_run),
            Endpoint("GET", f"{thread}/runs", self.list_runs),
            Endpoint("GET", run, self.get_run),
            Endpoint("DELETE", run, self.delete_run),
        ]

    def check_request(self, request: ServedRequest, api_key: str | None) -> None:
        """Check that a request has the server's key, if the server has one."""
        key = key_of(request, "x-api-key")
        if api_key is not None and not key:
            raise ApiError(403, "Missing authentication headers")
        if api_key not in {None, key}:
            raise ApiError(401, "Invalid API key")

    def run_json(self, run: RunView) -> JsonObject:
        """Return a run."""
        return run_json(run)

    def new_id(self, kind: str) -> str:
        """Return a UUID."""
        return str(uuid.uuid4())

    def check_id(self, kind: str, value: str) -> None:
        """Check that an id is a UUID."""
        try:
            uuid.UUID(value)
        except ValueError:
            raise self.invalid(f"{kind}_id", f"Invalid {kind} ID: must be a UUID") from None

    def missing(self, kind: str, value: str) -> ApiError:
        """Return the error of a real server, which names no run (seen with api 0.16.7)."""
        return ApiError(404, "Not Found" if kind == "run" else f"Thread with ID {value} not found")

    def blocked(self, thread_id: str, run_id: str) -> ApiError:
        """Return the error of a real server, which names no run (seen with api 0.16.7)."""
        message = "Thread is already running a task. Wait for it to finish or choose a different"
        return ApiError(409, f"{message} multitask strategy.")

    def no_route(self, status: int, method: str, path: str) -> ApiError:
        """Return Starlette's error: the real server is built on it as well."""
        return ApiError(status, "Not Found" if status == 404 else "Method Not Allowed")

    async def get_ok(self, _request: ServedRequest) -> Reply:
        """Say that the server is well."""
        return {"ok": True}

    async def get_info(self, _request: ServedRequest) -> Reply:
        """Return the version of the server that this one imitates."""
        return {"version": "0.16.7", "flags": {"assistants": True, "crons": False}}

    async def search_assistants(self, request: ServedRequest) -> Reply:
        """Return the one assistant that every server has."""
        return _page(
            [assistant_json("agent", request.store.now())], self._numbers(self.body(request))
        )

    async def create_thread(self, request: ServedRequest) -> Reply:
        """Add a thread; one that exists is an error, or is returned if the body says so."""
        body = self.body(request)
        thread_id = body.get("thread_id")
        if thread_id is not None and request.store.has_thread(self.text(body, "thread_id")):
            if body.get("if_exists") != "do_nothing":
                raise ApiError(409, f"Thread with ID {thread_id} already exists")
            return thread_json(request.store.thread(thread_id))
        return thread_json(request.store.create_thread(self.metadata(body), thread_id))

    async def search_threads(self, request: ServedRequest) -> Reply:
        """Return a page of the threads that the body asks for, the last changed first."""
        body = self.body(request)
        numbers, status = self._numbers(body), body.get("status")
        ids = None if body.get("ids") is None else self.ids("thread", body["ids"])
        metadata = self.metadata(body)
        newest_first = request.store.threads()[::-1]
        newest_first.sort(key=lambda thread: thread.updated_at, reverse=True)
        found = [
            thread
            for thread in map(thread_json, newest_first)
            if status in {None, thread["status"]}
            and (ids is None or thread["thread_id"] in ids)
            and _matches(thread, metadata)
        ]
        return _page(found, numbers)

    async def get_thread(self, request: ServedRequest) -> Reply:
        """Return a thread."""
        return thread_json(request.store.thread(request["thread_id"]))

    async def delete_thread(self, request: ServedRequest) -> Reply:
        """Forget a thread and its runs."""
        request.store.delete_thread(request["thread_id"])
        return Response(status_code=204)

    async def get_state(self, request: ServedRequest) -> Reply:
        """Return the newest state of a thread."""
        return state_json(request.store.thread(request["thread_id"]))

    async def list_states(self, request: ServedRequest) -> Reply:
        """Return the newest states of a thread, those with the metadata that the body asks for."""
        body = self.body(request)
        numbers, metadata = self._numbers({"limit": 1, **body}), self.metadata(body)
        states = states_json(request.store.thread(request["thread_id"]))
        return _page([each for each in states if _matches(each, metadata)], numbers)

    async def create_run(self, request: ServedRequest) -> Reply:
        """Add a run, and its thread if the body says so."""
        thread_id, body = request["thread_id"], self.body(request)
        self.text(body, "assistant_id")
        kwargs = {name: body[name] for name in _KWARGS if name in body}
        fields = self.run_fields({**body, "kwargs": kwargs})
        if body.get("if_not_exists") == "create" and not request.store.has_thread(thread_id):
            request.store.create_thread({}, thread_id)
        alone = fields["multitask_strategy"] == "reject"
        run = request.store.create_run(thread_id, fields, alone=alone)
        request.record_creation(run.id)
        return run_json(run)

    async def list_runs(self, request: ServedRequest) -> Reply:
        """Return a page of a thread's runs, the newest first."""
        runs = [run_json(run) for run in reversed(request.store.thread(request["thread_id"]).runs)]
        status = request.query.get("status")
        chosen = [run for run in runs if status in {None, run["status"]}]
        return _page(chosen, self._numbers(request.query))

    async def get_run(self, request: ServedRequest) -> Reply:
        """Return a run."""
        return run_json(request.store.run(request["run_id"], request["thread_id"]))

    async def delete_run(self, request: ServedRequest) -> Reply:
        """Forget a run."""
        request.store.delete_run(request["run_id"], request["thread_id"])
        return Response(status_code=204)

    def ids(self, kind: str, value: object) -> list[str]:
        """Return a list of ids from a body.

        :param kind: ``thread`` or ``run``.
        :param value: what the body has.
        :raises ApiError: if it is no list of UUIDs.
        """
        if not isinstance(value, list):
            raise self.invalid(f"{kind}_ids", f"Invalid {kind} IDs: must be an array of UUIDs")
        for each in value:
            self.check_id(kind, str(each))
        return value

    def _numbers(self, given: JsonMapping) -> tuple[int, int]:
        """Return how many items a page has at most, and how many come before it."""
        try:
            limit, offset = int(given.get("limit", 10)), int(given.get("offset", 0))
        except (TypeError, ValueError):
            limit, offset = -1, -1
        if not (1 <= limit <= 1000 and offset >= 0):
            raise self.invalid("limit", "limit must be from 1 to 1000, and offset 0 or more")
        return limit, offset


def _page(items: list[JsonObject], numbers: tuple[int, int]) -> list[JsonObject]:
    limit, offset = numbers
    return items[offset : offset + limit]


def _matches(item: JsonObject, metadata: JsonMapping) -> bool:
    """Return whether a thread or a state has all of some metadata."""
    return all(each in item["metadata"].items() for each in metadata.items())
