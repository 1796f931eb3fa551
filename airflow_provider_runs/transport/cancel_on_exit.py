"""Cancelling a run while its process is being terminated.

A signal handler interrupts the main thread wherever it is, perhaps inside the HTTP client or while
it talks to Airflow's supervisor, and either may hold a lock. So the cancel has a thread and an HTTP
client of its own, uses settings that were read beforehand, and has a short time limit.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from airflow_provider_runs.backends.starts import KEY
from airflow_provider_runs.errors import RunsError
from airflow_provider_runs.flows.cancel import cancel_run
from airflow_provider_runs.flows.start import search_once
from airflow_provider_runs.run_ref import RunRef
from airflow_provider_runs.transport.clients import make_client
from airflow_provider_runs.transport.drivers import drive
from airflow_provider_runs.transport.in_time import Job, in_time

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

    from airflow_provider_runs.backends import Backend
    from airflow_provider_runs.backends.starts import Start
    from airflow_provider_runs.flows.steps import Flow, Log
    from airflow_provider_runs.models import Run

__all__ = [
    "CANCEL_TIMEOUT",
    "START_TIMEOUT",
    "UNHURRIED_START_TIMEOUT",
    "GuardedStart",
    "cancel_before_exit",
    "cancel_on_sigterm",
    "cancel_started",
    "on_sigterm",
    "start_job",
]

T = TypeVar("T")

#: Seconds for the cancel, and as many again to fetch the run after a refusal. Airflow sends SIGKILL
#: five seconds after SIGTERM (that number is built into its Task SDK).
CANCEL_TIMEOUT = 2.0
#: Seconds to wait before that for the answer to a start that is under way; and where only an
#: exception ends the work, so that nobody is about to kill the process.
START_TIMEOUT, UNHURRIED_START_TIMEOUT = 2.0, 60.0
#: Seconds to search for a run whose start was not answered by then.
SEARCH_TIMEOUT = 1.0


def cancel_before_exit(backend: Backend, ref: RunRef, log: Log, action: str | None = None) -> bool:
    """Cancel a run within about four seconds, log the result, and raise nothing.

    :param backend: of the run's connection; made beforehand, as there is no time to look it up.
    :param ref: the run.
    :param log: gets one line.
    :param action: how to cancel, where the API has several ways; by default the connection's.
    :return: whether the server has accepted that, or the run has ended.
    """

    def call() -> Run:
        until = time.time() + CANCEL_TIMEOUT
        flow = cancel_run(backend, ref, action=action, deadline=until, hurried=True)
        return _drive_alone(backend, flow)

    try:
        run = in_time(call, 2 * CANCEL_TIMEOUT)
    except TimeoutError:
        log.warning("The cancel of %s before exit has no answer yet", ref)
    except Exception as error:  # noqa: BLE001 - the task already ends with another error
        words = error if isinstance(error, RunsError) else backend.settings.shown(str(error))
        log.warning("Could not cancel %s before exit; it may still be running. %s", ref, words)
    else:
        log.warning(
            "The task is being killed: the cancel of %s was requested, and it was %s then",
            *(ref, run.status.shown),
        )
        return True
    return False


def _drive_alone(backend: Backend, flow: Flow[T]) -> T:
    """Run a flow to its end with an HTTP client of its own."""
    with make_client(backend) as http:
        return drive(flow, http)


def start_job(backend: Backend, flow: Flow[Run]) -> Job[Run]:
    """Return the job that starts a run: what interrupts its caller does not lose the answer.

    :param backend: of the connection; the job has an HTTP client of its own.
    :param flow: starts the run.
    """
    return Job(lambda: _drive_alone(backend, flow))


def cancel_started(
    backend: Backend,
    job: Job[Run],
    log: Log,
    action: str | None = None,
    *,
    seconds: float = START_TIMEOUT,
    start: Start | None = None,
) -> bool:
    """Cancel the run that a job starts, as ``cancel_before_exit`` does, once its id is known.

    :param backend: of the run's connection.
    :param job: starts the run.
    :param log: gets one line.
    :param action: how to cancel, where the API has several ways; by default the connection's.
    :param seconds: how long to wait for the answer to the start, in seconds.
    :param start: what the job sends: its run is searched for if the answer does not come.
    :return: whether the run was cancelled; it was not if there is none, or it is not known yet.
    """
    if not job.has_begun:
        return False
    try:
        run = job.wait(seconds)
    except TimeoutError:
        found = _search(backend, start) if start else None
        if found is None:
            marks = f" with {KEY!r} {start.key!r} in its metadata" if start else ""
            log.warning("The start has no answer yet: a run%s may be out there. Look for it", marks)
            return False
        run = found
    except Exception:  # noqa: BLE001 - it is raised where the start is waited for
        return False
    return cancel_before_exit(backend, RunRef(run.id, run.thread_id), log, action)


def _search(backend: Backend, start: Start) -> Run | None:
    """Search once for the run of a start; ``None`` if it cannot be found in time."""
    if not backend.finds(start):
        return None
    try:
        found = in_time(lambda: _drive_alone(backend, search_once(backend, start)), SEARCH_TIMEOUT)
    except Exception:  # noqa: BLE001 - the task already ends with another error
        return None
    return found.run if found else None


class GuardedStart:
    """A start, and the cancel of its run whatever happens meanwhile.

    :param backend: of the connection.
    :param flow: starts the run.
    :param log: gets a line about each cancel.
    """

    def __init__(self, backend: Backend, flow: Flow[Run], log: Log) -> None:
        self._backend = backend
        self._job = start_job(backend, flow)
        self._log = log
        self._is_killed = False
        self._is_cancelled = False

    def wait(self) -> Run:
        """Start the run, and return it; if the process was told to end meanwhile, cancel it.

        :raises RunsError: as the flow does.
        """
        run = self._job.begin().wait()
        if self._is_killed and not self._is_cancelled:
            cancel_before_exit(self._backend, RunRef(run.id, run.thread_id), self._log)
        return run

    def kill(self) -> None:
        """Cancel the run within the seconds that are left to a process that is told to end."""
        self._is_killed = True
        self._is_cancelled = cancel_started(self._backend, self._job, self._log)

    def cancel(self) -> None:
        """Cancel the run because an exception ends the work: the process goes on."""
        cancel_started(self._backend, self._job, self._log, seconds=UNHURRIED_START_TIMEOUT)


@contextmanager
def cancel_on_sigterm(backend: Backend, ref: RunRef, log: Log) -> Iterator[Callable[[], None]]:
    """Cancel a run when this process gets SIGTERM within the block.

    Yields the function that cancels, for other ways to leave the block.

    :param backend: of the run's connection.
    :param ref: the run.
    :param log: gets one line about each cancel.
    :raises RunsConfigError: if an id is not valid; raised before the block begins.
    """
    backend.cancel(ref)

    def cancel() -> None:
        cancel_before_exit(backend, ref, log)

    with on_sigterm(cancel):
        yield cancel


@contextmanager
def on_sigterm(act: Callable[[], None]) -> Iterator[None]:
    """Call ``act`` when this process gets SIGTERM within the block, then the handler set before.

    Python handles signals in the main thread only. In another thread the block runs unchanged.

    :param act: what to call.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    owner = os.getpid()

    def handle(signum: int, frame: FrameType | None) -> None:
        if os.getpid() == owner:  # a child may get the signal before it has the other handler
            act()
        signal.signal(signum, before)
        if callable(before):
            before(signum, frame)
        elif before == signal.SIG_DFL:
            signal.raise_signal(signum)

    # None means a handler that was not set from Python. Python cannot set it again.
    before = signal.signal(signal.SIGTERM, handle) or signal.SIG_DFL
    _replaced.append(before)
    try:
        yield
    finally:
        if _replaced:  # else this is a child that was forked in the block
            _replaced.pop()
            signal.signal(signal.SIGTERM, before)


#: What the handlers of the blocks that go on have replaced, the first one first.
_replaced: list[signal.Handlers | Callable[[int, FrameType | None], object] | int] = []


def _forget_in_child() -> None:
    """Give a forked child the handler of before: it inherits ours, but not the run.

    A handler of Python's would also keep SIGTERM from ending a child that is about to block in C,
    such as a worker of a pool that waits for a lock.
    """
    if _replaced:
        signal.signal(signal.SIGTERM, _replaced[0])
        _replaced.clear()


os.register_at_fork(after_in_child=_forget_in_child)
