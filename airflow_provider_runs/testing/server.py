"""The embedded run server."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any, Self

from airflow_provider_runs.testing.faults import FaultPlan
from airflow_provider_runs.testing.gate import Gate
from airflow_provider_runs.testing.routes import Api
from airflow_provider_runs.testing.runs import RUN_FIELDS
from airflow_provider_runs.testing.scripts import RunScript
from airflow_provider_runs.testing.service import HOST, Service
from airflow_provider_runs.testing.store import Store
from airflow_provider_runs.testing.traffic import Traffic

if TYPE_CHECKING:
    import re
    from collections.abc import Callable

    from airflow_provider_runs.testing.faults import Fault
    from airflow_provider_runs.testing.traffic import RecordedRequest


class RunServer:
    """A real HTTP server on loopback that speaks the Assistants v2 wire.

    Every route is there both at ``/...`` and at ``/v1/...``. Use it as a context manager, or call
    :meth:`start` and :meth:`stop`. What it remembers outlives a stop, and so does its port:
    stopping and starting again looks like an outage. All methods may be called from any thread.
    The methods that name a thread or a run raise :class:`ApiError` where the server would refuse.

    :param port: TCP port; 0 takes a free one at the first start
    :param api_key: the key clients must send; None accepts any that is not empty
    :param script: of runs for which no other is given; default: ``RunScript()``
    :param thread_lock: whether a thread with an active run refuses messages and further runs
    :param clock: returns the present time in epoch seconds
    """

    def __init__(
        self,
        *,
        port: int = 0,
        api_key: str | None = None,
        script: RunScript | None = None,
        thread_lock: bool = True,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._port = port
        self._api_key = api_key
        self._script = script or RunScript()
        self._store = Store(clock=clock, script=self._script, thread_lock=thread_lock)
        self._faults = FaultPlan()
        self._traffic = Traffic()
        app = Api(self._store, api_key).app()
        gate = Gate(app, faults=self._faults, traffic=self._traffic, clock=clock)
        self._service = Service(gate)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self.stop()

    def start(self) -> None:
        """Serve, until :meth:`stop`; nothing happens if it does already.

        :raises OSError: when the port is taken
        """
        self._port = self._service.start(self._port)

    def stop(self) -> None:
        """Hang up on all clients at once; nothing happens if it is stopped already."""
        self._service.stop()

    @property
    def port(self) -> int:
        """The TCP port.

        :raises RuntimeError: before the first start, when it is not known yet
        """
        if not self._port:
            raise RuntimeError("the server has no port before it is started")
        return self._port

    @property
    def url(self) -> str:
        """The base URL, without a path."""
        return f"http://{HOST}:{self.port}"

    def create_thread(self) -> str:
        """Add a thread and return its id."""
        return str(self._store.create_thread({})["id"])

    def create_run(
        self, thread_id: str | None = None, script: RunScript | None = None, **fields: object
    ) -> dict[str, Any]:
        """Add a run.

        :param thread_id: its thread; default: a new one
        :param script: how it behaves; default: the server's script
        :param fields: fields of the Run object, such as ``metadata`` or ``model``
        :returns: the Run object
        :raises TypeError: for a field that cannot be set
        """
        unknown = fields.keys() - RUN_FIELDS.keys()
        if unknown:
            raise TypeError(f"a run is created without {', '.join(sorted(unknown))}")
        thread_id = self.create_thread() if thread_id is None else thread_id
        return self._store.create_run(thread_id, fields, script or self._script)

    def next_run(self, script: RunScript) -> None:
        """Script the next run that is created over HTTP; several calls queue up."""
        self._store.queue(script)

    def run(self, run_id: str) -> dict[str, Any]:
        """Return a run as it is now."""
        return self._store.run(run_id)

    def end(
        self, run_id: str, status: str = "completed", last_error: dict[str, Any] | None = None
    ) -> None:
        """Make a run final now, whatever it was doing.

        :param status: the final status it takes
        :param last_error: its ``last_error``, in place of the one its script gives
        :raises ValueError: for a status that is not final
        """
        self._store.end_run(run_id, status, last_error)

    def delete(self, run_id: str) -> None:
        """Forget a run: it answers 404 from now on."""
        self._store.delete_run(run_id)

    def delete_thread(self, thread_id: str) -> None:
        """Forget a thread and its runs."""
        self._store.delete_thread(thread_id)

    def fault(
        self,
        fault: Fault,
        *,
        method: str | None = None,
        path: str | re.Pattern[str] | None = None,
        times: int | None = 1,
    ) -> None:
        """Let the next requests that match fail; of several faults, the first planned is first.

        :param method: HTTP method to match; default: any
        :param path: part of the path to match, or a pattern to find in it; default: any path
        :param times: how many requests get the fault; None: all until :meth:`clear_faults`
        """
        self._faults.add(fault, method, path, times)

    def clear_faults(self) -> None:
        """Forget the faults that are still to come."""
        self._faults.clear()

    @property
    def requests(self) -> list[RecordedRequest]:
        """All requests so far, in order of arrival."""
        return self._traffic.requests()

    def accepted_cancels(self, run_id: str | None = None) -> int:
        """Return how many cancels took effect; for one run, or for all of them."""
        accepted = [request for request in self.requests if request.accepted_cancel]
        return sum(run_id in {None, request.run_id} for request in accepted)

    def connection(self, conn_type: str = "runs_assistants", **extra: object) -> str:
        """Return an Airflow connection to this server, as JSON.

        :param conn_type: its connection type
        :param extra: its extra
        :returns: what to put in the environment variable ``AIRFLOW_CONN_<ID>``
        """
        connection = {
            "conn_type": conn_type,
            "host": self.url,
            "password": self._api_key or "sk-runs-testing",
            "extra": extra,
        }
        return json.dumps(connection)
