"""What tests of starts need: wires that lose answers, a store on disk, and whose runs there are."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from dev.agent_server import ROOT
from tests.integration.starting import Store
from tests.moments import HOST, PATIENCE, Wire

if TYPE_CHECKING:
    from dev.agent_server import AgentServer

#: How the request of each start begins.
_START = b"POST /threads/"


class LosingWire(Wire):
    """A relay; from ``keep`` on, the answers to starts stay in it: the runs are there by then.

    :param port: the server's.
    """

    def __init__(self, port: int) -> None:
        super().__init__(port)
        self._keeps = self._loses = False
        self._decided = threading.Event()
        self._asked: dict[socket.socket, bytes] = {}
        #: How many answers were kept.
        self.kept = 0

    def __exit__(self, *error: object) -> None:
        self.lose()
        super().__exit__(*error)

    def keep(self) -> None:
        """Keep the answers to starts from now on."""
        self._keeps = True

    def hand_on(self) -> None:
        """Hand on what was kept, and all that comes."""
        self._keeps = False
        self._decided.set()

    def lose(self) -> None:
        """Hang up where an answer was kept, and hand on all that comes."""
        self._loses = True
        self.hand_on()

    def _carry(
        self, source: socket.socket, target: socket.socket, *, is_held: bool = False
    ) -> None:
        with suppress(OSError):  # one of them has hung up
            while data := source.recv(65536):
                if is_held:  # a part of a request
                    self._asked[target] = self._asked.get(target, b"") + data
                elif self._asked.pop(source, b"").startswith(_START) and self._keeps:
                    self.kept += 1
                    self._decided.wait(PATIENCE)
                    if self._loses:
                        break
                target.sendall(data)
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


class LateWire(Wire):
    """A relay that refuses all connections until it is told to ``listen``, which it must be.

    :param port: the server's.
    """

    def __init__(self, port: int) -> None:
        super().__init__(port)
        self._listener.close()
        self._listener = socket.socket()
        self._listener.bind((HOST, 0))
        self.url = f"http://{HOST}:{self._listener.getsockname()[1]}"

    def __enter__(self) -> Self:
        return self

    def listen(self) -> None:
        """Take connections from now on."""
        self._listener.listen()
        self._threads[0].start()


class FileStore(Store):
    """A store that outlives the process.

    :param path: its file.
    """

    def __init__(self, path: str) -> None:
        super().__init__()
        self._path = Path(path)
        with suppress(FileNotFoundError):
            self.values = json.loads(self._path.read_text())

    def set(self, key: str, value: Any) -> None:
        super().set(key, value)
        self._path.write_text(json.dumps(self.values))


def runs_of(server: AgentServer, key: str) -> list[dict[str, Any]]:
    """Return the runs that were started with a key, on whichever threads the key has made.

    A thread that twenty start on at once is made several times in the memory of the server, with
    the same id and the same runs.
    """
    wanted = {"metadata": {"airflow_key": key}, "limit": 1000}
    threads = server.request("POST", "/threads/search", json=wanted).raise_for_status().json()
    thread_ids = {thread["thread_id"] for thread in threads}
    runs = [run for thread_id in thread_ids for run in runs_on(server, thread_id)]
    return [run for run in runs if run["metadata"].get("airflow_key") == key]


def runs_on(server: AgentServer, thread_id: str) -> list[dict[str, Any]]:
    """Return the runs of a thread, newest first."""
    path = f"/threads/{thread_id}/runs"
    runs = server.request("GET", path, params={"limit": 100}).raise_for_status().json()
    return list(runs)


def child(script: str, *arguments: str) -> subprocess.Popen[str]:
    """Begin a script in a process of its own, with the connection of the test."""
    return subprocess.Popen(
        [sys.executable, "-c", script, *arguments],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR"},
    )
