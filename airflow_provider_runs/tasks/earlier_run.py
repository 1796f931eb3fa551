"""What an earlier try of a task has started: where the run is, and whether it still is there."""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from airflow_provider_runs.errors import (
    RunNotFound,
    RunsConfigError,
    RunsError,
    StartLost,
    located,
)
from airflow_provider_runs.flows.wait import Wait
from airflow_provider_runs.run_ref import RunRef
from airflow_provider_runs.status import RunStatus
from airflow_provider_runs.tasks.connection import look_up
from airflow_provider_runs.tasks.errors import BodyChangedError, LostForGood

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow.sdk import Context

    from airflow_provider_runs.backends.starts import Start
    from airflow_provider_runs.hooks import RunsHook
    from airflow_provider_runs.models import Run
    from airflow_provider_runs.tasks.start_notes import Note, Notes, Who
    from airflow_provider_runs.transport.in_time import Job

__all__ = ["EarlierRun", "Finder", "StartsRun"]

log = logging.getLogger(__name__)

#: Seconds for a look at a run that an earlier try has started.
_LOOK = 60.0


class StartsRun(Protocol):
    """The task that starts a run; ``operators.start`` says what its parameters mean."""

    body: Any
    run_id: str
    thread_id: str | None
    conn_id: str
    expected_statuses: tuple[str, ...]
    poll_interval: float
    cancel_timeout: float
    cancel_action: str | None
    cancel_on_kill: bool
    reattach: bool
    on_changed_body: str
    on_lost_start: str
    missing_grace: float
    on_timeout: str

    def push_thread(self, thread_id: str | None, context: Context) -> None:
        """Store the thread's id."""

    def wait_for_start(self, job: Job[Run], start: Start) -> Run:
        """Start a run, and wait for the answer."""

    def take(self, run: Run, context: Context) -> None:
        """Take a run as the task's, and store its ids."""


class EarlierRun(NamedTuple):
    """A run of this task instance that was started before.

    :param run: the run; ``None`` if the server no longer has it.
    :param number: which of the task's runs it is.
    :param attempt: the try that started it; ``None`` if it is not known.
    :param fingerprint: what was asked for; empty if it is not known.
    :param deferred: whether a try has left its worker to wait for it.
    :param conn_id: the connection by which it was started, if that was another one.
    :param max_tries: the task's, when the run was noted; ``None`` if it is not known.
    """

    run: Run | None
    number: int
    attempt: int | None
    fingerprint: str
    deferred: bool = False
    conn_id: str = ""
    max_tries: int | None = None


