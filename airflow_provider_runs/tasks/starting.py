"""How a task starts its run once, whatever dies when, and finds it again in a later try.

The order is: note what is about to be started, start it, note the run's id. What was noted last
says what a later try has to do.
"""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airflow_provider_runs.backends.starts import FINGERPRINT, TRY, Start
from airflow_provider_runs.errors import RunsError, StartLost, located
from airflow_provider_runs.flows.start import PlaceTakenError, may_have_started
from airflow_provider_runs.flows.wait import Wait
from airflow_provider_runs.run_ref import RunRef
from airflow_provider_runs.status import RunStatus
from airflow_provider_runs.tasks.earlier_run import EarlierRun, Finder
from airflow_provider_runs.tasks.errors import BodyChangedError, about
from airflow_provider_runs.tasks.start_notes import Note, Notes, Who, fingerprint_of

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_runs.hooks import RunsHook
    from airflow_provider_runs.models import Run
    from airflow_provider_runs.tasks.earlier_run import StartsRun

__all__ = ["Starter"]

log = logging.getLogger(__name__)

#: How many runs of other bodies may have the places that were meant for this one's.
_MOST_IN_THE_WAY = 20
#: The HTTP status of a thread on which another run is active.
_BUSY = 409


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
        self._finder = Finder(
            *(task, hook, self._who, self._notes), server=self._server, start_of=self._start
        )
        self._note: Note | None = None
        self._in_the_way = 0
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
        known = self._finder.find(note)
        if note and note.sent and not (known and known.run):
            self._finder.check_server(note)
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

    # -- whether it is the task's run still ------------------------------------------------------

    def _may_reattach(self, known: EarlierRun, run: Run) -> bool:
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

    def _changed(self, known: EarlierRun, run: Run) -> RunsError:
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

    def _reattach(self, known: EarlierRun, run: Run) -> Run:
        attempt, task = known.attempt or "an earlier one", self._task
        log.info(
            "Run %r is there already (%s), started by try %s: the task goes on with it",
            *(run.id, run.status.shown, attempt),
        )
        task.take(run, self._context)
        self._write_note(
            number=known.number,
            fingerprint=known.fingerprint or self._fingerprint,
            attempt=known.attempt or self._who.attempt,
            thread_id=run.thread_id,
            own_thread=self._wanted_thread is None,
            run_id=run.id,
        )
        return run

    def _end(self, known: EarlierRun, run: Run, why: str) -> Run:
        """Cancel a run, and wait until it has ended.

        :return: the run as it has ended.
        :raises RunsError: if that cannot be confirmed: then no other one is started.
        """
        if run.is_final:
            return run
        log.info("The end of run %r is awaited, for another one to be started: %s", run.id, why)
        now, task = time.time(), self._task
        return self._finder.hook_of(known.conn_id).follow(
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
        note = self._write_note(
            number=number,
            fingerprint=self._fingerprint,
            attempt=self._who.attempt,
            thread_id=start.thread_id,
            own_thread=start.on_own_thread,
        )
        try:
            run = task.wait_for_start(self._hook.job_of(start), start)
        except PlaceTakenError as error:
            return self._make_way(error)
        except StartLost as error:
            if self._backend.finds(start) or task.on_lost_start != "fail":
                raise
            raise self._finder.for_good(error, note) from None
        except BaseException as error:
            if task.run_id:  # it was killed, or its time was over: a later try must know the run
                self._try_to_write(note.now(run_id=task.run_id, thread_id=task.thread_id))
            elif isinstance(error, RunsError) and self._has_started_nothing(error, start):
                self._try_to_write(note.now(sent=False))
            raise
        self.is_new = True
        log.info("Started run %r: %s", run.id, run.status.shown)
        self._note = note.now(run_id=run.id, thread_id=run.thread_id)
        self._notes.write(self._note)
        task.take(run, self._context)
        return run

    def _make_way(self, taken: PlaceTakenError) -> Run:
        """Start a run where another one of the key has the thread or the id that was meant for it.

        It is one that nobody has noted, such as that of a DAG run which was deleted since.

        :raises RunsError: if that one is active, and may not be ended.
        """
        found = taken.found
        self._in_the_way += 1
        if found is None or self._in_the_way > _MOST_IN_THE_WAY:
            raise taken
        if not found.run.is_final:
            other = EarlierRun(found.run, found.number, None, found.fingerprint)
            self._may_reattach(other, found.run)
        log.info(
            "Run %r, of another body, has the place of this one's: it gets the next one",
            found.run.id,
        )
        return self._start_anew(found.number + 1)

    def _has_started_nothing(self, error: RunsError, start: Start) -> bool:
        """Return whether it is certain that there is no run, so that a retry need not search."""
        # A thread of the run's own that is busy is so with this run, which the list does not show.
        is_busy = error.status_code == _BUSY and self._backend.has_own_place(start)
        return not may_have_started(error) and not is_busy

    def _write_note(self, **told: Any) -> Note:
        """Store a note of a run; ``told`` are the fields that are not those of this try."""
        self._note = note = Note(
            key=self._who.key,
            at=time.time(),
            conn_id=self._task.conn_id,
            server=self._server,
            max_tries=self._who.max_tries,
            **told,
        )
        self._notes.write(note)
        return note

    def _try_to_write(self, note: Note) -> None:
        """Store a note while the task fails; an error is only logged."""
        try:
            self._notes.write(note)
        except RunsError as error:
            log.warning("A retry will have to search for the run. %s", error.message)
