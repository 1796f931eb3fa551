"""The last call: cancelling a run while the process that watches it is being ended.

A signal handler interrupts the main thread wherever it is, perhaps inside the HTTP client or while
it talks to Airflow's supervisor, and either may hold a lock. So the cancel goes through a thread
and a client of its own, with settings read beforehand, and is waited for no longer than bearable.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from airflow_provider_runs.flows.calls import cancel_run
from airflow_provider_runs.transport.clients import make_client
from airflow_provider_runs.transport.drivers import drive

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

    from airflow_provider_runs.backends import Backend
    from airflow_provider_runs.flows.steps import Log
    from airflow_provider_runs.models import RunRef

__all__ = ["LAST_CALL", "cancel_before_exit", "cancel_on_sigterm", "on_sigterm"]

#: Seconds for the cancel and as many to look at the run after a refusal. Airflow sends SIGKILL
#: five seconds after SIGTERM (its Task SDK has the number built in).
LAST_CALL = 2.0


def cancel_before_exit(backend: Backend, ref: RunRef, log: Log) -> None:
    """Cancel a run in at most some four seconds; log how it went, and raise nothing.

    :param backend: made beforehand: there is no time to look up a connection now.
    :param log: gets one line.
    """
    said: list[str] = []

    def call() -> None:
        try:
            with make_client(backend) as http:
                run = drive(cancel_run(backend, ref, deadline=time.time() + LAST_CALL), http)
        except Exception as error:  # noqa: BLE001 - the task is ending with an error of its own
            said.append(f"Could not cancel {ref} before exit; it may go on. {error}")
        else:
            said.append(f"Cancelled {ref} before exit: it is {run.status.value}")

    thread = threading.Thread(target=call, daemon=True, name="cancel-run-before-exit")
    thread.start()
    thread.join(2 * LAST_CALL)
    log.warning("%s", said[0] if said else f"Cancelling {ref} before exit has got no answer yet")


@contextmanager
def cancel_on_sigterm(backend: Backend, ref: RunRef, log: Log) -> Iterator[Callable[[], None]]:
    """Cancel a run when this process gets SIGTERM within the block.

    Yields what does it, for the other ways out.

    :raises RunsConfigError: if the run cannot be cancelled because of its ids; before the block.
    """
    backend.cancel(ref)

    def cancel() -> None:
        cancel_before_exit(backend, ref, log)

    with on_sigterm(cancel):
        yield cancel


@contextmanager
def on_sigterm(act: Callable[[], None]) -> Iterator[None]:
    """Call ``act`` when this process gets SIGTERM within the block, then whoever was to be called.

    Outside the main thread, where Python handles no signals, the block runs without it.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def handle(signum: int, frame: FrameType | None) -> None:
        act()
        signal.signal(signum, before)
        if callable(before):
            before(signum, frame)
        elif before == signal.SIG_DFL:
            signal.raise_signal(signum)

    # None stands for a handler that was not set from Python, and cannot be set again from it.
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
