"""The process that is measured: one contender waits for many runs.

``python -m benchmarks.measured JOB``, with a ``Job`` as JSON, prints a ``Measured`` as JSON, or
``null`` if the contender is not there: ours with an extra that it does not use.
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import time
from dataclasses import asdict
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

import psutil

from benchmarks.contenders import CONTENDERS
from benchmarks.heartbeat import heartbeat, quantile
from benchmarks.jobs import Job, Measured
from benchmarks.processes import order

if TYPE_CHECKING:
    from benchmarks.contenders import Watch

#: Waits that run before anything is measured.
WARM_UPS = 5
#: Seconds over which the waits begin, and in how many parts.
BEGINNING, PARTS = 1.0, 50
#: Seconds that the ends may be late before they are given up.
PATIENCE = 30.0
#: What is used where the extra ``fast`` is installed.
FAST = "airflow_provider_runs.transport.aiohttp"


async def main(job: Job) -> None:
    """Measure, and print the result."""
    if job.contender == "ours":
        # As if it were not installed: nobody can import it, nor finds its module.
        sys.modules[FAST] = None  # type: ignore[assignment]
    async with CONTENDERS[job.contender](job) as watch:
        order(job.url, "plan", {"runs": WARM_UPS, "threads": job.threads})
        order(job.url, "ends", dict.fromkeys(map(str, range(WARM_UPS)), time.time() + 0.5))
        await asyncio.gather(*map(watch, range(WARM_UPS)))
        if job.contender.endswith("fast") and not sys.modules.get(FAST):
            print("null", flush=True)
            return
        order(job.url, "plan", {"runs": job.waits, "threads": job.threads})
        print(json.dumps(asdict(await _measure(job, watch))), flush=True)


async def _measure(job: Job, watch: Watch) -> Measured:
    seen: dict[int, float] = {}

    async def timed(run: int) -> None:
        await watch(run)
        seen[run] = time.time()

    before = _memory()
    async with asyncio.TaskGroup() as group:
        async with heartbeat() as beginning:
            tasks: list[asyncio.Task[None]] = []
            for part in range(1, PARTS + 1):
                runs = range(len(tasks), part * job.waits // PARTS)
                tasks += [group.create_task(timed(run)) for run in runs]
                await asyncio.sleep(BEGINNING / PARTS)
            await asyncio.sleep(job.warm_up - BEGINNING)
        spent = await _count(job)
        memory = _memory() - before
        async with heartbeat() as ending:
            late = await _end(job, tasks, seen)
        for task in tasks:
            task.cancel()
    return Measured(
        **spent,
        gap_p99=quantile(ending, 0.99) * 1000,
        gap_max=max(ending) * 1000,
        gap_begin=max(beginning) * 1000,
        late_p50=quantile(late, 0.5),
        late_p99=quantile(late, 0.99),
        memory=memory / job.waits,
    )


async def _count(job: Job) -> dict[str, float]:
    """Count for the window, in which nothing of the benchmark's own goes on."""
    before = order(job.url, "stats")
    starved, cpu, begin = _starved(), time.process_time(), time.monotonic()
    await asyncio.sleep(job.window)
    cpu, lasted = time.process_time() - cpu, time.monotonic() - begin
    starved = _starved() - starved
    after = order(job.url, "stats")
    due = job.waits * lasted / job.interval
    done = max(1, min(due, after["shown"] - before["shown"]))
    requests = sum(after["requests"].values()) - sum(before["requests"].values())
    return {
        "cpu": cpu * 1000 / done,
        "kept": done / due,
        "requests": requests / due,
        "server": (after["cpu"] - before["cpu"]) / lasted,
        "starved": starved / lasted,
    }


async def _end(job: Job, tasks: list[asyncio.Task[None]], seen: dict[int, float]) -> list[float]:
    """End some of the runs, and return how many seconds late each end was seen."""
    begin, step = time.time() + 0.1, job.interval / job.ends
    # Any of them: that they end in the order in which they are polled would be a coincidence.
    runs = Random(0).sample(range(job.waits), job.ends)
    ends = {run: begin + step * number for number, run in enumerate(runs)}
    order(job.url, "ends", {str(run): end for run, end in ends.items()})
    await asyncio.wait([tasks[run] for run in ends], timeout=2 * job.interval + PATIENCE)
    return [seen.get(run, time.time()) - end for run, end in ends.items()]


def _starved() -> float:
    """Return for how many seconds this thread was ready to run and had no core, on Linux."""
    try:
        return int(Path("/proc/thread-self/schedstat").read_text().split()[1]) / 1e9
    except OSError:
        return 0.0


def _memory() -> float:
    """Return the resident memory, in KB."""
    gc.collect()
    return float(psutil.Process().memory_info().rss / 1024)


if __name__ == "__main__":
    asyncio.run(main(Job(**json.loads(sys.argv[1]))))
