"""LangGraph Agent Server: LangGraph Platform, ``langgraph dev``, Aegra.

Servers of this family answer a cancel in many ways: 202 or 204 without a body, 200 with a run or
with ``{}``, and a repeated one with 404, 202 or 200. So the run is always fetched after a cancel,
and its status decides.

Source: https://docs.langchain.com/langsmith/server-api-ref and a real server (api 0.16.7).
"""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal
from uuid import UUID

from pydantic import Field

from airflow_provider_runs.backends.base import Backend
from airflow_provider_runs.backends.wire import (
    CANCEL_REFUSED,
    NO_SUCH,
    PAGE_SIZE,
    ROLLBACK,
    Call,
    Page,
)
from airflow_provider_runs.connections.fields import ConnectionOptions
from airflow_provider_runs.connections.forms import ConnectionForm
from airflow_provider_runs.errors import RunsResponseError, located
from airflow_provider_runs.models import LastError, RequiredAction, epoch
from airflow_provider_runs.plain_json import plain_json
from airflow_provider_runs.run_ref import RunRef, as_uuid, canonical, same_id
from airflow_provider_runs.status import INTERRUPT, NO_ID, RunStatus, same_spelling

if TYPE_CHECKING:
    from airflow_provider_runs.backends.starts import Start
    from airflow_provider_runs.backends.wire import Answer, Exchange
    from airflow_provider_runs.models import Run
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
_ENDED_AT = {"completed": "completed_at", "failed": "failed_at", "cancelled": "cancelled_at"}
_ACTIONS = ("interrupt", ROLLBACK)
#: The strategy with which a thread refuses a second run while the first one is active.
_REJECT = "reject"
#: The statuses in which a run may have stopped for a person: servers differ.
_MAY_WAIT = frozenset({"interrupted", "success"})


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
    vague_404 = True
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
            f"/threads/{self._thread(thread_id)}/runs",
            params={"limit": limit, "offset": int(cursor or 0)},
            thread_id=thread_id,
        )

    def prepared(self, start: Start) -> Start:
        """Check the body of ``POST /threads/{thread_id}/runs``, and put the marks into it.

        Without a thread, it gets one of its own, whose id follows from the key. The server refuses
        a second run on it while the first one is active.
        """
        create = {"if_not_exists": "create"}
        if start.thread_id is not None and not start.on_own_thread:
            self._thread(start.thread_id)
            return self._prepare(start, {}, create)
        own = self._prepare(start, create, {"multitask_strategy": _REJECT})
        return replace(own, thread_id=start.derived_uuid(), on_own_thread=True)

    def start(self, start: Start) -> Exchange[Run]:
        """Start a run with ``POST /threads/{thread_id}/runs``."""
        call = Call(
            f"start a run on thread {start.thread_id!r}",
            "POST",
            f"/threads/{self._thread(start.thread_id)}/runs",
            json=start.sent,
            thread_id=start.thread_id,
            judged=NO_SUCH,
            repeatable=self.may_start_again(start),
        )
        return self._read_started((yield call).body(), start)

    def may_start_again(self, start: Start) -> bool:
        """Return whether the thread is the run's own, and refuses a second run."""
        return start.on_own_thread and start.sent.get("multitask_strategy") == _REJECT

    def has_own_place(self, start: Start) -> bool:
        """Return whether the thread is the run's own."""
        return start.on_own_thread

    def find_started(self, start: Start) -> Exchange[Run | None]:
        """Search the thread's runs for the marks."""
        return (yield from self._find_in_list(start))

    def output(self, ref: RunRef, run: Run) -> Exchange[Any]:
        """Return the values of the thread as the run has left them.

        ``GET /threads/{thread_id}/state`` has those of the thread's last run. If that is another
        one, ``POST /threads/{thread_id}/history`` has the last state that this run has written. It
        may have written none: a run without an input on a finished thread completes at once, and
        leaves the values as they are.
        """
        path, what = self._thread_path(ref), f"get the values of {ref}"
        state = (yield Call(what, "GET", f"{path}/state", ref, holds_result=True)).body()
        if self._wrote(ref, state):
            return state["values"]
        wanted = {"limit": 1, "metadata": {"run_id": canonical(ref.run_id)}}
        call = Call(what, "POST", f"{path}/history", ref, json=wanted, holds_result=True)
        states = _read_array((yield call).body())
        if states and self._wrote(ref, states[0]):
            return states[0]["values"]
        may_be_as_before = run.status is RunStatus.COMPLETED and isinstance(state, dict)
        if may_be_as_before and "values" in state and (yield from self._is_last(ref)):
            return state["values"]
        raise RunsResponseError(
            located(
                "The server has no values of this run: it has written none, or they were removed, "
                "or another run has used its thread since. Give each run a thread of its own.",
                what,
                self.settings.conn_id,
            ),
            conn_id=self.settings.conn_id,
            run_id=ref.run_id,
            thread_id=ref.thread_id,
        )

    def _wrote(self, ref: RunRef, state: object) -> bool:
        """Return whether a state of a thread is what a run has written."""
        if not isinstance(state, dict) or "values" not in state:
            return False
        metadata = state.get("metadata")
        writer = metadata.get("run_id") if isinstance(metadata, dict) else None
        return isinstance(writer, str) and same_id(writer, ref.run_id)

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
        ended_at = _ENDED_AT.get(self.status_of(word)) if isinstance(word, str) else None
        if ended_at:
            run[ended_at] = body.get("updated_at")
        return {**run, "id": body.get("run_id")}

    def read_cancel(self, answer: Answer, ref: RunRef) -> None:
        """Return ``None``: the run is fetched, since most answers do not hold it.

        :raises ValueError: if the answer is neither empty, nor an empty object, nor the run.
        """
        body = answer.body() if answer.content.strip() else {}
        if not isinstance(body, dict) or (body and body.get("status") is None):
            raise ValueError("it is neither empty nor a run")
        if body:
            self._check_same(str(body.get(self.id_field)), body, ref)

    def read_page(self, body: object, cursor: str | None, limit: int = PAGE_SIZE) -> Page[object]:
        """Read an array of runs. After a full page there may be another."""
        runs = _read_array(body)
        return Page(runs, _next_cursor(len(runs), cursor, limit))

    def read_threads(self, body: object, cursor: str | None) -> Page[object]:
        """Read an array of threads. After a full page there may be another."""
        return self.read_page(body, cursor)

    def settle(self, ref: RunRef, run: Run, asked: bool) -> Exchange[Run]:
        """Ask the thread how its run ended: the run itself holds neither a reason nor a question.

        A failed run gets the thread's error. A run that stopped for an interrupt of its graph waits
        for a person: it is ``requires_action``, with the interrupts that are pending. That is not
        asked where the run was to be cancelled. What the thread says is that of its last run, so
        it is not believed if a later one was there.
        """
        failed = run.status is RunStatus.FAILED
        waits = same_spelling(run.raw_status) in _MAY_WAIT and not asked
        if not failed and not waits:
            return run
        thread = (yield Call(f"get the thread of {ref}", "GET", self._thread_path(ref), ref)).body()
        if not isinstance(thread, dict):
            raise ValueError("it is not a thread")  # noqa: TRY004 - the content is wrong, not a type
        if failed:
            reason = _reason(self.scrubbed(thread.get("error")))
            if not reason or (_was_used_after(thread, run) and not (yield from self._is_last(ref))):
                return run
            return run.model_copy(update={"last_error": reason})
        pending = _interrupts(thread.get("interrupts"))
        # A thread that has an error, too, holds the question of an earlier run, and this one was
        # cancelled by somebody else.
        if not pending or thread.get("status") != "interrupted" or thread.get("error"):
            return run
        if not (yield from self._is_last(ref)):
            return run
        question = RequiredAction.model_validate(
            {"type": INTERRUPT, "interrupts": plain_json(pending)}
        )
        changes = {"status": RunStatus.REQUIRES_ACTION, "required_action": question}
        return run.model_copy(update=changes)

    def _is_last(self, ref: RunRef) -> Exchange[bool]:
        """Return whether a run is the last one of its thread."""
        newest = _read_array((yield self.list_runs(str(ref.thread_id), None, 1)).body())
        first = newest[0] if newest and isinstance(newest[0], dict) else {}
        return same_id(str(first.get(self.id_field)), ref.run_id)

    def _thread_path(self, ref: RunRef) -> str:
        if ref.thread_id in NO_ID:
            raise self._config_error(
                "thread_id is missing. A stateless run has a thread too: the answer that started "
                "it holds its thread_id, next to the run_id",
                ref,
            )
        return f"/threads/{self._thread(ref.thread_id, ref)}"

    def _thread(self, value: object, ref: RunRef | None = None) -> str:
        """Return a thread's id, which may be any text: that of a UUID in its one spelling."""
        own = canonical(value) if isinstance(value, str) else value
        return self._segment("thread_id", own, ref)

    def _path(self, ref: RunRef) -> str:
        self._segment("run_id", ref.run_id, ref)
        run_id = as_uuid(ref.run_id)
        if run_id is None:
            raise self._config_error(
                f"run_id {ref.run_id!r} is not a UUID, as the ids of this API's runs are: check "
                "the task that provides it",
                ref,
            )
        return f"{self._thread_path(ref)}/runs/{run_id}"


def _reason(error: object) -> LastError | None:
    """Return a thread's error as that of a run; ``None`` if there is none."""
    if isinstance(error, str) and error:
        return LastError(message=error)
    if not isinstance(error, dict) or not error:
        return None
    said = {"code": error.get("error") or error.get("type"), "message": error.get("message")}
    return LastError.model_validate(said)


def _was_used_after(thread: JsonObject, run: Run) -> bool:
    """Return whether something has happened on a thread after a run of it had failed."""
    changed, failed = epoch(thread.get("updated_at")), run.failed_at
    return isinstance(changed, int) and isinstance(failed, int) and changed > failed


def _interrupts(found: object) -> list[Any]:
    """Return the pending interrupts of a thread, of all its tasks."""
    if isinstance(found, dict):
        return [each for task in found.values() if isinstance(task, list) for each in task]
    return found if isinstance(found, list) else []


def _read_array(body: object) -> list[Any]:
    if not isinstance(body, list):
        raise ValueError("it is not a list")  # noqa: TRY004 - the content is wrong, not a type
    return body


def _next_cursor(count: int, cursor: str | None, limit: int) -> str | None:
    return str(int(cursor or 0) + count) if count >= limit else None
