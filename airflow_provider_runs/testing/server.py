"""The embedded run server."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Self

from airflow_provider_runs.testing.control import RunControl
from airflow_provider_runs.testing.dialects import dialect_of
from airflow_provider_runs.testing.faults import FaultPlan
from airflow_provider_runs.testing.http_server import HOST, HttpServer
from airflow_provider_runs.testing.middleware import FaultMiddleware
from airflow_provider_runs.testing.paths import Paths
from airflow_provider_runs.testing.request_log import RequestLog
from airflow_provider_runs.testing.routes import make_application
from airflow_provider_runs.testing.scripts import RunScript
from airflow_provider_runs.testing.store import Store

if TYPE_CHECKING:
    import re
    from collections.abc import Callable

    from airflow_provider_runs.testing.dialects.base import Dialect
    from airflow_provider_runs.testing.faults import Fault
    from airflow_provider_runs.testing.request_log import RecordedRequest


class RunServer(RunControl):
    """A real HTTP server on loopback that speaks one of four dialects.

    Use it as a context manager, or call :meth:`start` and :meth:`stop`. What it remembers outlives
    a stop, and so does its port: stopping and starting again looks like an outage. All methods may
    be called from any thread. The methods that name a thread or a run raise :class:`ApiError`
    where the server would refuse.

    :param dialect: ``assistants``, ``foundry``, ``langgraph`` or ``responses``; or an instance of
        :class:`Assistants`, :class:`Foundry`, :class:`LangGraph` or :class:`Responses`, with
        switches for what differs between real servers
    :param port: TCP port; 0 takes a free one at the first start
    :param api_key: the key clients must send; None accepts any that is not empty, and for
        LangGraph none at all
    :param script: of runs for which no other is given; default: ``RunScript()``
    :param thread_lock: whether a thread with an active run refuses messages and further runs;
        default: what is usual in the dialect, which is to refuse, but not in LangGraph
    :param clock: returns the present time in epoch seconds
    :raises ValueError: for a dialect that does not exist
    """

    def __init__(
        self,
        *,
        dialect: str | Dialect = "assistants",
        port: int = 0,
        api_key: str | None = None,
        script: RunScript | None = None,
        thread_lock: bool | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        spoken, script = dialect_of(dialect), script or RunScript()
        lock = spoken.thread_lock if thread_lock is None else thread_lock
        store = Store(spoken, clock=clock, script=script, thread_lock=lock)
        super().__init__(spoken, store, script)
        self._port = port
        self._api_key = api_key
        paths = Paths(spoken.prefixes, spoken.run_path)
        self._faults = FaultPlan()
        self._request_log = RequestLog(paths)
        app = FaultMiddleware(
            make_application(spoken, store, api_key),
            paths=paths,
            refusal=spoken.refusal,
            faults=self._faults,
            request_log=self._request_log,
            clock=clock,
        )
        self._http = HttpServer(app)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self.stop()

    def start(self) -> None:
        """Serve, until :meth:`stop`; nothing happens if it does already.

        :raises OSError: when the port is taken
        """
        self._port = self._http.start(self._port)

    def stop(self) -> None:
        """Hang up on all clients at once; nothing happens if it is stopped already."""
        self._http.stop()

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
        """The URL of the server, without a path."""
        return f"http://{HOST}:{self.port}"

    @property
    def base_url(self) -> str:
        """The URL that the dialect's clients are given, without a slash at the end."""
        return self.url + self.dialect.base_path

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
        return self._request_log.requests()

    def accepted_cancels(self, run_id: str | None = None) -> int:
        """Return how many cancels took effect; for one run, or for all of them."""
        cancelled = [each for request in self.requests for each in request.cancelled]
        return len(cancelled) if run_id is None else cancelled.count(run_id)

    def connection(self, conn_type: str | None = None, **extra: object) -> str:
        """Return an Airflow connection to this server, as JSON.

        :param conn_type: its connection type; default: the dialect's
        :param extra: its extra; it comes before what the dialect needs there
        :returns: what to put in the environment variable ``AIRFLOW_CONN_<ID>``
        """
        connection = {
            "conn_type": conn_type or f"runs_{self.dialect.name}",
            "host": self.base_url,
            "password": self._api_key or "sk-runs-testing",
            "extra": {**self.dialect.extra, **extra},
        }
        return json.dumps(connection)
