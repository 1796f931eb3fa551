"""The demo's first act: a DAG cancels two long runs and waits, deferred, until they have ended.

Airflow runs the example DAG in a process of its own; what is printed here is read from that
process's log.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dev.demo_stage import print_failure

if TYPE_CHECKING:
    from dev.demo_stage import Stage

EXAMPLES = Path(__file__).resolve().parents[1] / "example_dags"
#: How a run ended that was cancelled, in the words of a server: one that was rolled back is gone.
CANCELLED = {"interrupted", "404"}

#: Runs a DAG with a conf; prints each HTTP call that goes to a run server, which is logged.
CHILD = """
import importlib
import json
import logging
import sys

class Calls(logging.Handler):
    def emit(self, record):
        method, url = record.args[:2]
        print("HTTP", method, url, flush=True)

dag = importlib.import_module(sys.argv[1]).dag
calls = logging.getLogger("airflow_provider_runs.transport")
calls.setLevel(logging.DEBUG)
calls.addHandler(Calls())
sys.exit(dag.test(run_conf=json.loads(sys.argv[2])).state != "success")
"""


@dataclass
class Seen:
    """What the log told of a run."""

    before: str
    after: str = "?"
    thread_id: str = ""
    asked_at: float | None = None
    final_at: float | None = None
    calls: int = 0


def cancel_runs(stage: Stage, env: dict[str, str]) -> int:
    """Run the DAG, print what happens to the runs, and a table at the end."""
    print(f"Running the DAG {stage.dag} …\n", flush=True)
    begun = time.monotonic()
    seen: dict[str, Seen] = {}
    log: list[str] = []
    with subprocess.Popen(
        [sys.executable, "-c", CHILD, stage.dag, json.dumps(stage.conf)],
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as child:
        assert child.stdout is not None
        for line in child.stdout:
            log.append(line)
            now = time.monotonic() - begun
            if told := read_line(line, seen, now):
                print(f"{now:6.1f} s  {told}", flush=True)
    cancelled = seen and all(run.after == "cancelled" for run in seen.values())
    if child.returncode or not cancelled:
        print_failure("The DAG failed" if child.returncode else "Not all runs were cancelled", log)
        return 1
    print_table(seen)
    return ask_the_server(stage, seen)


def read_line(line: str, seen: dict[str, Seen], now: float) -> str | None:
    """Take in a line of the log; return what it says about a run, if anything."""
    if match := re.match(r"HTTP (\w+) \S*/runs/([^/\s]+)", line):
        if run := seen.get(match[2]):
            run.calls += 1
        return None
    if match := re.search(r"Started run '([^']+)': (\w+)", line):
        seen[match[1]] = Seen(before=match[2])
        return match[0]
    if match := re.search(r"[Rr]un '([^']+)' on thread '([^']+)' is (\w+)", line):
        run = seen[match[1]]
        if run.after == match[3]:
            return None
        run.thread_id, run.after = match[2], match[3]
        run.asked_at = run.asked_at or now
        if match[3] not in {"queued", "in_progress", "cancelling"}:
            run.final_at = now
        return f"Run '{match[1]}' is {match[3]}"
    return None


def print_table(seen: dict[str, Seen]) -> None:
    """Print what became of each run."""
    wide = max(30, *map(len, seen))
    print(f"\n{'run':{wide}} {'before':12} {'after':12} {'s to final':>10} {'HTTP calls':>10}")
    for run_id, run in seen.items():
        took = (run.final_at or 0) - (run.asked_at or 0)
        print(f"{run_id:{wide}} {run.before:12} {run.after:12} {took:10.1f} {run.calls:10}")


def ask_the_server(stage: Stage, seen: dict[str, Seen]) -> int:
    """Print what the server itself says of the runs; return 0 unless one was not cancelled."""
    if stage.ask is None:
        return 0
    ends = {run_id: stage.ask(run.thread_id, run_id) for run_id, run in seen.items()}
    print("\nThe status of each run on the server (404: it was rolled back):")
    for run_id, end in ends.items():
        print(f"{run_id} {end}")
    return int(not set(ends.values()) <= CANCELLED)
