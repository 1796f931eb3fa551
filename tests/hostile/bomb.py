"""A process that makes one call, and prints how it ended, and what that took, as JSON.

Its arguments are the way, and the ids of two connections: a good one to warm up, and the bomb's.
"""

from __future__ import annotations

import asyncio
import faulthandler
import gc
import json
import resource
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

if sys.argv[1:2] == ["plain"]:
    sys.modules["airflow_provider_runs.transport.aiohttp"] = None  # type: ignore[assignment]

from airflow_provider_runs.errors import RunsError
from airflow_provider_runs.hooks import RunsHook
from tests.hostile.answers import RUN_ID, THREAD_ID

#: Seconds after which the call is said to hang; then the process says where, and ends.
PATIENCE = 8.0
#: What the process may take more than it has, in bytes, so that no bomb harms the machine.
MOST = 3 << 30
_SELF = Path("/proc/self")


def memory(name: str) -> float:
    """Return a figure of this process's memory, in MB."""
    lines = _SELF.joinpath("status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:")) / 1024


def limit() -> None:
    """Bound what this process may take from now on, and forget what it has taken at most."""
    faulthandler.dump_traceback_later(PATIENCE, exit=True)  # also if nothing else gets to run
    gc.collect()
    taken = int(memory("VmSize") * (1 << 20))
    resource.setrlimit(resource.RLIMIT_AS, (taken + MOST, taken + MOST))
    with suppress(OSError):
        _SELF.joinpath("clear_refs").write_text("5")


async def beat(gaps: list[float]) -> None:
    """Note how long the event loop keeps somebody waiting who sleeps for a millisecond."""
    while True:
        before = time.perf_counter()
        await asyncio.sleep(0.001)
        gaps.append(time.perf_counter() - before - 0.001)


async def look(conn_id: str) -> Any:
    async with RunsHook(conn_id) as hook:
        return await hook.aget_run(RUN_ID, THREAD_ID)


async def measured(good: str, bomb: str, result: dict[str, Any]) -> None:
    await look(good)
    gaps: list[float] = []
    heart = asyncio.create_task(beat(gaps))
    limit()
    await asyncio.sleep(0.05)
    gaps.clear()
    result["before"] = memory("VmRSS")
    begun = time.perf_counter()
    try:
        result["status"] = str((await look(bomb)).status)[:100]
    finally:
        result["seconds"] = time.perf_counter() - begun
        await asyncio.sleep(0.01)
        heart.cancel()
        result["hold"] = max(gaps) * 1000


def block(good: str, bomb: str, result: dict[str, Any]) -> None:
    with RunsHook(good) as hook:
        hook.get_run(RUN_ID, THREAD_ID)
    limit()
    result["before"] = memory("VmRSS")
    begun = time.perf_counter()
    try:
        with RunsHook(bomb) as hook:
            result["status"] = str(hook.get_run(RUN_ID, THREAD_ID).status)[:100]
    finally:
        result["seconds"] = time.perf_counter() - begun


def main(way: str, good: str, bomb: str) -> None:
    result: dict[str, Any] = {"outcome": "Run", "is_ours": True, "hold": 0.0}
    try:
        if way == "blocking":
            block(good, bomb, result)
        else:
            asyncio.run(measured(good, bomb, result))
    except BaseException as error:  # noqa: BLE001 - whichever it is, the test judges it
        result["outcome"] = type(error).__name__
        result["is_ours"] = isinstance(error, RunsError)
        result["words"] = str(error)[:300]
    result["growth"] = memory("VmHWM") - result.get("before", 0.0)
    result["has_extra"] = "aiohttp" in sys.modules
    sys.stdout.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
