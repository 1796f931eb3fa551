"""The processes of the benchmark: the server, and those that are measured."""

from __future__ import annotations

import json
import os
import subprocess
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[1]
#: Of the environment that has the rivals too. The Makefile makes it.
PYTHON = ROOT / ".venv-bench" / "bin" / "python"


def environment(home: str) -> dict[str, str]:
    """Return the environment of a process that uses Airflow.

    :param home: a folder for Airflow.
    """
    return {
        **os.environ,
        "AIRFLOW_HOME": home,
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR",
        # Our byte code is written, where it is not yet: all else was compiled when installed.
        "PYTHONDONTWRITEBYTECODE": "",
    }


def start(module: str, *arguments: str, home: str) -> subprocess.Popen[str]:
    """Start a module of the benchmark; what it prints is read with `read_line`.

    :param home: a folder for Airflow.
    """
    return subprocess.Popen(
        [PYTHON, "-m", module, *arguments],
        cwd=ROOT,
        env=environment(home),
        stdout=subprocess.PIPE,
        text=True,
    )


def read_line(process: subprocess.Popen[str]) -> str:
    """Return the next line that a process prints.

    :raises RuntimeError: if it ends without one.
    """
    assert process.stdout is not None
    line = process.stdout.readline().strip()
    if not line:
        raise RuntimeError(f"{process.args!r} ended with {process.wait()}")
    return line


@contextmanager
def running(process: subprocess.Popen[str]) -> Iterator[subprocess.Popen[str]]:
    """End the process with the block."""
    with process:
        try:
            yield process
        finally:
            process.kill()


@contextmanager
def server(home: str, latency: float = 0.0) -> Iterator[str]:
    """Run the benchmark's server for the block, and give its URL.

    :param latency: seconds after which it answers.
    """
    with running(start("benchmarks.server", str(latency), home=home)) as process:
        yield f"http://127.0.0.1:{read_line(process)}"


def order(url: str, name: str, content: dict[str, Any] | None = None) -> dict[str, Any]:
    """Send the server an order of the benchmark's, and return its counts.

    :param name: ``plan``, ``ends`` or ``stats``; see ``store.Store``.
    """
    request = urllib.request.Request(f"{url}/bench/{name}", data=json.dumps(content or {}).encode())
    with urllib.request.urlopen(request) as response:
        counts: dict[str, Any] = json.load(response)
    return counts
