"""The main job, shown: a DAG cancels two long runs and waits, deferred, until they have ended.

``make demo`` runs it on the embedded server; ``make demo URL=https://… `` on a real one, with its
key in the environment variable API_KEY. Airflow runs the example DAG in a process of its own, with
a home and a database that are thrown away; what is printed here is read from that process's log.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from airflow_provider_runs.testing import RunScript, RunServer

ROOT = Path(__file__).resolve().parents[1]
DAGS = ROOT / "example_dags"

#: Runs the DAG; prints each HTTP call that goes to a run server, which httpx logs.
CHILD = """
import logging
import sys

class Calls(logging.Handler):
    def emit(self, record):
        method, url = record.args[:2]
        print("HTTP", method, url, flush=True)

from example_cancel_run import dag

logging.getLogger("httpx").setLevel(logging.INFO)
logging.getLogger("httpx").addHandler(Calls())
sys.exit(dag.test().state != "success")
"""


@dataclass
class Seen:
    """What the log told of a run."""

    before: str
    after: str = "?"
    asked_at: float | None = None
    final_at: float | None = None
    calls: int = 0


def main() -> int:
    """Run the demo; return 0 if both runs were cancelled."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--url", help="base URL of a real server instead of the embedded one")
    url = options.parse_args().url
    with contextlib.ExitStack() as stack:
        home = stack.enter_context(tempfile.TemporaryDirectory(prefix="runs-demo-"))
        if url:
            key = os.environ.get("API_KEY", "")
            connection = json.dumps({"conn_type": "runs_assistants", "host": url, "password": key})
        else:
            server = stack.enter_context(RunServer(script=RunScript(cancelling_for=4)))
            url, connection = server.url, server.connection()
        env = {
            **os.environ,
            "AIRFLOW_HOME": home,
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__DAGS_FOLDER": str(DAGS),
            "AIRFLOW_CONN_RUNS_DEFAULT": connection,
            "PYTHONPATH": str(DAGS),
            "PYTHONUNBUFFERED": "1",
            "NO_COLOR": "1",
        }
        print(f"Run server: {url}\nPreparing a throw-away Airflow database …", flush=True)
        subprocess.run(
            [sys.executable, "-m", "airflow", "db", "migrate"],
            env=env,
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.STDOUT,
        )
        print("Running the DAG example_cancel_run …\n", flush=True)
        return run_dag(env)


def run_dag(env: dict[str, str]) -> int:
    """Run the DAG, print what happens to the runs, and a table at the end."""
    begun = time.monotonic()
    seen: dict[str, Seen] = {}
    log: list[str] = []
    with subprocess.Popen(
        [sys.executable, "-c", CHILD],
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
        print("".join(log[-80:]), "The demo failed; above is the end of Airflow's log.", sep="\n")
        return 1
    print_table(seen)
    return 0


def read_line(line: str, seen: dict[str, Seen], now: float) -> str | None:
    """Take in a line of the log; return what it says about a run, if anything."""
    if match := re.match(r"HTTP (\w+) \S*/runs/([^/\s]+)", line):
        if run := seen.get(match[2]):
            run.calls += 1
        return None
    if match := re.search(r"Started run '([^']+)': (\w+)", line):
        seen[match[1]] = Seen(before=match[2])
        return match[0]
    if match := re.search(r"[Rr]un '([^']+)' on thread '[^']+' is (\w+)", line):
        run = seen[match[1]]
        if run.after == match[2]:
            return None
        run.after = match[2]
        run.asked_at = run.asked_at or now
        if match[2] not in {"queued", "in_progress", "cancelling"}:
            run.final_at = now
        return f"Run '{match[1]}' is {match[2]}"
    return None


def print_table(seen: dict[str, Seen]) -> None:
    """Print what became of each run."""
    print(f"\n{'run':30} {'before':12} {'after':12} {'s to final':>10} {'HTTP calls':>10}")
    for run_id, run in seen.items():
        took = (run.final_at or 0) - (run.asked_at or 0)
        print(f"{run_id:30} {run.before:12} {run.after:12} {took:10.1f} {run.calls:10}")


if __name__ == "__main__":
    sys.exit(main())
