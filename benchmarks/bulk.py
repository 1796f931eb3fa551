"""Cancelling hundreds of runs with one task, on a server that takes its time.

``python -m benchmarks.bulk URL THREADS CONCURRENCY`` is the process that is measured.
"""

from __future__ import annotations

import json
import math
import os
import sys
import time
from typing import TYPE_CHECKING

from benchmarks.line import Line
from benchmarks.processes import order, read_line, running, server, start

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Seconds after which the server answers.
LATENCY = 0.05
THREADS = 10
#: Requests at once: the operator's default, and more.
CONCURRENCIES = (8, 32)
#: What "a small multiple" of the ideal is.
MULTIPLE = 3.0


def measure(home: str, runs: int) -> Iterator[Line]:
    """Yield the lines.

    The ideal lists each thread, cancels each run and lists each thread once more, all the time with
    as many requests on their way as are allowed. One by one, each run is cancelled and fetched.

    :param home: a folder for Airflow.
    :param runs: how many runs to cancel.
    """
    for concurrency in CONCURRENCIES:
        print(f"measuring a bulk cancel, {concurrency} requests at once", file=sys.stderr)
        with server(home, LATENCY) as url:
            order(url, "plan", {"runs": runs, "threads": THREADS})
            arguments = (url, str(THREADS), str(concurrency))
            with running(start("benchmarks.bulk", *arguments, home=home)) as process:
                seconds, cancelled = json.loads(read_line(process))
            counts = order(url, "stats")["requests"]
        if cancelled != runs:
            raise RuntimeError(f"{cancelled} of {runs} runs were cancelled")
        rounds = math.ceil(runs / concurrency) + 2 * math.ceil(THREADS / concurrency)
        what = f"cancel {runs} runs, {concurrency} requests at once"
        yield Line(
            f"{what}: until all are confirmed",
            seconds,
            f"ideal: {rounds} rounds of {LATENCY * 1000:g} ms",
            rounds * LATENCY,
            "s",
            MULTIPLE,
            of_theirs=True,
        )
        yield Line(
            f"{what}: until all are confirmed",
            seconds,
            "one by one (estimated)",
            runs * 2 * LATENCY,
            "s",
        )
        yield Line(
            f"{what}: requests per run",
            sum(counts.values()) / runs,
            "a cancel and a look",
            2.0,
        )


def cancel_all(url: str, threads: int, concurrency: int) -> tuple[float, int]:
    """Cancel all active runs; return the seconds it took and how many are cancelled."""
    connection = {"conn_type": "runs_assistants", "host": f"{url}/v1", "password": "any"}
    os.environ["AIRFLOW_CONN_RUNS_DEFAULT"] = json.dumps(connection)
    from airflow_provider_runs.operators import CleanupRunsOperator

    def sweep(threads: list[str], *, dry_run: bool) -> list[dict[str, str]]:
        operator = CleanupRunsOperator(
            task_id="bulk",
            thread_ids=threads,
            max_concurrency=concurrency,
            dry_run=dry_run,
            deferrable=False,
        )
        return operator.execute({})

    sweep(["thread_000000"], dry_run=True)  # imports what is imported on first use
    begin = time.monotonic()
    report = sweep([f"thread_{number:06d}" for number in range(threads)], dry_run=False)
    seconds = time.monotonic() - begin
    return seconds, sum(line["result"] == "cancelled" for line in report)


if __name__ == "__main__":
    print(json.dumps(cancel_all(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))), flush=True)
