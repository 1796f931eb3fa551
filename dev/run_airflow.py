"""`make airflow`: a full local Airflow with this provider, a run server and the example DAGs.

Not called airflow.py: a script beside a module of that name would import it as `airflow`.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_provider_runs.testing import RunScript, RunServer
from dev.local_airflow import LocalAirflow

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / "example_dags"

GREETING = """
Airflow        {airflow}   (no login: everybody is an administrator)
Run server     {server}   (connection runs_default)
DAGs           {examples}
Logs           {logs}

Trigger a DAG in the browser: Dags, its name, Trigger. For DAGs that ask for a run, here is one
that runs for an hour unless it is cancelled:
  run_id       {run_id}
  thread_id    {thread_id}

Ctrl-C stops everything.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run until Ctrl-C or SIGTERM; return the exit code.

    :param arguments: those of the command line if ``None``.
    """
    options = _parser().parse_args(arguments)
    # A shell that starts this in the background has it ignore Ctrl-C, and Python leaves that so.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        _serve(options.home, options.port)
    except KeyboardInterrupt:
        print("Stopped.")
    return 0


def _serve(home: Path, port: int) -> None:
    print("Starting Airflow, which takes about half a minute …", flush=True)
    with RunServer() as server:
        env = {"AIRFLOW_CONN_RUNS_DEFAULT": server.connection()}
        with LocalAirflow(home, [EXAMPLES], env, port=port) as airflow:
            run = server.create_run(script=RunScript(runs_for=3600.0))
            greeting = GREETING.format(
                airflow=airflow.base_url,
                server=server.url,
                examples=EXAMPLES,
                logs=home,
                run_id=run["id"],
                thread_id=run["thread_id"],
            )
            print(greeting, flush=True)
            while True:
                airflow.check()
                time.sleep(1)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make airflow", description=__doc__)
    parser.add_argument("--home", type=Path, default=ROOT / ".airflow" / "local")
    parser.add_argument("--port", type=int, default=8080, help="used if it is free")
    return parser


if __name__ == "__main__":
    sys.exit(main())
