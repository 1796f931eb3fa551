"""The main job, shown: a DAG cancels two long runs and waits, deferred, until they have ended.

``make demo`` runs it on the embedded server; ``make demo BACKEND=langgraph`` on a LangGraph Agent
Server that it starts; ``make demo URL=https://… `` on a real one, with its key in the environment
variable API_KEY. Airflow runs the example DAG in a process of its own, with a home and a database
that are thrown away; what is printed here is read from that process's log. Nothing of an Airflow
that the caller's environment names is used, nor are its proxies and certificates, save for a URL.
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
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_provider_runs.testing import Assistants, LangGraph, RunScript, RunServer
from dev.airflow_log import why
from dev.own_environment import use_own_environment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

ROOT = Path(__file__).resolve().parents[1]
DAGS = ROOT / "example_dags"

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
class Stage:
    """Where the demo plays.

    :param url: base URL of the run server.
    :param connection: the Airflow connection to it, as JSON.
    :param dag: the example DAG, whose tasks use the connection ``conn_id``.
    :param conf: what the DAG is triggered with.
    :param ask: asks the server itself, by thread and run id, how a run ended; by default what
        Airflow says of it is enough.
    """

    url: str
    connection: str
    dag: str = "example_cancel_run"
    conn_id: str = "runs_default"
    conf: dict[str, str] = field(default_factory=dict)
    ask: Callable[[str, str], str] | None = None


@dataclass
class Seen:
    """What the log told of a run."""

    before: str
    after: str = "?"
    thread_id: str = ""
    asked_at: float | None = None
    final_at: float | None = None
    calls: int = 0


@contextlib.contextmanager
def assistants(url: str | None) -> Iterator[Stage]:
    """Play on a server of the Assistants API, by default on the embedded one."""
    if url:
        yield Stage(url, connection_to("runs_assistants", url))
        return
    with RunServer(script=RunScript(cancelling_for=4)) as server:
        yield Stage(server.url, server.connection())


@contextlib.contextmanager
def langgraph(url: str | None) -> Iterator[Stage]:
    """Play on a LangGraph Agent Server, by default on one that is started here."""
    stage = partial(Stage, dag="example_langgraph", conn_id="runs_langgraph_default")
    if url:
        yield stage(url, connection_to("runs_langgraph", url))
        return
    from dev.agent_server import AgentServer

    print("Starting a LangGraph Agent Server …", flush=True)
    with AgentServer() as server:

        def ask(thread_id: str, run_id: str) -> str:
            answer = server.request("GET", f"/threads/{thread_id}/runs/{run_id}")
            return "404" if answer.status_code == 404 else str(answer.json()["status"])

        conf = {"assistant_id": "sleeper"}
        connection = connection_to("runs_langgraph", server.url)
        yield stage(server.url, connection, conf=conf, ask=ask)


#: The APIs with an example DAG that starts its own runs, by the name of the run server's dialect.
BACKENDS = {Assistants.name: assistants, LangGraph.name: langgraph}
#: How a run ended that was cancelled, in the words of a server: one that was rolled back is gone.
CANCELLED = {"interrupted", "404"}


def connection_to(conn_type: str, url: str) -> str:
    """Return an Airflow connection as JSON; its key comes from the environment."""
    key = os.environ.get("API_KEY", "")
    return json.dumps({"conn_type": conn_type, "host": url, "password": key})


def main() -> int:
    """Run the demo; return 0 if both runs were cancelled."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--url", help="base URL of a real server instead of one of our own")
    parser.add_argument("--backend", choices=sorted(BACKENDS), default=Assistants.name)
    options = parser.parse_args()
    with contextlib.ExitStack() as stack:
        home = stack.enter_context(tempfile.TemporaryDirectory(prefix="runs-demo-"))
        use_own_environment(Path(home), outside=bool(options.url))
        stage = stack.enter_context(BACKENDS[options.backend](options.url))
        env = {
            **os.environ,
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__DAGS_FOLDER": str(DAGS),
            f"AIRFLOW_CONN_{stage.conn_id.upper()}": stage.connection,
            "PYTHONPATH": str(DAGS),
            "PYTHONUNBUFFERED": "1",
            "NO_COLOR": "1",
        }
        print(f"Run server: {stage.url}\nPreparing a throw-away Airflow database …", flush=True)
        if not migrate(env):
            return 1
        print(f"Running the DAG {stage.dag} …\n", flush=True)
        return run_dag(stage, env)


def migrate(env: dict[str, str]) -> bool:
    """Make the database; return whether that worked, and print why if not."""
    done = subprocess.run(
        [sys.executable, "-m", "airflow", "db", "migrate"],
        env=env,
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode:
        print_failure("`airflow db migrate` failed", done.stdout.splitlines())
    return not done.returncode


def run_dag(stage: Stage, env: dict[str, str]) -> int:
    """Run the DAG, print what happens to the runs, and a table at the end."""
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


def print_failure(what: str, log: Sequence[str]) -> None:
    """Print what failed, and what Airflow's log says of why."""
    print(f"\n{what}. Airflow's log says:\n", *why(log), "\nThe demo failed.", sep="\n")


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


if __name__ == "__main__":
    sys.exit(main())
