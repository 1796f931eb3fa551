"""LangGraph Agent Server: LangGraph Platform, ``langgraph dev``, Aegra.

Servers of this family answer a cancel in many ways: 202 or 204 without a body, 200 with a run or
with ``{}``, and a repeated one with 404, 202 or 200. So the run is always fetched after a cancel,
and its status decides.

Source: https://docs.langchain.com/langsmith/server-api-ref and a real server (api 0.16.7).
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal
from uuid import UUID

from pydantic import Field

from airflow_provider_runs.backends.base import Backend
from airflow_provider_runs.backends.wire import CANCEL_REFUSED, PAGE_SIZE, ROLLBACK, Call, Page
from airflow_provider_runs.connections.fields import ConnectionOptions
from airflow_provider_runs.connections.forms import ConnectionForm
from airflow_provider_runs.run_ref import RunRef

if TYPE_CHECKING:
    from airflow_provider_runs.backends.wire import Answer
    from airflow_provider_runs.plain_json import JsonObject

__all__ = ["LangGraphBackend"]

#: The statuses of this API, mapped onto those of ``Run``; any other word is kept as it is.
_STATUSES = MappingProxyType(
    {
        "pending": "queued",
        "running": "in_progress",
        "success": "completed",
        "error": "failed",
        "timeout": "expired",
        "interrupted": "cancelled",
    }
)
#: The field of ``Run`` for the time at which it ended; this API has only ``updated_at``.
_ENDED_AT = {"success": "completed_at", "error": "failed_at", "interrupted": "cancelled_at"}
_ACTIONS = ("interrupt", ROLLBACK)


class LangGraphOptions(ConnectionOptions):
    """The options of a connection to such a server."""

    key_header: Literal["x-api-key", "bearer"] = Field(
        default="x-api-key",
        title="Key is sent as",
        description="x-api-key: an 'x-api-key' header; bearer: 'Authorization: Bearer …'.",
    )
    cancel_action: Literal["interrupt", "rollback"] = Field(
        default="interrupt",
        title="Cancel action",
        description=(
            "interrupt: stop the run and keep it; rollback: also delete it and its changes to "
            "its thread."
        ),
    )


class LangGraphBackend(Backend):
    """Agent Server: ``/threads/{thread_id}/runs/{run_id}``."""

    id_field = "run_id"
    no_run = RunRef(str(UUID(int=0)), str(UUID(int=0)))
    statuses = _STATUSES
    form = ConnectionForm(
        conn_type="runs_langgraph",
        label="Runs: LangGraph Agent Server",
        default_base_url=None,
        placeholders={"host": "https://my-agents.us.langgraph.app", "port": "443"},
        options=LangGraphOptions,
    )
    options: LangGraphOptions

    def headers(self) -> dict[str, str]:
        """Return the header with the key, if the connection has one."""
        key = self.settings.key
        if not key:
            return {}
        if self.options.key_header == "bearer":
            return {"Authorization": f"Bearer {key}"}
        return {"x-api-key": key}

    def get(self, ref: RunRef) -> Call:
        """Return ``GET /threads/{thread_id}/runs/{run_id}``."""
        return Call(f"get {ref}", "GET", self._path(ref), ref)

    def cancel_action(self, wanted: str | None) -> str:
        """Return ``interrupt`` or ``rollback``.

        :param wanted: either of them; ``None`` for the connection's.
        :raises RunsConfigError: if it is another word.
        """
        action = self.options.cancel_action if wanted is None else wanted
        if action not in _ACTIONS:
            raise self._config_error(
                f"cancel_action must be one of {', '.join(map(repr, _ACTIONS))}, not {wanted!r}"
            )
        return action

    def cancel(self, ref: RunRef, action: str | None = None) -> Call:
        """Return ``POST /threads/{thread_id}/runs/{run_id}/cancel?wait=0&action=…``.

        Both parameters are always sent: older servers fail without them.
        """
        return Call(
            f"cancel {ref}",
            "POST",
            f"{self._path(ref)}/cancel",
            ref,
            params={"wait": 0, "action": self.cancel_action(action)},
            judged=CANCEL_REFUSED,
        )

    def list_runs(self, thread_id: str, cursor: str | None, limit: int = PAGE_SIZE) -> Call:
        """Return ``GET /threads/{thread_id}/runs``, newest first."""
        return Call(
            f"list the runs of thread {thread_id!r}",
            "GET",
            f"/threads/{self._uuid('thread_id', thread_id)}/runs",
            params={"limit": limit, "offset": int(cursor or 0)},
            thread_id=thread_id,
        )

    def busy_threads(self, cursor: str | None) -> Call:
        """Return ``POST /threads/search`` for busy threads, a hundred at a time."""
        return Call(
            "search the busy threads",
            "POST",
            "/threads/search",
            json={"status": "busy", "limit": PAGE_SIZE, "offset": int(cursor or 0)},
            has_ids=False,
        )

    def probe(self) -> Call:
        """Return ``POST /assistants/search``, limit 1: it needs the key and changes nothing."""
        return Call(
            "search the assistants", "POST", "/assistants/search", json={"limit": 1}, has_ids=False
        )

    def read_probe(self, answer: Answer) -> None:
        """Check that the answer is an array of assistants."""
        _read_array(answer.body())

    def landmark(self) -> Call:
        """Return ``GET /ok``, which answers even without a key."""
        return Call("ask the server for its health", "GET", "/ok", has_ids=False)

    def read_landmark(self, answer: Answer) -> None:
        """Check for ``{"ok": true}``."""
        body = answer.body()
        if not isinstance(body, dict) or body.get("ok") is not True:
            raise ValueError("it does not say that it is well")

    def run_fields(self, body: JsonObject) -> JsonObject:
        """Return a run's fields, without ``kwargs``.

        ``kwargs`` repeats what the run was started with, sometimes including credentials.
        """
        run = {name: value for name, value in body.items() if name not in {"run_id", "kwargs"}}
        word = body.get("status")
        if isinstance(word, str) and word in _ENDED_AT:
            run[_ENDED_AT[word]] = body.get("updated_at")
        return {**run, "id": body.get("run_id")}

    def read_cancel(self, answer: Answer, ref: RunRef) -> None:
        """Return ``None``: the run is fetched, since most answers do not hold it.

        :raises ValueError: if the answer is neither empty, nor an empty object, nor the run.
        """
        body = answer.body() if answer.content.strip() else {}
        if not isinstance(body, dict) or (body and body.get("status") is None):
            raise ValueError("it is neither empty nor a run")
        if body and not self.same_run(str(body.get(self.id_field)), body, ref):
            raise ValueError("it is another object")

    def read_page(self, body: object, cursor: str | None, limit: int = PAGE_SIZE) -> Page[object]:
        """Read an array of runs. After a full page there may be another."""
        runs = _read_array(body)
        return Page(runs, _next_cursor(len(runs), cursor, limit))

    def read_threads(self, body: object, cursor: str | None) -> Page[str]:
        """Read an array of threads. After a full page there may be another."""
        threads = [str(item["thread_id"]) for item in _read_array(body) if "thread_id" in item]
        return Page(threads, _next_cursor(len(threads), cursor, PAGE_SIZE))

    def _path(self, ref: RunRef) -> str:
        thread = self._uuid("thread_id", ref.thread_id, ref)
        return f"/threads/{thread}/runs/{self._uuid('run_id', ref.run_id, ref)}"

    def _uuid(self, name: str, value: Any, ref: RunRef | None = None) -> str:
        text = self._segment(name, value, ref)
        try:
            UUID(text)
        except ValueError:
            raise self._config_error(
                f"{name} {value!r} is not a UUID, as this API's ids are: check the task that "
                "provides it",
                ref,
            ) from None
        return text


def _read_array(body: object) -> list[Any]:
    if not isinstance(body, list) or not all(isinstance(item, dict) for item in body):
        raise ValueError("it is not a list")
    return body


def _next_cursor(count: int, cursor: str | None, limit: int) -> str | None:
    return str(int(cursor or 0) + count) if count >= limit else None
