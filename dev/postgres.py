"""A private PostgreSQL on this machine, for as long as it is needed."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any, Self

import psycopg2

from dev.airflow_processes import LOOPBACK, free_port
from dev.guarded import Guard

ROLE = "airflow"
DATABASE = "postgres"  # the one that initdb makes
STARTUP_TIMEOUT = 60.0  # seconds
STOP_GRACE = 10.0  # seconds between the polite signal and the end of the discussion
# Whom the server runs as where we are root, whom PostgreSQL refuses.
UNPRIVILEGED = ("postgres", "nobody")

# Reached over loopback TCP only; and what is lost when the machine fails is lost anyway.
SETTINGS = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",
    "max_connections": "200",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
}


class PostgresError(RuntimeError):
    """PostgreSQL is not there, or would not start; the message holds the end of its log."""


class Postgres:
    """A PostgreSQL cluster in a temporary folder, without a password, on 127.0.0.1 only.

    As a context manager it is made and started on entry, and stopped and removed on exit. While it
    runs, SIGTERM raises `KeyboardInterrupt` like Ctrl-C does (unless a handler was there before),
    so that ``with`` blocks and fixtures are left in order.
    """

    def __init__(self) -> None:
        self._home: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._port = 0
        self._guard = Guard(self.stop)

    def __enter__(self) -> Self:
        with self._guard.starting():
            self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """The database as an SQLAlchemy URL."""
        return f"postgresql+psycopg2://{ROLE}@{LOOPBACK}:{self._port}/{DATABASE}"

    def start(self) -> None:
        """Make the cluster and start its server.

        :raises PostgresError: there are no server binaries, or it did not start in time.
        """
        binaries = _binaries()
        self._guard.up()
        self._home = Path(tempfile.mkdtemp(prefix="runs-postgres-"))
        owner = _owner()
        if owner:
            os.chown(self._home, *owner)
        data, self._port = self._home / "data", free_port()
        self._run_as(
            owner,
            [
                *(binaries / "initdb", "--pgdata", data, "--username", ROLE, "--no-sync"),
                *("--auth", "trust", "--encoding", "UTF8", "--locale", "C"),
            ],
        ).wait()
        settings = {**SETTINGS, "port": str(self._port)}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        with self._guard.uninterrupted():
            self._process = self._run_as(owner, [binaries / "postgres", "-D", data, *options])
        self._wait_until_ready()

    def stop(self) -> None:
        """End the server and remove the cluster; does nothing if that is done already."""
        try:
            if self._process is not None:
                self._end(self._process)
        finally:
            self._process = None
            if self._home is not None:
                shutil.rmtree(self._home, ignore_errors=True)
                self._home = None
            self._guard.down()

    def query(self, sql: str, parameters: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        """Return the rows of a query."""
        with contextlib.closing(self._connect()) as connection, connection.cursor() as cursor:
            cursor.execute(sql, parameters)
            return list(cursor.fetchall())

    # -- inside

    def _connect(self) -> psycopg2.extensions.connection:
        return psycopg2.connect(
            host=LOOPBACK, port=self._port, user=ROLE, dbname=DATABASE, connect_timeout=5
        )

    def _run_as(
        self, owner: tuple[int, int] | None, argv: list[str | Path]
    ) -> subprocess.Popen[bytes]:
        assert self._home is not None  # made by start()
        identity: dict[str, Any] = {}
        if owner:
            identity = {"user": owner[0], "group": owner[1], "extra_groups": []}
        with (self._home / "log").open("ab") as output:
            return subprocess.Popen(
                [str(part) for part in argv],
                cwd=self._home,
                env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # keeps a Ctrl-C in the terminal from reaching it
                **identity,
            )

    def _wait_until_ready(self) -> None:
        assert self._process is not None  # started just before
        give_up = time.monotonic() + STARTUP_TIMEOUT
        while True:
            try:
                self._connect().close()
            except psycopg2.OperationalError as error:
                if self._process.poll() is not None or time.monotonic() > give_up:
                    raise PostgresError(f"PostgreSQL did not start\n{self._log()}") from error
            else:
                return
            time.sleep(0.1)

    def _log(self) -> str:
        assert self._home is not None
        lines = (self._home / "log").read_text(errors="replace").splitlines()
        return "\n".join(lines[-30:])

    def _end(self, process: subprocess.Popen[bytes]) -> None:
        process.send_signal(signal.SIGINT)  # disconnect all clients and shut down
        try:
            process.wait(STOP_GRACE)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _binaries() -> Path:
    """Return the folder with the newest server, where Debian puts it or on the PATH."""
    found = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/postgres"),
        key=lambda path: [int(part) for part in path.parts[-3].split(".") if part.isdigit()],
    )
    on_path = shutil.which("postgres")
    if found:
        return found[-1].parent
    if on_path:
        return Path(on_path).resolve().parent
    raise PostgresError("there is no PostgreSQL server here: apt-get install postgresql")


def _owner() -> tuple[int, int] | None:
    """Return user and group to run as; ``None`` to stay who we are."""
    if os.geteuid() != 0:
        return None
    for name in UNPRIVILEGED:
        with contextlib.suppress(KeyError):
            user = pwd.getpwnam(name)
            return user.pw_uid, user.pw_gid
    raise PostgresError(f"PostgreSQL does not run as root, and there is no {UNPRIVILEGED}")
