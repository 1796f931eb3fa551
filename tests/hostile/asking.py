"""Calls of a hook in each of the three ways; one that hangs is ended."""

from __future__ import annotations

import asyncio
import inspect
import signal
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from airflow_provider_runs.hooks import RunsHook
from tests.hostile.answers import RUN_ID, THREAD_ID

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["BOUND", "SLACK", "Call", "Outcome", "Way", "call_at_once"]

#: Seconds that a call may take with ``timeout=1`` and no retries, and what a busy machine adds.
BOUND, SLACK = 3.0, 1.0
#: Seconds after which a call is said to hang.
PATIENCE = 6.0


class Way(StrEnum):
    """How a byte is read."""

    BLOCKING = "blocking"
    PLAIN = "plain"
    FAST = "fast"


@dataclass(frozen=True, slots=True)
class Call:
    """A call of a hook, by its blocking name; it may be made several times."""

    name: str = "get_run"
    args: tuple[Any, ...] = (RUN_ID, THREAD_ID)
    kwargs: dict[str, Any] = field(default_factory=dict)
    times: int = 1
    patience: float = PATIENCE


@dataclass(slots=True)
class Outcome:
    """How a call ended: with a value or an error. A call that hangs has neither."""

    value: Any = None
    error: BaseException | None = None
    seconds: float = float("inf")

    @property
    def words(self) -> str:
        """What happened, briefly."""
        if self.seconds == float("inf"):
            return "it hangs"
        if self.error is None:
            return f"{type(self.value).__name__} after {self.seconds:.1f} s"
        return f"{type(self.error).__name__} after {self.seconds:.1f} s: {str(self.error)[:300]!r}"


class Hangs(BaseException):
    """A call has taken too long."""


def call_at_once(way: Way, calls: Sequence[tuple[str, Call]]) -> list[Outcome]:
    """Make calls at the same time: in a thread each, or on one event loop.

    :param calls: each with the id of its connection.
    """
    outcomes = [Outcome() for _ in calls]
    patience = max(call.patience for _, call in calls)
    with suppress(Hangs), _alarm(patience):
        if way is not Way.BLOCKING:
            asyncio.run(_await_all(calls, outcomes))
        elif len(calls) == 1:
            _block(*calls[0], outcomes[0])
        else:
            _block_all(calls, outcomes, patience)
    return [Outcome(each.value, each.error, each.seconds) for each in outcomes]


@contextmanager
def _alarm(seconds: float) -> Iterator[None]:
    """Interrupt the block when it has taken too long, also within a regular expression."""

    def ring(*_: object) -> None:
        raise Hangs

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds, 1)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _block_all(
    calls: Sequence[tuple[str, Call]], outcomes: Sequence[Outcome], patience: float
) -> None:
    threads = [
        threading.Thread(target=_block, args=(*each, outcome), daemon=True)
        for each, outcome in zip(calls, outcomes, strict=True)
    ]
    for thread in threads:
        thread.start()
    give_up = time.monotonic() + patience - 0.5
    for thread in threads:
        thread.join(max(0.0, give_up - time.monotonic()))


def _block(conn_id: str, call: Call, outcome: Outcome) -> None:
    begun = time.monotonic()
    try:
        with RunsHook(conn_id) as hook:
            for _ in range(call.times):
                outcome.value = getattr(hook, call.name)(*call.args, **call.kwargs)
                if inspect.isgenerator(outcome.value):
                    outcome.value = list(outcome.value)
    except (Hangs, asyncio.CancelledError):
        return
    except BaseException as error:  # noqa: BLE001 - whichever it is, the test judges it
        outcome.error = error
    outcome.seconds = time.monotonic() - begun


async def _await_all(calls: Sequence[tuple[str, Call]], outcomes: Sequence[Outcome]) -> None:
    each = zip(calls, outcomes, strict=True)
    await asyncio.gather(*(_await(*call, outcome) for call, outcome in each))


async def _await(conn_id: str, call: Call, outcome: Outcome) -> None:
    begun = time.monotonic()
    try:
        async with RunsHook(conn_id) as hook:
            for _ in range(call.times):
                made = getattr(hook, f"a{call.name}")(*call.args, **call.kwargs)
                if inspect.isasyncgen(made):
                    outcome.value = [item async for item in made]
                else:
                    outcome.value = await made
    except (Hangs, asyncio.CancelledError):
        return
    except BaseException as error:  # noqa: BLE001 - whichever it is, the test judges it
        outcome.error = error
    outcome.seconds = time.monotonic() - begun
