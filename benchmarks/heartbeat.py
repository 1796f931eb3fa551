"""How long an event loop lets others wait."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

#: Seconds between two beats.
PERIOD = 0.005


@asynccontextmanager
async def heartbeat() -> AsyncIterator[list[float]]:
    """Let a heart beat for the block; gives the list of how late each beat was, in seconds.

    A stall makes all the beats late that were due in it, so that long stalls count for more.
    """
    late: list[float] = []
    task = asyncio.create_task(_beat(late))
    try:
        yield late
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _beat(late: list[float]) -> None:
    due = time.monotonic() + PERIOD
    while True:
        await asyncio.sleep(due - time.monotonic())
        now = time.monotonic()
        while due <= now:
            late.append(now - due)
            due += PERIOD


def quantile(numbers: list[float], share: float) -> float:
    """Return the number below which a share of the numbers lie."""
    return sorted(numbers)[min(len(numbers) - 1, int(share * len(numbers)))]
