"""A real Airflow on this machine: API server, scheduler, DAG processor and triggerer."""

from __future__ import annotations

import signal
import subprocess
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple, Self

import httpx

from dev.airflow_environment import environment
from dev.airflow_processes import LOOPBACK, ServerProcess, free_port, stop_all
from dev.airflow_rest import AirflowApiError, AirflowRest, Params
from dev.guarded import Guard

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path


class _Kind(NamedTuple):
    arguments: tuple[str, ...]
    job_type: str | None  # as in Airflow's job table; the API server has no row there


# Started one by one and not with `airflow standalone`, because only these switches keep the log
# servers of scheduler and triggerer, which bind every interface, from being started.
KINDS = {
    "api-server": _Kind(("api-server",), None),
    "scheduler": _Kind(("scheduler", "--skip-serve-logs"), "SchedulerJob"),
    "dag-processor": _Kind(("dag-processor",), "DagProcessorJob"),
    "triggerer": _Kind(("triggerer", "--skip-serve-logs"), "TriggererJob"),
}
COMPONENTS = tuple(KINDS)

STARTUP_TIMEOUT = 240.0  # seconds; about 30 with compiled bytecode, minutes without
# Seconds between SIGTERM and SIGKILL. A triggerer that has just started needs twice as long.
STOP_GRACE = 5.0


class LocalAirflowError(RuntimeError):
    """A component ended although nobody asked it to; the message holds the end of its log."""


