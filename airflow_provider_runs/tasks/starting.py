"""How a task starts its run once, whatever dies when, and finds it again in a later try.

The order is: note what is about to be started, start it, note the run's id. What was noted last
says what a later try has to do.
"""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from airflow_provider_runs.backends.starts import FINGERPRINT, TRY, Start
from airflow_provider_runs.errors import (
    RunNotFound,
    RunsConfigError,
    RunsError,
    StartLost,
    located,
)
from airflow_provider_runs.flows.start import may_have_started
from airflow_provider_runs.flows.wait import Wait
from airflow_provider_runs.run_ref import RunRef
from airflow_provider_runs.status import RunStatus
from airflow_provider_runs.tasks.connection import look_up
from airflow_provider_runs.tasks.errors import BodyChangedError, LostForGood, about
from airflow_provider_runs.tasks.start_notes import Note, Notes, Who, fingerprint_of

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_runs.hooks import RunsHook
    from airflow_provider_runs.models import Run
    from airflow_provider_runs.transport.in_time import Job

__all__ = ["Starter", "StartsRun"]

log = logging.getLogger(__name__)

#: Seconds for a look at a run that an earlier try has started.
_LOOK = 60.0
#: The HTTP status of a thread on which another run is active.
_BUSY = 409


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


class _Known(NamedTuple):
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


