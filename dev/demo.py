"""The main jobs, shown: runs are cancelled, and awaited until they have ended; and started once.

In the first act a DAG cancels two long runs. In the second one a whole Airflow, with scheduler and
triggerer, runs tasks that start a run each: one ends, one takes too long, one loses its worker.

``make demo`` plays them on the embedded server; ``make demo BACKEND=langgraph`` on a LangGraph
Agent Server that it starts; ``make demo URL=https://… `` only the first, on a real server, with its
key in the environment variable API_KEY. Airflow has a home and a database that are thrown away.
Nothing of an Airflow that the caller's environment names is used, nor are its proxies and
certificates, save for a URL.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from airflow_provider_runs.testing import Assistants
from dev.demo_cancel import EXAMPLES, cancel_runs
from dev.demo_stage import BACKENDS, print_failure
from dev.demo_start import start_runs
from dev.own_environment import use_own_environment


def main() -> int:
    """Run the demo; return 0 if all is as it should be."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--url", help="base URL of a real server instead of one of our own")
    parser.add_argument("--backend", choices=sorted(BACKENDS), default=Assistants.name)
    options = parser.parse_args()
    with contextlib.ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="runs-demo-")))
        use_own_environment(home, outside=bool(options.url))
        stage = stack.enter_context(BACKENDS[options.backend](options.url))
        env = {
            **os.environ,
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__DAGS_FOLDER": str(EXAMPLES),
            f"AIRFLOW_CONN_{stage.conn_id.upper()}": stage.connection,
            "PYTHONPATH": str(EXAMPLES),
            "PYTHONUNBUFFERED": "1",
            "NO_COLOR": "1",
        }
        print(f"Run server: {stage.url}\nPreparing a throw-away Airflow database …", flush=True)
        if not migrate(env):
            return 1
        return cancel_runs(stage, env) or start_runs(stage, home)


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


if __name__ == "__main__":
    sys.exit(main())
