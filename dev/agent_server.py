"""A real LangGraph Agent Server on this machine, in memory, with the graphs of dev/agents.

``python -m dev.agent_server [--port N] [--auth]`` runs it until Ctrl-C.

It needs `.venv-langgraph` (``make .venv-langgraph/.ready``), and nothing of it in this one's.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import httpx

from dev.airflow_processes import LOOPBACK, ServerProcess, free_port, stop_all
from dev.guarded import Guard

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).resolve().parents[1]
AGENTS = ROOT / "dev" / "agents"
VENV = ROOT / ".venv-langgraph"

# What dev/agents/auth.py accepts; a wrong one is any other.
ADA, BOB = "key-of-ada", "key-of-bob"

STARTUP_TIMEOUT = 120.0  # seconds; about ten, more on a busy machine
# Seconds between SIGTERM and SIGKILL. Unless a run is slow to stop, it needs about one.
STOP_GRACE = 5.0

# A developer's own account, keys and deployments must not leak into it; nor may our modules.
FOREIGN = ("LANGSMITH_", "LANGCHAIN_", "LANGGRAPH_", "PYTHON")
QUIET = {
    "LANGSMITH_TRACING": "false",
    "LANGGRAPH_CLI_NO_ANALYTICS": "1",
    "LANGGRAPH_NO_VERSION_CHECK": "true",
    "LOG_COLOR": "false",
}

ACTIVE = frozenset({"pending", "running"})


class AgentServerError(RuntimeError):
    """The server is not installed, or would not start; the message holds the end of its log."""


class AgentServer:
    """A LangGraph Agent Server on 127.0.0.1, with its data in a temporary folder.

    As a context manager it is started on entry, and stopped and removed on exit. While it runs,
    SIGTERM raises `KeyboardInterrupt` like Ctrl-C does (unless a handler was there before), so
    that ``with`` blocks and fixtures are left in order.

    Its graphs are ``sleeper``, ``lingerer``, which is slow to stop, and ``asker``, which waits for
    a human.

    :param auth: whether it asks for a key, `ADA` or `BOB`, and shows each only their own threads.
    :param port: port on 127.0.0.1, if it is free; by default any free one.
    :param jobs: how many runs work at once; all others are ``pending``.
    """

    def __init__(self, *, auth: bool = False, port: int | None = None, jobs: int = 10) -> None:
        self.auth = auth
        self.jobs = jobs
        #: Where it answers, on 127.0.0.1.
        self.port = free_port(port)
        self._home: Path | None = None
        self._process: ServerProcess | None = None
        self._client = httpx.Client(base_url=self.url, timeout=30.0, trust_env=False)
        self._guard = Guard(self.stop)

    def __enter__(self) -> Self:
        with self._guard.starting():
            self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._client.close()

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://{LOOPBACK}:{self.port}"

    @property
    def log(self) -> Path:
        """The file with its output, for as long as it runs."""
        assert self._process is not None  # made by start()
        return self._process.log

    def start(self, timeout: float = STARTUP_TIMEOUT) -> None:
        """Start the server and wait until it answers.

        :param timeout: seconds.
        :raises AgentServerError: it is not installed, ended by itself, or did not answer in time.
        """
        program = VENV / "bin" / "langgraph"
        if not program.exists():
            raise AgentServerError(f"there is no {program}: make .venv-langgraph/.ready")
        self._guard.up()
        # The server leaves its data beside its configuration: never in the checkout.
        self._home = Path(tempfile.mkdtemp(prefix="runs-agents-"))
        agents = self._home / "agents"
        shutil.copytree(AGENTS, agents, ignore=shutil.ignore_patterns("__pycache__"))
        config = "langgraph-auth.json" if self.auth else "langgraph.json"
        with self._guard.uninterrupted():
            self._process = ServerProcess(
                [
                    *(str(program), "dev", "--no-browser", "--no-reload", "--config", config),
                    *("--host", LOOPBACK, "--port", str(self.port)),
                    *("--n-jobs-per-worker", str(self.jobs)),
                ],
                log=self._home / "log",
                env={**{k: v for k, v in os.environ.items() if not k.startswith(FOREIGN)}, **QUIET},
                cwd=agents,
            )
        self._wait_until_ready(self._process, timeout)

    def stop(self) -> None:
        """End the server and remove its data; does nothing if that is done already."""
        try:
            if self._process is not None:
                stop_all([self._process], grace=STOP_GRACE)
        finally:
            self._process = None
            if self._home is not None:
                shutil.rmtree(self._home, ignore_errors=True)
                self._home = None
            self._guard.down()

    def pids(self) -> list[int]:
        """Return the ids of its live processes."""
        return self._process.pids() if self._process is not None else []

    # -- what a test or a demo asks it

    def request(
        self, method: str, path: str, *, key: str | None = None, **options: Any
    ) -> httpx.Response:
        """Send a request, whatever its answer.

        :param key: sent as ``x-api-key``.
        :param options: ``json``, ``params`` and whatever else `httpx.Client.request` takes.
        """
        headers = {**options.pop("headers", {}), **({"x-api-key": key} if key else {})}
        return self._client.request(method, path, headers=headers, **options)

    def create_thread(self, key: str | None = None) -> str:
        """Create a thread and return its id."""
        thread = self._call("POST", "/threads", key=key, json={})
        return str(thread["thread_id"])

    def create_run(
        self,
        graph: str = "sleeper",
        *,
        seconds: float = 0.0,
        until: Path | None = None,
        stop_seconds: float = 0.0,
        error: str = "",
        thread_id: str | None = None,
        key: str | None = None,
        **fields: Any,
    ) -> dict[str, Any]:
        """Create a run and return its JSON, which is ``pending`` for half a second or so.

        :param graph: ``sleeper``, ``lingerer`` or ``asker``.
        :param seconds: how long it works.
        :param until: a file for which it waits after that; by default it does not.
        :param stop_seconds: how long a cancelled ``lingerer`` goes on.
        :param error: what it fails with after its work; by default it succeeds.
        :param thread_id: the thread to run on; by default a new one.
        :param fields: others of the request, such as ``metadata`` or ``multitask_strategy``.
        """
        work: dict[str, Any] = {"seconds": seconds, "stop_seconds": stop_seconds, "error": error}
        work["until"] = str(until or "")
        thread_id = thread_id or self.create_thread(key)
        body = {"assistant_id": graph, "input": work, **fields}
        run: dict[str, Any] = self._call("POST", f"/threads/{thread_id}/runs", key=key, json=body)
        return run

    def run(self, thread_id: str, run_id: str, key: str | None = None) -> dict[str, Any]:
        """Return a run's JSON as it is now.

        :raises httpx.HTTPStatusError: 404 if there is none.
        """
        run: dict[str, Any] = self._call("GET", f"/threads/{thread_id}/runs/{run_id}", key=key)
        return run

    def wait_for(
        self, run: dict[str, Any], *statuses: str, timeout: float = 30.0, key: str | None = None
    ) -> dict[str, Any]:
        """Wait until a run has one of the statuses, by default any final one; return its JSON.

        :param timeout: seconds.
        :raises TimeoutError: it has none of them; the message says which it has.
        """
        give_up = time.monotonic() + timeout
        while True:
            now = self.run(run["thread_id"], run["run_id"], key)
            if now["status"] in statuses or (not statuses and now["status"] not in ACTIVE):
                return now
            if time.monotonic() > give_up:
                raise TimeoutError(f"run {run['run_id']} is {now['status']}")
            time.sleep(0.05)

    # -- inside

    def _call(self, method: str, path: str, **options: Any) -> Any:
        return self.request(method, path, **options).raise_for_status().json()

    def _wait_until_ready(self, process: ServerProcess, timeout: float) -> None:
        give_up = time.monotonic() + timeout
        while True:
            if process.returncode is not None or time.monotonic() > give_up:
                raise AgentServerError(f"the agent server did not start\n{process.tail()}")
            try:
                if self.request("GET", "/ok", timeout=2.0).is_success:
                    return
            except httpx.TransportError:
                pass  # not yet
            time.sleep(0.1)


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until Ctrl-C or SIGTERM; return the exit code.

    :param arguments: those of the command line if ``None``.
    """
    parser = argparse.ArgumentParser(prog="python -m dev.agent_server", description=__doc__)
    parser.add_argument("--port", type=int, default=2024, help="used if it is free")
    parser.add_argument("--auth", action="store_true", help=f"ask for a key: {ADA} or {BOB}")
    options = parser.parse_args(arguments)
    # A shell that starts this in the background has it ignore Ctrl-C, and Python leaves that so.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with AgentServer(auth=options.auth, port=options.port) as server:
            print(f"Serving on {server.url}, log in {server.log}; Ctrl-C stops it.", flush=True)
            while server.pids():
                time.sleep(1)
            print("The server has stopped unexpectedly.", file=sys.stderr)
            return 1
    except KeyboardInterrupt:
        print("Stopped.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