class Starter:
    """Starts the run of a task instance, or finds the one that was started before.

    :param task: the operator.
    :param hook: of its connection, which has been looked up.
    :param context: of the task.
    """

    def __init__(self, task: StartsRun, hook: RunsHook, context: Context) -> None:
        self._task = task
        self._hook = hook
        self._backend = hook.backend()
        self._context = context
        self._who = Who.of(context)
        self._notes = Notes(context, task.conn_id)
        self._wanted_thread = task.thread_id
        # That the connection's host or key has changed means no other run.
        self._fingerprint = fingerprint_of(task.conn_id, task.thread_id, task.body)
        self._server = fingerprint_of(self._backend.settings.base_url)
        self._note: Note | None = None
        #: Whether the run was started by this try.
        self.is_new = False

    def find_or_start(self) -> Run:
        """Return the run, which the task has taken as its own.

        :raises RunsConfigError: if the body cannot start a run; nothing was sent.
        :raises BodyChangedError: if a run of another body is there, and ``on_changed_body`` is
            ``fail``.
        :raises StartLost: if it is not known whether a run was started.
        :raises RunsError: if none was, or a search for it fails.
        """
        self._backend.prepared(self._start(1))
        self._note = note = self._notes.read(self._who.key)
        known = self._known(note)
        if note and note.sent and not (known and known.run):
            self._check_server(note)
        if known:
            run = known.run
            if run and run.status is RunStatus.CANCELLING:
                # Clearing a task that waits in a worker has its run cancelled, too, and looks like
                # a retry. How the run ends says what it is worth.
                run = self._end(known, run, "it is being cancelled")
            if run and self._may_reattach(known, run):
                return self._reattach(known, run)
            return self._start_anew(known.number + 1)
        return self._start_anew(note.number if note else self._free_number())

    def note_deferral(self) -> None:
        """Note that the task leaves its worker now to wait for the run."""
        if self._note and self._task.cancel_on_kill:
            self._notes.write(self._note.now(deferred=True))

    # -- what there is already -------------------------------------------------------------------

    def _known(self, note: Note | None) -> _Known | None:
        """Return the run that was started last; ``None`` if there is none."""
        if note:
            return self._noted(note) if note.sent else None
        if self._who.is_first_try:
            return None
        start = self._start(None)
        if self._notes.last and not self._backend.finds(self._backend.prepared(start)):
            return None  # nothing was noted, so nothing was started
        return self._search(start, 0.0)

    def _noted(self, note: Note) -> _Known | None:
        """Return the run of a note; ``None`` if there is none."""
        other = note.conn_id if note.conn_id != self._task.conn_id else ""
        if other and not self._can_use(other, note):
            return _Known(None, note.number, note.attempt, note.fingerprint)
        if note.run_id:
            run = self._look_at_own(RunRef(note.run_id, note.thread_id), other)
            told = note.number, note.attempt, note.fingerprint, note.deferred, other
            return _Known(run, *told, note.max_tries)
        # Where it was to be started, which may be another thread than this try's.
        start = replace(
            self._start(note.number), thread_id=note.thread_id, on_own_thread=note.own_thread
        )
        return self._search(start, note.at, other, note)

    def _search(
        self, start: Start, since: float, conn_id: str = "", note: Note | None = None
    ) -> _Known | None:
        """Search for a run of which only the intent is known, or not even that."""
        hook = self._hook_of(conn_id)
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
        return _Known(run, found.number, found.attempt, found.fingerprint, conn_id=conn_id)

    def _was_cleared_after(self, note: Note | None) -> bool:
        return bool(note and self._who.was_cleared_after(note.told or note.attempt, note.max_tries))

    def _can_use(self, conn_id: str, note: Note) -> bool:
        """Return whether there still is the other connection by which a run was started.

        :raises BodyChangedError: if there is not, and ``on_changed_body`` is ``fail``.
        """
        try:
            look_up(self._hook_of(conn_id), time.time() + _LOOK)
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

    def _check_server(self, note: Note) -> None:
        """Check that a run which is not there was started on the server that was asked for it.

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

    def _hook_of(self, conn_id: str) -> RunsHook:
        """Return the hook of another connection, or the task's own."""
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
        hook, now = self._hook_of(conn_id), time.time()
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

    # -- whether it is the task's run still ------------------------------------------------------

    def _may_reattach(self, known: _Known, run: Run) -> bool:
        """Return whether to go on with a run; one that is not wanted any more is ended first."""
        task = self._task
        if not task.reattach:
            self._end(known, run, "reattach is off")
            return False
        is_old = self._who.was_cleared_after(known.attempt, known.max_tries)
        if run.is_final:
            if run.status.value not in {"completed", *task.expected_statuses}:
                log.info("Run %r has ended %s: another one is started", run.id, run.status.shown)
                return False
            if is_old:
                log.info("The task was cleared after run %r: another one is started", run.id)
                return False
        elif is_old and known.deferred and task.cancel_on_kill:
            # Clearing a task that waits in the triggerer ends it, and the trigger is about to
            # cancel the run: this try may be faster.
            self._end(known, run, "the task was cleared while it waited")
            return False
        if known.fingerprint not in {"", self._fingerprint}:
            if task.on_changed_body == "fail":
                raise self._changed(known, run)
            self._end(known, run, "it was started with another body")
            return False
        return True

    def _changed(self, known: _Known, run: Run) -> RunsError:
        """Return the error for a run that was started with another body; it is the task's to end.

        :raises RunsError: if its end cannot be confirmed.
        """
        task = self._task
        words = (
            "An earlier try has started a run with another body, thread or connection. Set "
            "on_changed_body='cancel' to cancel it and start another one, and keep what changes "
            "with each try out of the body."
        )
        if not known.conn_id:
            task.take(run, self._context)
            return about(task, BodyChangedError, words, run)
        if task.on_timeout == "cancel":
            self._end(known, run, "it was started by another connection")
        return BodyChangedError(
            located(words, RunRef(run.id, run.thread_id), known.conn_id),
            conn_id=known.conn_id,
            run_id=run.id,
            thread_id=run.thread_id,
            run=run.to_json(),
        )

    def _reattach(self, known: _Known, run: Run) -> Run:
        attempt, task = known.attempt or "an earlier one", self._task
        log.info(
            "Run %r is there already (%s), started by try %s: the task goes on with it",
            *(run.id, run.status.shown, attempt),
        )
        task.take(run, self._context)
        self._note = Note(
            self._who.key,
            known.fingerprint or self._fingerprint,
            known.number,
            known.attempt or self._who.attempt,
            time.time(),
            run.thread_id,
            self._wanted_thread is None,
            run.id,
            conn_id=task.conn_id,
            server=self._server,
            max_tries=self._who.max_tries,
        )
        self._notes.write(self._note)
        return run

    def _end(self, known: _Known, run: Run, why: str) -> Run:
        """Cancel a run, and wait until it has ended.

        :return: the run as it has ended.
        :raises RunsError: if that cannot be confirmed: then no other one is started.
        """
        if run.is_final:
            return run
        log.info("The end of run %r is awaited, for another one to be started: %s", run.id, why)
        now, task = time.time(), self._task
        return self._hook_of(known.conn_id).follow(
            Wait(
                RunRef(run.id, run.thread_id),
                started_at=now,
                deadline=now + task.cancel_timeout,
                poll_interval=task.poll_interval,
                cancel=True,
                cancel_action=task.cancel_action,
                worked=True,
                missing_grace=task.missing_grace,
            )
        )

    # -- starting --------------------------------------------------------------------------------

    def _start(self, number: int | None, note: Note | None = None) -> Start:
        """Return the start, on the thread of a note if that was made for it."""
        thread_id, is_own = self._wanted_thread, False
        is_of_note = note and note.own_thread and note.number == number and thread_id is None
        if note and is_of_note and note.conn_id == self._task.conn_id:
            thread_id, is_own = note.thread_id, True
        marks = {TRY: str(self._who.attempt), FINGERPRINT: self._fingerprint}
        return Start(self._task.body, thread_id, self._who.key, number, marks, is_own)

    def _free_number(self) -> int:
        """Return the number of the first run of this task instance.

        A DAG run that was deleted, and made again under the same id, has left runs with this key.
        """
        start = replace(self._backend.prepared(self._start(1)), number=None)
        if not (self._who.is_first_try and self._backend.has_own_place(start)):
            return 1
        found = self._hook.search_once(start)
        return found.number + 1 if found and found.run.is_final else 1

    def _start_anew(self, number: int) -> Run:
        task = self._task
        start = self._hook.place(self._backend.prepared(self._start(number, self._note)))
        task.push_thread(start.thread_id, self._context)
        self._note = Note(
            self._who.key,
            self._fingerprint,
            number,
            self._who.attempt,
            time.time(),
            start.thread_id,
            start.on_own_thread,
            conn_id=task.conn_id,
            server=self._server,
            max_tries=self._who.max_tries,
        )
        self._notes.write(self._note)
        try:
            run = task.wait_for_start(self._hook.job_of(start), start)
        except StartLost as error:
            if self._backend.finds(start) or task.on_lost_start != "fail":
                raise
            raise self._for_good(error, self._note) from None
        except BaseException as error:
            if task.run_id:  # it was killed, or its time was over: a later try must know the run
                self._try_to_write(self._note.now(run_id=task.run_id, thread_id=task.thread_id))
            elif isinstance(error, RunsError) and self._has_started_nothing(error, start):
                self._try_to_write(self._note.now(sent=False))
            raise
        if (asked := _fingerprint_of(run)) not in {"", self._fingerprint}:
            return self._make_way(_Known(run, number, None, asked), run)
        self.is_new = True
        log.info("Started run %r: %s", run.id, run.status.shown)
        self._note = self._note.now(run_id=run.id, thread_id=run.thread_id)
        self._notes.write(self._note)
        task.take(run, self._context)
        return run

    def _make_way(self, known: _Known, run: Run) -> Run:
        """Start a run where another one of the key has the thread or the id that was meant for it.

        It is one that nobody has noted, such as that of a DAG run which was deleted since.

        :raises RunsError: if that one is active, and may not be ended.
        """
        self._task.run_id, self._task.thread_id = "", self._wanted_thread
        if not run.is_final:
            self._may_reattach(known, run)
        log.info("Run %r of another body has this one's place: another one is started", run.id)
        return self._start_anew(known.number + 1)

    def _has_started_nothing(self, error: RunsError, start: Start) -> bool:
        """Return whether it is certain that there is no run, so that a retry need not search."""
        # A thread of the run's own that is busy is so with this run, which the list does not show.
        is_busy = error.status_code == _BUSY and self._backend.has_own_place(start)
        return not may_have_started(error) and not is_busy

    def _try_to_write(self, note: Note) -> None:
        """Store a note while the task fails; an error is only logged."""
        try:
            self._notes.write(note)
        except RunsError as error:
            log.warning("A retry will have to search for the run. %s", error.message)

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
        return self._for_good(StartLost(located(words, "", conn_id), conn_id=conn_id), note)

    def _for_good(self, error: StartLost, note: Note | None) -> LostForGood:
        """Return the error that Airflow does not retry; who clears the task then has read it."""
        words = "To have retries start another one anyway, set on_lost_start='start_again'."
        if note and self._notes.last:
            told = note.now(told=self._who.attempt, max_tries=self._who.max_tries)
            self._notes.write(told)
            words = f"Clear the task to start another one. {words}"
        return LostForGood(**error.adding(words).fields())


def _fingerprint_of(run: Run) -> str:
    """Return what was asked for when a run was started; empty if it does not say."""
    marks = run.metadata if isinstance(run.metadata, dict) else {}
    return str(marks.get(FINGERPRINT) or "")
