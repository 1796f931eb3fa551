"""The server's threads and runs."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airflow_provider_runs.testing.errors import ApiError
from airflow_provider_runs.testing.pages import list_page
from airflow_provider_runs.testing.runs import RUN_FIELDS, ScriptedRun, new_id

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from airflow_provider_runs.testing.scripts import RunScript


@dataclass
class _Thread:
    id: str
    created: float
    metadata: dict[str, str]
    runs: dict[str, ScriptedRun] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "object": "thread",
            "created_at": int(self.created),
            "metadata": dict(self.metadata),
            "tool_resources": {},
        }


class Store:
    """Everything the server remembers; its methods may be called from any thread.

    All methods raise :class:`ApiError` (404) for an id that is not there, and those that take a
    thread's id (400) for an id without OpenAI's prefix. What they return is JSON-ready and a
    copy.

    :param clock: returns the present time in epoch seconds
    :param script: of runs for which no other was given
    :param thread_lock: whether an active run blocks its thread
    """

    def __init__(self, *, clock: Callable[[], float], script: RunScript, thread_lock: bool) -> None:
        self._clock = clock
        self._script = script
        self._thread_lock = thread_lock
        self._threads: dict[str, _Thread] = {}
        self._queued: deque[RunScript] = deque()
        self._lock = threading.RLock()

    def now(self) -> int:
        """Return the present time in whole epoch seconds, as objects give it."""
        return int(self._clock())

    def create_thread(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Add a thread.

        :param body: the fields of the request, of which ``metadata`` is kept
        """
        thread = _Thread(new_id("thread"), self._clock(), _metadata(body))
        with self._lock:
            self._threads[thread.id] = thread
        return thread.to_json()

    def thread(self, thread_id: str) -> dict[str, Any]:
        """Return a thread."""
        with self._lock:
            return self._thread(thread_id).to_json()

    def delete_thread(self, thread_id: str) -> None:
        """Forget a thread and its runs."""
        with self._lock:
            del self._threads[self._thread(thread_id).id]

    def check_unlocked(self, thread_id: str, message: str) -> None:
        """Raise :class:`ApiError` (400) when an active run blocks the thread.

        :param message: the error's text, with ``{thread}`` and ``{run}``
        """
        with self._lock:
            thread, now = self._thread(thread_id), self._clock()
            active = next((run.id for run in thread.runs.values() if run.is_active(now)), None)
            if self._thread_lock and active is not None:
                raise ApiError(400, message.format(thread=thread_id, run=active))

    def queue(self, script: RunScript) -> None:
        """Keep a script for the next run that is created without one."""
        with self._lock:
            self._queued.append(script)

    def create_run(
        self, thread_id: str, body: Mapping[str, Any], script: RunScript | None = None
    ) -> dict[str, Any]:
        """Add a run.

        :param body: the fields of the request; those that a Run does not have are ignored
        :param script: how it behaves; default: the first queued one, or else the server's own
        :raises ApiError: 400 when the thread is blocked or the metadata does not fit
        """
        with self._lock:
            self.check_unlocked(thread_id, "Thread {thread} already has an active run {run}.")
            metadata = _metadata(body)
            queued = self._queued[0] if self._queued else self._script
            try:
                chosen = (script or queued).overridden_by(metadata)
            except ValueError as error:
                raise ApiError(400, f"Invalid 'metadata': {error}", param="metadata") from error
            if script is None and self._queued:
                self._queued.popleft()
            given = {name: body[name] for name in RUN_FIELDS if body.get(name) is not None}
            now = self._clock()
            run = ScriptedRun(thread_id, chosen, {**given, "metadata": metadata}, now)
            self._threads[thread_id].runs[run.id] = run
            return run.to_json(now)

    def run(self, run_id: str, thread_id: str | None = None) -> dict[str, Any]:
        """Return a run; of the given thread, if one is given."""
        with self._lock:
            return self._run(run_id, thread_id).to_json(self._clock())

    def list_runs(self, thread_id: str, query: Mapping[str, str]) -> dict[str, Any]:
        """Return a page of a thread's runs."""
        with self._lock:
            now = self._clock()
            runs = [run.to_json(now) for run in self._thread(thread_id).runs.values()]
        return list_page(runs, query)

    def cancel_run(self, run_id: str, thread_id: str) -> dict[str, Any]:
        """Cancel a run."""
        with self._lock:
            run, now = self._run(run_id, thread_id), self._clock()
            run.cancel(now)
            return run.to_json(now)

    def submit(
        self, run_id: str, thread_id: str, outputs: Sequence[Mapping[str, Any]]
    ) -> dict[str, Any]:
        """Give a run the tool outputs it waits for."""
        with self._lock:
            run, now = self._run(run_id, thread_id), self._clock()
            run.submit(outputs, now)
            return run.to_json(now)

    def end_run(self, run_id: str, status: str, last_error: dict[str, Any] | None) -> None:
        """Make a run final."""
        with self._lock:
            self._run(run_id).end(status, last_error, self._clock())

    def delete_run(self, run_id: str) -> None:
        """Forget a run."""
        with self._lock:
            del self._threads[self._run(run_id).thread_id].runs[run_id]

    def _thread(self, thread_id: str) -> _Thread:
        _check_id("thread", thread_id)
        if thread_id not in self._threads:
            raise ApiError(404, f"No thread found with id '{thread_id}'.")
        return self._threads[thread_id]

    def _run(self, run_id: str, thread_id: str | None = None) -> ScriptedRun:
        threads = self._threads.values() if thread_id is None else [self._thread(thread_id)]
        _check_id("run", run_id)
        for thread in threads:
            if run_id in thread.runs:
                return thread.runs[run_id]
        raise ApiError(404, f"No run found with id '{run_id}'.")


def _check_id(kind: str, value: str) -> None:
    if not value.startswith(f"{kind}_"):
        message = f"Invalid '{kind}_id': '{value}'. Expected an ID that begins with '{kind}'."
        raise ApiError(400, message, param=f"{kind}_id", code="invalid_value")


def _metadata(body: Mapping[str, Any]) -> dict[str, str]:
    metadata = body.get("metadata") or {}
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        message = "Invalid type for 'metadata': expected an object with string values."
        raise ApiError(400, message, param="metadata", code="invalid_type")
    return dict(metadata)
