"""``python -m airflow_provider_runs.testing``: the run server, until Ctrl-C or SIGTERM."""

from __future__ import annotations

import argparse
import json
import logging
import shlex
import signal
import sys
import threading
from typing import TYPE_CHECKING

from airflow_provider_runs.testing.dialects import DIALECTS
from airflow_provider_runs.testing.scripts import RunScript
from airflow_provider_runs.testing.server import RunServer

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Options that are fields of the script, and what ``--help`` says of them.
_SCRIPT_OPTIONS = {
    "queued_for": "seconds in queued",
    "runs_for": "seconds in progress; inf for ever",
    "ends": "status after that",
    "cancelling_for": "seconds in cancelling; inf for ever",
    "cancel_ends": "status after that",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGINT or SIGTERM comes, and return the exit code, 0.

    :param arguments: the command line's; by default those of the process.
    :raises SystemExit: if the arguments make no sense, or the port is taken.
    """
    parser = _parser()
    options = vars(parser.parse_args(arguments))
    server_options = {name: options.pop(name) for name in ("dialect", "port", "api_key")}
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stdout)
    try:
        with RunServer(**server_options, script=RunScript(**options)) as server:
            sys.stdout.write(_greeting(server))
            sys.stdout.flush()
            stop.wait()
    except (OSError, ValueError) as error:
        parser.error(str(error))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m airflow_provider_runs.testing",
        description="Serve a run API on 127.0.0.1, with runs of no substance.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--dialect", choices=DIALECTS, default="assistants", help="what to speak")
    parser.add_argument("--port", type=int, default=0, help="TCP port; 0: any free one")
    parser.add_argument("--api-key", help="key that clients must send; none: any will do")
    for name, text in _SCRIPT_OPTIONS.items():
        default = getattr(RunScript, name)
        option = f"--{name.replace('_', '-')}"
        parser.add_argument(option, type=type(default), default=default, help=text)
    return parser


def _greeting(server: RunServer) -> str:
    connection = server.connection()
    key = json.loads(connection)["password"]
    commands = [
        shlex.join(
            ["curl", "-H", f"Authorization: Bearer {key}", "--json", body, server.base_url + path]
        )
        for path, body in server.dialect.start_requests
    ]
    lines = [
        f"Run server at {server.url} (Ctrl-C stops it)",
        f"Airflow connection: export AIRFLOW_CONN_RUNS_DEFAULT={shlex.quote(connection)}",
        f"or: airflow connections add runs_default --conn-json {shlex.quote(connection)}",
        *(f"to start a run: {command}" for command in commands),
    ]
    return "".join(f"{line}\n" for line in lines)


if __name__ == "__main__":
    sys.exit(main())