class Finder:
    """Finds the run that was started last for a task instance.

    :param task: the operator.
    :param hook: of its connection, which has been looked up.
    :param who: whose run it is.
    :param notes: what earlier tries have noted.
    :param server: where the connection leads, as a fingerprint.
    :param start_of: returns the start of a number; without one, what is the same in all of them.
    """

    def __init__(
        self,
        task: StartsRun,
        hook: RunsHook,
        who: Who,
        notes: Notes,
        *,
        server: str,
        start_of: Callable[[int | None], Start],
    ) -> None:
        self._task = task
        self._wanted_thread = task.thread_id
        self._hook = hook
        self._backend = hook.backend()
        self._who = who
        self._notes = notes
        self._server = server
        self._start_of = start_of

    def find(self, note: Note | None) -> EarlierRun | None:
        """Return the run that was started last; ``None`` if there is none.

        :param note: what was noted last; ``None`` if nothing was.
        :raises LostForGood: if there may be one that cannot be found, and ``on_lost_start`` is
            ``fail``.
        :raises RunsError: if a look or a search fails: then nothing may be started.
        """
        if note:
            return self._noted(note) if note.sent else None
        if self._who.is_first_try:
            return None
        start = self._start_of(None)
        if self._notes.last and not self._backend.finds(self._backend.prepared(start)):
            return None  # nothing was noted, so nothing was started
        return self._search(start, 0.0)

    def _noted(self, note: Note) -> EarlierRun | None:
        """Return the run of a note; ``None`` if there is none."""
        other = note.conn_id if note.conn_id != self._task.conn_id else ""
        if other and not self._can_use(other, note):
            return EarlierRun(None, note.number, note.attempt, note.fingerprint)
        if note.run_id:
            run = self._look_at_own(RunRef(note.run_id, note.thread_id), other)
            told = note.number, note.attempt, note.fingerprint, note.deferred, other
            return EarlierRun(run, *told, note.max_tries)
        # Where it was to be started, which may be another thread than this try's.
        start = replace(
            self._start_of(note.number), thread_id=note.thread_id, on_own_thread=note.own_thread
        )
        return self._search(start, note.at, other, note)

    def _search(
        self, start: Start, since: float, conn_id: str = "", note: Note | None = None
    ) -> EarlierRun | None:
        """Search for a run of which only the intent is known, or not even that."""
        hook = self.hook_of(conn_id)
        backend = hook.backend()
        start = backend.prepared(start)
        if not backend.finds(start):
            has_told = bool(note and note.told)
            was_cleared = has_told and self._was_cleared_after(note)
            if self._task.on_lost_start == "fail" and self._task.reattach and not was_cleared:
                raise self._lost_for_good(note)
            log.warning(
                "An earlier try may have started a run that cannot be found. Another one is "
                "started: %s",
                "the task was cleared after it had said so"
                if was_cleared
                else "on_lost_start, or reattach, says so",
            )
            return None
        found = hook.find_started(start, since=since)
        if found is None:
            return None
        run = self._look(RunRef(found.run.id, found.run.thread_id), conn_id) or found.run
        return EarlierRun(run, found.number, found.attempt, found.fingerprint, conn_id=conn_id)

    def _was_cleared_after(self, note: Note | None) -> bool:
        return bool(note and self._who.was_cleared_after(note.told or note.attempt, note.max_tries))

    def _can_use(self, conn_id: str, note: Note) -> bool:
        """Return whether there still is the other connection by which a run was started.

        :raises BodyChangedError: if there is not, and ``on_changed_body`` is ``fail``.
        """
        try:
            look_up(self.hook_of(conn_id), time.time() + _LOOK)
        except RunsConfigError as error:
            words = (
                f"An earlier try has started a run by the connection {conn_id!r}, which cannot be "
                f"used any more: {error.said} The run may go on. End it, and clear the task to "
                "start another one."
            )
            if self._task.on_changed_body == "fail" and not self._was_cleared_after(note):
                raise self._not_there(note, words) from None
            log.warning("%s", words)
            return False
        return True

    def _not_there(self, note: Note, words: str) -> BodyChangedError:
        """Return the error for a run that cannot be reached any more."""
        ref = RunRef(note.run_id, note.thread_id) if note.run_id else ""
        conn_id = self._task.conn_id
        return BodyChangedError(
            located(words, ref, conn_id),
            conn_id=conn_id,
            run_id=note.run_id,
            thread_id=note.thread_id,
        )

    def check_server(self, note: Note) -> None:
        """Check that a run which is not there was started on the server that was asked for it.

        :param note: what was noted of the run.
        :raises BodyChangedError: if it was another one, where the run may go on.
        """
        task = self._task
        moved = note.conn_id == task.conn_id and note.server not in {"", self._server}
        if not moved or self._was_cleared_after(note) or not task.reattach:
            return
        if task.on_changed_body == "fail":
            words = (
                "An earlier try has started a run on another server, to which this connection no "
                "longer leads: it may go on there. End it, and clear the task to start another one."
            )
            raise self._not_there(note, words)
        log.warning("The run of an earlier try is on another server, and may go on there")

    def hook_of(self, conn_id: str) -> RunsHook:
        """Return the hook of another connection, or the task's own.

        :param conn_id: the other connection; empty for the task's own.
        """
        return type(self._hook)(conn_id) if conn_id else self._hook

    def _look_at_own(self, ref: RunRef, conn_id: str) -> Run | None:
        """Look at the run that was noted. It is the task's to end, if it is killed meanwhile.

        If the look fails, the run is left to the next try, unless this is the last one.
        """
        task, is_left = self._task, bool(conn_id)
        if not is_left:
            task.run_id, task.thread_id = ref.run_id, ref.thread_id
        try:
            run = self._look(ref, conn_id)
        except RunsError:
            is_left = is_left or not self._who.is_last_try
            raise
        else:
            is_left = True
        finally:
            if is_left:
                task.run_id, task.thread_id = "", self._wanted_thread
        return run

    def _look(self, ref: RunRef, conn_id: str) -> Run | None:
        """Return a run as it is now; ``None`` if it is proven that the server does not have it."""
        hook, now = self.hook_of(conn_id), time.time()
        wait = Wait(
            ref,
            started_at=now,
            deadline=now + _LOOK,
            poll_interval=2.0,
            stop_on_requires_action=True,
            seen=RunStatus.QUEUED.value,
            worked=True,
            missing_grace=self._task.missing_grace,
        )
        try:
            run, _ = hook.look_once(wait, settle=True)
            return run or hook.get_run(ref.run_id, ref.thread_id)
        except RunNotFound as error:
            log.warning("The run of an earlier try is no longer there. %s", error.message)
            return None

    def _lost_for_good(self, note: Note | None) -> LostForGood:
        words = (
            "An earlier try of this task may have started a run, and died before its id was known. "
            "This API cannot be asked for it."
            if self._notes.last
            else "An earlier try of this task may have started a run, which is not known: before "
            "Airflow 3.3 nothing is kept from one try to the next, and this API cannot be asked "
            "for a run without its id, or its thread's. Upgrade Airflow, or give thread_id where "
            "the API has threads."
        )
        words += (
            f" The run would have 'airflow_key' {self._who.key!r} in its metadata: look for it in "
            "the service."
        )
        conn_id = self._task.conn_id
        return self.for_good(StartLost(located(words, "", conn_id), conn_id=conn_id), note)

    def for_good(self, error: StartLost, note: Note | None) -> LostForGood:
        """Return the error that Airflow does not retry; who clears the task then has read it.

        :param error: what is lost.
        :param note: what was noted of it, if anything was.
        :raises RunsError: if it cannot be noted that this was told.
        """
        words = "To have retries start another one anyway, set on_lost_start='start_again'."
        if note and self._notes.last:
            told = note.now(told=self._who.attempt, max_tries=self._who.max_tries)
            self._notes.write(told)
            words = f"Clear the task to start another one. {words}"
        return LostForGood(**error.adding(words).fields())