class LocalAirflow(AirflowRest):
    """A full Airflow in a folder of its own, and a client of its API.

    As a context manager it is started on entry and stopped on exit. Nothing of it outlives this
    process unless that is killed with SIGKILL: while it runs, SIGTERM raises `KeyboardInterrupt`
    like Ctrl-C does (unless a handler was there before), so that ``with`` blocks and fixtures
    are left in order.

    :param home: becomes ``AIRFLOW_HOME``. A folder that was used before is migrated and goes on.
    :param dags: folders with DAGs, each a DAG bundle.
    :param env: environment of all components in addition to `own_environment`, such as
        ``AIRFLOW_CONN_RUNS_DEFAULT``; ``AIRFLOW__…`` settings here win over those made here.
    :param sql_alchemy_conn: the database, such as ``postgresql+psycopg2://…``; by default SQLite
        in ``home``.
    :param port: port of the API server on 127.0.0.1, if it is free; by default any free one.
    """

    def __init__(
        self,
        home: Path,
        dags: Sequence[Path],
        env: Mapping[str, str] | None = None,
        *,
        sql_alchemy_conn: str | None = None,
        port: int | None = None,
    ) -> None:
        super().__init__(f"http://{LOOPBACK}:{free_port(port)}")
        self.home = home.resolve()
        self.env = environment(
            self.home, self.base_url, dags=dags, sql_alchemy_conn=sql_alchemy_conn, extra=env or {}
        )
        self._running: dict[str, ServerProcess] = {}
        self._ending: list[ServerProcess] = []  # may end, or must: stop() sees to it
        self._guard = Guard(self.stop)

    def __enter__(self) -> Self:
        with self._guard.starting():
            self.start_all()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        super().__exit__()

    def start_all(self, timeout: float = STARTUP_TIMEOUT) -> None:
        """Migrate the database, start the four components and wait until they are healthy.

        :param timeout: seconds, for the migration and for the start each.
        :raises LocalAirflowError: a component or the migration failed.
        :raises TimeoutError: they are not healthy in time.
        """
        self._guard.up()
        self.home.mkdir(parents=True, exist_ok=True)
        self._migrate(timeout)
        for component in COMPONENTS:
            self.start(component)
        self.wait_until_healthy(timeout)

    def stop(self) -> None:
        """End all components and whatever they started; does nothing if that is done already."""
        try:
            stop_all([*self._running.values(), *self._ending], grace=STOP_GRACE)
        finally:
            self._running.clear()
            self._ending.clear()
            self._guard.down()

    def start(self, component: str) -> None:
        """Start one component; :meth:`wait_until_healthy` then waits for it.

        :param component: one of `COMPONENTS`, or such a name with a suffix for one more of the
            kind: ``"triggerer-2"``.
        :raises ValueError: it runs already, or there is no such kind.
        """
        if component in self._running:
            msg = f"{component} runs already"
            raise ValueError(msg)
        with self._guard.uninterrupted():
            self._running[component] = self._spawn(component, _kind(component).arguments)

    def kill(
        self, component: str, signal_number: int = signal.SIGKILL, *, everyone: bool | None = None
    ) -> ServerProcess:
        """Send a signal to a component, which may end then without that being an error.

        SIGSTOP and SIGCONT pause it and let it go on. After any other signal the name is free for
        another :meth:`start`, although the process may take its time to end.

        :param everyone: whether all that the component started gets the signal too. By default
            yes, as when a pod dies or stalls, except for SIGTERM: then the component tells its own.
        :return: the process, to wait for its end or look at its log.
        """
        process = self._running[component]
        if signal_number not in {signal.SIGSTOP, signal.SIGCONT}:
            self._ending.append(self._running.pop(component))
        everyone = signal_number != signal.SIGTERM if everyone is None else everyone
        process.send(signal_number, everyone=everyone)
        return process

    def wait_until_healthy(self, timeout: float = STARTUP_TIMEOUT) -> None:
        """Wait until Airflow calls all components healthy and each one started here has reported.

        :param timeout: seconds.
        :raises LocalAirflowError: a component ended.
        :raises TimeoutError: the message holds the end of each log.
        """
        self.wait_until(
            self._is_healthy,
            timeout=timeout,
            waiting_for=lambda: f"a healthy Airflow\n{self._tails(self._running)}",
        )

    def check(self) -> None:
        """Raise if a component has ended by itself; called while anything is waited for.

        :raises LocalAirflowError: the message holds the end of its log.
        """
        dead = {n: p for n, p in self._running.items() if p.returncode is not None}
        if dead:
            codes = ", ".join(f"{n} ended with {p.returncode}" for n, p in dead.items())
            msg = f"{codes}\n{self._tails(dead)}"
            raise LocalAirflowError(msg)

    def pids(self) -> list[int]:
        """Return the ids of all processes of this Airflow that live, tasks included."""
        processes = [*self._running.values(), *self._ending]
        return [pid for process in processes for pid in process.pids()]

    # -- inside

    def _spawn(self, name: str, arguments: Sequence[str]) -> ServerProcess:
        return ServerProcess(
            [sys.executable, "-m", "airflow", *arguments],
            log=self.home / "logs-components" / f"{name}.log",
            env=self.env,
            # `-m` puts the working folder first on sys.path: one without Python files.
            cwd=self.home,
        )

    def _migrate(self, timeout: float) -> None:
        with self._guard.uninterrupted():
            process = self._spawn("db-migrate", ["db", "migrate"])
            self._ending.append(process)
        try:
            code = process.wait(timeout)
        except subprocess.TimeoutExpired as error:
            msg = f"`airflow db migrate` took more than {timeout:.0f} s\n{process.tail()}"
            raise TimeoutError(msg) from error
        if code != 0:
            msg = f"`airflow db migrate` ended with {code}\n{process.tail()}"
            raise LocalAirflowError(msg)

    def _is_healthy(self) -> bool:
        try:
            return set(self.health().values()) == {"healthy"} and all(map(self._reported, KINDS))
        except (httpx.TransportError, AirflowApiError):
            return False

    def _reported(self, kind: str) -> bool:
        """Tell whether each running component of a kind has written a job row of its own.

        The health page alone may still show a component that was killed a moment ago.
        """
        job_type = KINDS[kind].job_type
        if job_type is None:
            return True
        params: Params = {"job_type": job_type, "is_alive": "true", "order_by": "-id", "limit": 50}
        jobs = self.call("GET", "/jobs", params=params)["jobs"]
        starts = [datetime.fromisoformat(job["start_date"]) for job in jobs if job["start_date"]]
        ours = [
            datetime.fromtimestamp(process.started_at, UTC)
            for name, process in self._running.items()
            if _kind(name) is KINDS[kind]
        ]
        # Rows bear no process id. The youngest component needs one row younger than itself,
        # the two youngest two rows younger than the older of them, and so on.
        return all(
            sum(start >= since for start in starts) >= sum(other >= since for other in ours)
            for since in ours
        )

    def _tails(self, names: Iterable[str]) -> str:
        return "\n".join(
            f"--- {name}: {self._running[name].log}\n{self._running[name].tail()}" for name in names
        )


def _kind(component: str) -> _Kind:
    for name, kind in KINDS.items():
        if component == name or component.startswith(f"{name}-"):
            return kind
    msg = f"{component!r} is none of {', '.join(COMPONENTS)}"
    raise ValueError(msg)
