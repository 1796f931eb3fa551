"""How long after a run has ended its end is seen, and how many requests that takes."""

from __future__ import annotations

import asyncio
import json
import math
import os
import re
import shlex
import statistics
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import httpx

from benchmarks.line import Line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: Seconds; the last is the default of the hook and the operator.
POLL_INTERVALS = (1.0, 2.0, 5.0)
#: Runs for each poll interval, whose ends are spread evenly over it.
RUNS = 10
#: Seconds before the first end, when the pauses have grown to the longest of the intervals.
GROWN = 9.0
#: Seconds beyond the poll interval that an end may be seen late.
ALLOWANCE = 0.5
LOG_LINE = re.compile(
    r"(?P<at>\S+ \S+) (?P<method>[A-Z]+) /threads/(?P<thread>\w+)/runs(?P<rest>\S*)"
)


@dataclass(frozen=True, slots=True)
class WatchedRun:
    """A run, and how its end is waited for.

    :param run_id: the run.
    :param thread_id: its thread, which has no other run.
    :param poll_interval: the wait's, in seconds.
    :param lasts: seconds from the request that sets the run's end until that end.
    """

    run_id: str
    thread_id: str
    poll_interval: float
    lasts: float


def measure(home: str) -> Iterator[Line]:
    """Yield the lines of each way to wait; all of its waits go on at once.

    :param home: a folder for Airflow and for the server's log.
    """
    # Before anything imports Airflow, which would tell of each run as well.
    os.environ.update(AIRFLOW_HOME=home, AIRFLOW__LOGGING__LOGGING_LEVEL="ERROR")
    import airflow_provider_runs.hooks
    import airflow_provider_runs.operators
    import airflow_provider_runs.triggers  # noqa: F401 - here, so that no wait has to

    log = Path(home, "server.log")
    with _server(log) as (url, connection):
        os.environ["AIRFLOW_CONN_RUNS_DEFAULT"] = connection
        for name, setting, last_post, wait in (
            ("RunsHook.wait_for_run", "runs_for", "", _in_threads(_wait_for_run)),
            ("CancelRunOperator", "cancelling_for", "/cancel", _in_threads(_cancel)),
            ("RunStatusTrigger", "runs_for", "", _on_event_loop),
        ):
            runs = _create_runs(url, setting)
            seen = wait(runs)
            yield from _lines(name, runs, seen, _read(log, runs, last_post))


@contextmanager
def _server(log: Path) -> Iterator[tuple[str, str]]:
    """Run the run server in a process of its own; give its URL and an Airflow connection to it."""
    command = [sys.executable, "-m", "airflow_provider_runs.testing", "--queued-for", "0"]
    with log.open("w") as output, subprocess.Popen(command, stdout=output) as process:
        try:
            while not (found := re.search(r"AIRFLOW_CONN_RUNS_DEFAULT=(.*)\n", log.read_text())):
                if process.poll() is not None:
                    raise RuntimeError(f"the run server ended: {log.read_text()}")
                time.sleep(0.05)
            (connection,) = shlex.split(found[1])
            yield json.loads(connection)["host"], connection
        finally:
            process.terminate()


def _create_runs(url: str, setting: str) -> list[WatchedRun]:
    runs = []
    with httpx.Client(
        base_url=url, headers={"Authorization": "Bearer any"}, trust_env=False
    ) as http:
        for interval in POLL_INTERVALS:
            for number in range(RUNS):
                lasts = GROWN + interval * (number + 0.5) / RUNS
                thread_id = http.post("/threads", json={}).raise_for_status().json()["id"]
                body = {
                    "assistant_id": "asst_x",
                    "metadata": {"runs_for": "inf", setting: str(lasts)},
                }
                run = http.post(f"/threads/{thread_id}/runs", json=body).raise_for_status().json()
                runs.append(WatchedRun(run["id"], thread_id, interval, lasts))
    return runs


def _in_threads(wait: Callable[[WatchedRun], None]) -> Callable[[list[WatchedRun]], list[float]]:
    def timed(run: WatchedRun) -> float:
        wait(run)
        return time.time()

    def wait_for_all(runs: list[WatchedRun]) -> list[float]:
        with ThreadPoolExecutor(len(runs)) as pool:
            return list(pool.map(timed, runs))

    return wait_for_all


def _wait_for_run(run: WatchedRun) -> None:
    from airflow_provider_runs.hooks import RunsHook

    RunsHook().wait_for_run(run.run_id, run.thread_id, poll_interval=run.poll_interval)


def _cancel(run: WatchedRun) -> None:
    from airflow_provider_runs.operators import CancelRunOperator

    CancelRunOperator(
        task_id=run.run_id,
        run_id=run.run_id,
        thread_id=run.thread_id,
        poll_interval=run.poll_interval,
        deferrable=False,
    ).execute({})


def _on_event_loop(runs: list[WatchedRun]) -> list[float]:
    from airflow_provider_runs.triggers import RunStatusTrigger

    async def timed(run: WatchedRun) -> float:
        trigger = RunStatusTrigger(
            run_id=run.run_id,
            thread_id=run.thread_id,
            deadline=time.time() + 60,
            poll_interval=run.poll_interval,
        )
        async for _ in trigger.run():
            pass
        return time.time()

    async def wait_for_all() -> list[float]:
        return await asyncio.gather(*map(timed, runs))

    return asyncio.run(wait_for_all())


@dataclass(slots=True)
class _Talk:
    """What the server's log says of one thread.

    :param ends_at: when its run ends, in epoch seconds.
    :param looks: when each request about the run was answered, in epoch seconds.
    """

    ends_at: float = 0.0
    looks: list[float] = field(default_factory=list)


def _read(log: Path, runs: list[WatchedRun], last_post: str) -> dict[str, _Talk]:
    """Return what the server logged, by thread.

    :param last_post: how the path of the request ends that sets a run's end.
    """
    lasts = {run.thread_id: run.lasts for run in runs}
    talks = {run.thread_id: _Talk() for run in runs}
    for found in LOG_LINE.finditer(log.read_text()):
        talk = talks.get(found["thread"])
        if talk is None:  # of another way to wait
            continue
        at = datetime.strptime(found["at"], "%Y-%m-%d %H:%M:%S,%f").timestamp()  # noqa: DTZ007 - local
        if found["method"] == "POST" and found["rest"].endswith(last_post):
            talk.ends_at = at + lasts[found["thread"]]
        if found["rest"]:
            talk.looks.append(at)
    return talks


def _lines(
    name: str, runs: list[WatchedRun], seen: list[float], talks: dict[str, _Talk]
) -> Iterator[Line]:
    for interval in POLL_INTERVALS:
        ends = [
            (talks[run.thread_id], at)
            for run, at in zip(runs, seen, strict=True)
            if run.poll_interval == interval
        ]
        late = [at - talk.ends_at for talk, at in ends]
        exact = [1 + math.ceil((talk.ends_at - talk.looks[0]) / interval) for talk, _ in ends]
        what, beside = f"{name} every {interval:g} s", "poll interval"
        yield Line(f"{what}: late, p50", statistics.median(late), beside, interval, "s")
        yield Line(f"{what}: late, max", max(late), beside, interval, "s", interval + ALLOWANCE)
        yield Line(
            f"{what}: requests per wait",
            statistics.mean(len(talk.looks) for talk, _ in ends),
            "polls at that interval exactly",
            statistics.mean(exact),
        )
