"""Waiting until a run is final: the state machine. ``events`` has what carries its end.

``wait_for`` is a flow like those of ``client``: the operator, the sensor, the trigger and the hook
all wait with it, blocking or not.
"""

from __future__ import annotations

import random
import time
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

from airflow_provider_runs import metrics
from airflow_provider_runs.backends.base import ROLLBACK
from airflow_provider_runs.client import Flow, Sleep, cancel_run, glimpse_run, rolled_back
from airflow_provider_runs.errors import (
    CancelRefused,
    RunNotFound,
    RunsConfigError,
    RunsError,
    RunTimeout,
)
from airflow_provider_runs.models import Glimpse, Run, RunRef, RunStatus

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_runs.backends import Backend

__all__ = ["Log", "Look", "Wait", "look_once", "wait_for"]

#: Seconds without a single answer after which a wait gives up although its deadline is far.
OUTAGE_TOLERANCE = 900.0
#: Seconds that `look_once` may take, retries included.
FIRST_LOOK = 10.0
#: Seconds of the first pause; from there the pauses grow by a factor to the poll interval.
FIRST_INTERVAL = 1.0
GROWTH = 1.5


class Log(Protocol):
    """The part of a logger that is used here; the standard library's and Airflow's both fit."""

    def info(self, event: str, /, *args: Any) -> Any: ...  # noqa: D102
    def warning(self, event: str, /, *args: Any) -> Any: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class Wait:
    """What to wait for, and how.

    Times are wall-clock epoch seconds, set once when the wait begins: a monotonic clock starts
    anew with every triggerer, and would give a wait its whole time again at each restart.

    :param run_id: the run.
    :param thread_id: its thread; ``None`` where the API has no threads.
    :param started_at: when the wait began, in epoch seconds.
    :param deadline: when it must end, in epoch seconds.
    :param poll_interval: longest pause between two looks, in seconds.
    :param first_interval: the first pause, in seconds; by default one second, or less.
    :param stop_on_requires_action: end the wait also when the run waits for its caller.
    :param cancel: ask for the run to be cancelled first, until the server has agreed.
    :param cancel_action: how the run is to be cancelled, or was; by default as the connection
        says.
    :param asked_at: when the server agreed to cancel the run, in epoch seconds, if it did.
    :param seen: the status that is known, and was logged, already.
    :raises RunsConfigError: if the poll interval is not more than zero.
    """

    run_id: str
    thread_id: str | None
    started_at: float
    deadline: float
    poll_interval: float
    first_interval: float | None = None
    stop_on_requires_action: bool = False
    cancel: bool = False
    cancel_action: str | None = None
    asked_at: float | None = None
    seen: str | None = None

    def __post_init__(self) -> None:
        if not self.poll_interval > 0:
            raise RunsConfigError(f"poll_interval must be more than 0, not {self.poll_interval}.")

    @property
    def ref(self) -> RunRef:
        """The run that is waited for."""
        return RunRef(self.run_id, self.thread_id)

    def to_json(self) -> dict[str, Any]:
        """Return the wait as plain JSON: the keyword arguments of ``Wait`` again."""
        return asdict(self)

    def is_over(self, run: Run | Glimpse) -> bool:
        """Return whether a run in this state is what is waited for."""
        stopped = self.stop_on_requires_action and run.status is RunStatus.REQUIRES_ACTION
        return run.is_final or stopped

    def pauses(self) -> Iterator[float]:
        """Yield the pauses, in seconds: growing to the poll interval, each a little shortened.

        The jitter keeps many waits that began together from asking together for ever. Pauses whose
        first one is as long as the interval are all of that length.
        """
        while self.first_interval == self.poll_interval:
            yield self.poll_interval
        pause = min(self.first_interval or FIRST_INTERVAL, self.poll_interval)
        while True:
            yield pause * random.uniform(0.85, 1)  # noqa: S311 - jitter is no secret
            pause = min(pause * GROWTH, self.poll_interval)


class Look(Protocol):
    """How a wait looks at its run: ``client.glimpse_run``, or a look that several share."""

    def __call__(self, backend: Backend, ref: RunRef, *, deadline: float) -> Flow[Glimpse]: ...  # noqa: D102


