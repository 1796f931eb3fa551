"""Server processes that can be stopped completely, whatever they forked meanwhile."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

LOOPBACK = "127.0.0.1"


def free_port(preferred: int | None = None) -> int:
    """Return ``preferred`` if it is free on the loopback interface, else some port that is."""
    for port in (preferred, 0):
        if port is None:
            continue
        with contextlib.suppress(OSError), socket.socket() as probe:
            # A port in TIME_WAIT is free for a server, which sets the same option.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((LOOPBACK, port))
            return int(probe.getsockname()[1])
    msg = "no free port on the loopback interface"
    raise OSError(msg)


class ServerProcess:
    """One command, running in a session of its own, with its output in a file.

    The session and not the process group is what marks our processes: Airflow gives every task a
    process group of its own, but nothing it starts leaves the session.

    :param argv: the command.
    :param log: file that its output is appended to.
    :param env: its whole environment.
    :param cwd: its working directory.
    """

    def __init__(
        self, argv: Sequence[str], *, log: Path, env: Mapping[str, str], cwd: Path
    ) -> None:
        self.log = log
        self.started_at = time.time()  # epoch seconds: compared with what Airflow's database says
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                argv,
                env=dict(env),
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # also keeps a Ctrl-C in the terminal from reaching it
            )

    @property
    def pid(self) -> int:
        """Process id of the command itself, which is also the id of its session."""
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """Exit code, negative for a signal; ``None`` while the command runs."""
        return self._process.poll()

    def pids(self) -> list[int]:
        """Ids of all live processes of the session, also when the command itself has ended."""
        return [pid for pid in psutil.pids() if _session_of(pid) == self.pid and _lives(pid)]

    def send(self, signal_number: int, *, everyone: bool) -> None:
        """Send a signal to the command alone, or to everything in its session."""
        own = [self.pid] if self.returncode is None else []
        for pid in self.pids() if everyone else own:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal_number)

    def wait(self, timeout: float) -> int:
        """Wait at most ``timeout`` seconds for the command; return its exit code.

        :raises subprocess.TimeoutExpired: it still runs.
        """
        return self._process.wait(timeout)

    def tail(self, lines: int = 40) -> str:
        """Return the end of the log."""
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return "\n".join(text.splitlines()[-lines:])


def stop_all(processes: Iterable[ServerProcess], *, grace: float) -> None:
    """End all processes and what they started: politely, after ``grace`` seconds by force.

    The force is used even if the waiting is interrupted, so that a second Ctrl-C ends it at once
    but leaves nothing behind.
    """
    everybody = list(processes)
    alive = [process for process in everybody if process.pids()]
    try:
        for process in alive:
            process.send(signal.SIGTERM, everyone=False)
            process.send(signal.SIGCONT, everyone=True)  # a stopped one could not end
        _wait_for_end(alive, grace)
    finally:
        for process in alive:
            process.send(signal.SIGKILL, everyone=True)
        _wait_for_end(everybody, 5.0)  # the dead too: somebody has to reap them


def _wait_for_end(processes: Sequence[ServerProcess], timeout: float) -> None:
    deadline = time.monotonic() + timeout
    # Asking for the exit code reaps the process, which is possible only a moment after its main
    # thread has ended: when its last thread has.
    while (
        any(process.returncode is None or process.pids() for process in processes)
        and time.monotonic() < deadline
    ):
        time.sleep(0.1)


def _session_of(pid: int) -> int | None:
    with contextlib.suppress(OSError):
        return os.getsid(pid)
    return None


def _lives(pid: int) -> bool:
    """Tell whether a process is more than a zombie waiting for its parent."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
