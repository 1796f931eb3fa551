"""The server's threads and runs."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from airflow_provider_runs.testing.runs import ScriptedRun
from airflow_provider_runs.testing.scripts import GONE
from airflow_provider_runs.testing.views import ThreadView

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from airflow_provider_runs.testing.json_types import JsonMapping, JsonObject
    from airflow_provider_runs.testing.rules import Rules
    from airflow_provider_runs.testing.scripts import RunScript
    from airflow_provider_runs.testing.views import Message, RunView


__all__ = ["Store"]


@dataclass
class _Thread:
    id: str
    created_at: float
    metadata: JsonMapping
    runs: dict[str, ScriptedRun] = field(default_factory=dict)
    messages: list[Message] = field(default_factory=list)

    def say(self, messages: Sequence[Message]) -> None:
        self.messages += [replace(each, after_runs=len(self.runs)) for each in messages]


class Store:
    """Keeps threads and runs; its methods may be called from any thread.

    The methods that take an id raise the ``ApiError`` that the rules have for one that is malformed
    or not there. Those that take a run's and a thread's want the run to be the thread's.

    :param rules: makes ids, and the errors of refusals.
    :param clock: returns the present time, in epoch seconds.
    :param script: how runs behave for which no other script is given.
    :param thread_lock: whether an active run blocks its thread.
    """

    def __init__(
        self, rules: Rules, *, clock: Callable[[], float], script: RunScript, thread_lock: bool
    ) -> None:
        self._rules = rules
        self._clock = clock
        self._script = script
        self._thread_lock = thread_lock
        self._threads: dict[str, _Thread] = {}
        self._runs: dict[str, ScriptedRun] = {}
        self._queued: deque[RunScript] = deque()
        self._lock = threading.RLock()

    def now(self) -> float:
        """Return the present time, in epoch seconds."""
        return self._clock()

    def create_thread(
        self,
        metadata: JsonMapping,
        thread_id: str | None = None,
        messages: Sequence[Message] = (),
    ) -> ThreadView:
        """Add a thread, in place of one that has the same id.

        :param metadata: its metadata.
        :param thread_id: its id; by default a new one.
        :param messages: what is said in it from the start.
        """
        thread_id = thread_id or self._rules.new_id("thread")
        with self._lock:
            thread = _Thread(thread_id, self._clock(), metadata)
            thread.say(messages)
            self._threads[thread_id] = thread
            return self.thread(thread_id)

    def add_message(self, thread_id: str, message: Message) -> None:
        """Keep a message in a thread."""
        with self._lock:
            self._thread(thread_id).say([message])

    def has_thread(self, thread_id: str) -> bool:
        """Return whether there is a thread with this id."""
        self._rules.check_id("thread", thread_id)
        return thread_id in self._threads

    def thread(self, thread_id: str) -> ThreadView:
        """Return a thread with its runs."""
        with self._lock:
            return self._view(self._thread(thread_id))

    def threads(self) -> list[ThreadView]:
        """Return all threads, the oldest first."""
        with self._lock:
            return [self._view(thread) for thread in self._threads.values()]

    def delete_thread(self, thread_id: str) -> None:
        """Forget a thread and its runs."""
        with self._lock:
            for run_id in self._thread(thread_id).runs:
                del self._runs[run_id]
            del self._threads[thread_id]

    def blocking_run(self, thread_id: str) -> RunView | None:
        """Return the active run that blocks a thread; ``None`` if none does."""
        active = self.thread(thread_id).active_run
        return active if self._thread_lock else None

    def queue(self, script: RunScript) -> None:
        """Keep a script for the next run that is created without one."""
        with self._lock:
            self._queued.append(script)

    def create_run(
        self,
        thread_id: str | None,
        fields: JsonMapping,
        script: RunScript | None = None,
        *,
        alone: bool = False,
        run_id: str | None = None,
        messages: Sequence[Message] = (),
    ) -> RunView:
        """Add a run.

        :param thread_id: its thread; ``None`` where there are none.
        :param fields: all that its creator may set.
        :param script: how it behaves; by default the first queued one, or else the server's own.
        :param alone: whether an active run stands in its way even if that does not block the
            thread.
        :param run_id: its id; by default a new one.
        :param messages: what its creator says in the thread before it.
        :raises ApiError: if the thread is blocked, or the metadata does not suit the script.
        """
        with self._lock:
            thread = None if thread_id is None else self._thread(thread_id)
            if thread is not None and (alone or self._thread_lock):
                active = self._view(thread).active_run
                if active is not None:
                    raise self._rules.blocked(thread.id, active.id)
            queued = self._queued[0] if self._queued else self._script
            try:
                chosen = (script or queued).overridden_by(fields["metadata"])
            except (TypeError, ValueError) as error:
                raise self._rules.invalid("metadata", f"Invalid 'metadata': {error}") from error
            if script is None and self._queued:
                self._queued.popleft()
            now = self._clock()
            run = ScriptedRun(
                run_id or self._rules.new_id("run"),
                thread_id,
                chosen,
                fields,
                now,
                self._rules.final,
            )
            self._runs[run.id] = run
            if thread is not None:
                thread.say(messages)
                thread.runs[run.id] = run
            return run.view(now)

    def has_run(self, run_id: str) -> bool:
        """Return whether there is a run with this id."""
        with self._lock:
            run = self._runs.get(run_id)
            return run is not None and self._is_there(run, self._clock())

    def run(self, run_id: str, thread_id: str | None = None) -> RunView:
        """Return a run."""
        with self._lock:
            return self._run(run_id, thread_id).view(self._clock())

    def cancel_run(
        self, run_id: str, thread_id: str | None = None, *, rollback: bool = False
    ) -> tuple[RunView, bool]:
        """Cancel a run unless it is final or ``cancelling`` already.

        :param rollback: whether the run is gone after ``cancelling``.
        :return: the run, and whether it was cancelled by this.
        :raises ApiError: if its script refuses.
        """
        with self._lock:
            run, now = self._run(run_id, thread_id), self._clock()
            accepted = run.cancel(now, rollback=rollback)
            return run.view(now), accepted

    def submit(self, run_id: str, thread_id: str, outputs: Sequence[JsonMapping]) -> RunView:
        """Give a run the tool outputs that it waits for.

        :param outputs: one mapping with a ``tool_call_id`` for each tool call.
        :raises ApiError: if the run waits for no outputs, or for other ones.
        """
        with self._lock:
            run, now = self._run(run_id, thread_id), self._clock()
            run.submit(outputs, now)
            return run.view(now)

    def end_run(self, run_id: str, status: str, last_error: JsonObject | None) -> None:
        """Make a run final now, whatever it was doing.

        :param status: a final status.
        :param last_error: the run's ``last_error``, in place of the one that its script gives.
        :raises ValueError: if the status is not final.
        """
        with self._lock:
            self._run(run_id).end(status, last_error, self._clock())

    def delete_run(self, run_id: str, thread_id: str | None = None) -> None:
        """Forget a run."""
        with self._lock:
            run = self._run(run_id, thread_id)
            del self._runs[run_id]
            if run.thread_id is not None:
                del self._threads[run.thread_id].runs[run_id]

    def _thread(self, thread_id: str) -> _Thread:
        if not self.has_thread(thread_id):
            raise self._rules.missing("thread", thread_id)
        return self._threads[thread_id]

    def _view(self, thread: _Thread) -> ThreadView:
        now = self._clock()
        runs = [run.view(now) for run in thread.runs.values() if self._is_there(run, now)]
        return ThreadView(
            thread.id, thread.created_at, thread.metadata, runs, list(thread.messages)
        )

    def _run(self, run_id: str, thread_id: str | None = None) -> ScriptedRun:
        if thread_id is not None:
            self._thread(thread_id)
        self._rules.check_id("run", run_id)
        run = self._runs.get(run_id)
        if run and thread_id in {None, run.thread_id} and self._is_there(run, self._clock()):
            return run
        raise self._rules.missing("run", run_id)

    def _is_there(self, run: ScriptedRun, now: float) -> bool:
        return run.status(now) != GONE and not self._rules.has_forgotten(run.view(now), now)