def wait_for(backend: Backend, wait: Wait, log: Log, look: Look = glimpse_run) -> Flow[Run]:
    """Wait until the run is final, or what else the wait ends with.

    :param log: gets a line when the run's status changes and when a look at it fails.
    :param look: how to look at the run.
    :raises RunTimeout: when the deadline has passed.
    :raises CancelRefused: when it has passed and the server would not cancel.
    :raises RunsError: when waiting on makes no sense: the run is unknown, the key is refused, or
        no answer came for a quarter of an hour.
    """
    wait = _settled(backend, wait)
    watch = _Watch(backend, wait, log)
    while True:
        run = yield from _look(backend, watch, look)
        if run and wait.is_over(run):
            return _whole(run)
        del run  # its body would be kept for the pause
        yield watch.pause()


def look_once(backend: Backend, wait: Wait, log: Log) -> Flow[tuple[Run | None, Wait]]:
    """Take the first step of a wait.

    It takes some seconds at most, as a task that is about to leave its worker should.

    :param log: gets a line with the run's status or with the failure.
    :return: the run, or ``None`` if there was no answer but may be one later; and the rest of the
        wait, if it is not over.
    :raises RunTimeout: when the deadline has passed.
    :raises RunsError: when waiting on makes no sense.
    """
    wait = _settled(backend, wait)
    watch = _Watch(backend, wait, log)
    until = min(wait.deadline, time.time() + FIRST_LOOK)
    run = yield from _look(backend, watch, glimpse_run, until)
    if not (run and wait.is_over(run)):
        watch.pause()
    return _whole(run) if run else None, watch.rest()


def _settled(backend: Backend, wait: Wait) -> Wait:
    """Return the wait with the connection's cancel action, if it is to cancel and has none."""
    if not wait.cancel:
        return wait
    return replace(wait, cancel_action=backend.cancel_action(wait.cancel_action))


def _look(
    backend: Backend, watch: _Watch, look: Look, until: float | None = None
) -> Flow[Run | Glimpse | None]:
    wait, ref = watch.wait, watch.wait.ref
    until = until or wait.deadline
    run: Run | Glimpse
    try:
        if watch.asking:
            run = yield from cancel_run(backend, ref, action=wait.cancel_action, deadline=until)
            watch.asked_at = time.time()
        else:
            run = yield from look(backend, ref, deadline=until)
    except RunNotFound as error:
        run = watch.missed(error)
    except RunsError as error:
        watch.failed(error)
        return None
    watch.saw(run)
    return run


class _Watch:
    """What a wait has seen so far."""

    def __init__(self, backend: Backend, wait: Wait, log: Log) -> None:
        self.backend = backend
        self.wait = wait
        self.log = log
        self.status = RunStatus.of(wait.seen) if wait.seen else None
        self.asked_at = wait.asked_at
        # Of the looks since it was read whole only the words are kept: the bodies of thousands of
        # runs would keep Python's garbage collector busy.
        self.run: Run | None = None
        self.raw_status: str | None = None
        self.poll_after = 0.0
        self.refused: dict[str, Any] | None = None
        self.error: RunsError | None = None
        self.failures = 0
        self.silent_since: float | None = None
        self.pauses = wait.pauses()

    @property
    def asking(self) -> bool:
        """Whether the server has yet to agree to cancel the run."""
        return self.wait.cancel and self.asked_at is None

    def rest(self) -> Wait:
        """Return what is left of the wait."""
        seen = self.status.value if self.status else None
        return replace(self.wait, asked_at=self.asked_at, seen=seen)

    def saw(self, run: Run | Glimpse) -> None:
        """Take in the run as it is now."""
        if run.is_final and self.asked_at is not None:
            metrics.cancelled(run.status, time.time() - self.asked_at)
        before, self.status = self.status, run.status
        self.raw_status, self.refused = run.raw_status, None
        if isinstance(run, Run):
            self.run, self.poll_after = run, 0.0
        else:
            self.poll_after = run.poll_after
        self.error, self.failures, self.silent_since = None, 0, None
        if run.status == before:
            return
        self.log.info(
            "%s is %s%s, %.1f s into the wait",
            _name(self.wait),
            run.status.value,
            f" (was {before.value})" if before else "",
            time.time() - self.wait.started_at,
        )
        if not run.status.is_known:
            self.log.warning(
                "%r is no status known here. It is taken as not final, and the wait goes on",
                run.raw_status,
            )
        if run.status is RunStatus.CANCELLING:
            self.pauses = self.wait.pauses()  # it may end any moment: look often again

    def missed(self, error: RunNotFound) -> Run:
        """Take in that the run is not there; return it if that is how it was to end.

        :raises RunNotFound: if it is not.
        """
        if self.status is None:
            raise error
        if self.wait.cancel_action == ROLLBACK:
            return rolled_back(self._as_seen(self.status, self.status.value))
        words = f"It was {self.status.value!r} before, {self.backend.vanished}."
        error.run = self.last_seen()
        raise error.adding(words)

    def failed(self, error: RunsError) -> None:
        """Take in that there is no answer now.

        :raises RunsError: the error itself, if there will be none later either.
        """
        if isinstance(error, CancelRefused):
            # The server answers, and may agree later: some refuse while a run starts.
            self.failures, self.silent_since = 0, None
            self.refused = error.run
        else:
            self.failures += 1
            self.silent_since = self.silent_since or time.time()
            silent = time.time() - self.silent_since > OUTAGE_TOLERANCE and self.failures > 2
            if not error.transient or silent:
                error.run = error.run or self.last_seen()
                raise error
        if error.run and not self.status:
            self.status = RunStatus.of(error.run["status"])
        if self.error is None:
            self.log.warning("%s The wait goes on.", error.message)
        self.error = error

    def last_seen(self) -> dict[str, Any] | None:
        """Return the run as it was seen last, as plain JSON."""
        if self.refused or self.status is None or self.raw_status is None:
            return self.refused
        return self._as_seen(self.status, self.raw_status).to_json()

    def _as_seen(self, status: RunStatus, raw_status: str) -> Run:
        """Return the run as it was read last, in a status."""
        words = {"status": status, "raw_status": raw_status}
        if self.run:
            return self.run.model_copy(update=words)
        ids = {"id": self.wait.run_id, "thread_id": self.wait.thread_id}
        return Run.model_validate({**ids, **words})

    def pause(self) -> Sleep:
        """Return the pause until the next look, which ends at the deadline at the latest.

        :raises RunsError: when the deadline has passed.
        """
        remaining = self.wait.deadline - time.time()
        if remaining <= 0:
            raise self._timeout()
        asked = max((self.error and self.error.retry_after) or 0.0, self.poll_after)
        return Sleep(min(max(next(self.pauses), asked), remaining))

    def _timeout(self) -> RunsError:
        if isinstance(self.error, CancelRefused):
            return self.error
        wait, run, conn_id = self.wait, self.last_seen(), self.backend.settings.conn_id
        waited = time.time() - wait.started_at
        last = f" Last failure: {self.error.message}" if self.error else ""
        return RunTimeout(
            f"{_name(wait)} was not final after {waited:.0f} s (connection {conn_id!r}): "
            f"{_state(run)}. {_advice(run)}{last}",
            conn_id=conn_id,
            run_id=wait.run_id,
            thread_id=wait.thread_id,
            run=run,
        )


def _whole(run: Run | Glimpse) -> Run:
    return run if isinstance(run, Run) else run.read()


def _name(wait: Wait) -> str:
    text = str(wait.ref)
    return text[:1].upper() + text[1:]


def _state(run: dict[str, Any] | None) -> str:
    if run is None:
        return "its status was never seen"
    if RunStatus.of(run["status"]).is_known:
        return f"it is still {run['status']!r}"
    return f"its status is {run['raw_status']!r}, which this provider does not know"


def _advice(run: dict[str, Any] | None) -> str:
    if run and run["status"] == RunStatus.CANCELLING:
        return "The cancel was accepted but has not taken effect: look at the run on the server."
    return "It may go on and cost money: cancel it, or give it a longer timeout."
