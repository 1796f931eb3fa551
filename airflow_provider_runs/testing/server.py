"""The embedded run server."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Self

from airflow_provider_runs.testing.control import RunControl
from airflow_provider_runs.testing.dialects import dialect_of
from airflow_provider_runs.testing.faults import FaultPlan
from airflow_provider_runs.testing.forwarding import Forwarder
from airflow_provider_runs.testing.gateways import Gateway
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


__all__ = ["RunServer"]


class RunServer(RunControl):
    """Serves a run API over HTTP, on loopback, in one of the dialects.

    Use it as a context manager, or call ``start`` and ``stop``. What it remembers outlives a stop,
    and so does its port: to stop it and start it again looks like an outage. All methods may be
    called from any thread. The methods that name a thread or a run raise ``ApiError`` where the
    server would refuse.

    :param dialect: the name of a dialect, such as ``assistants`` or ``langgraph``; or an instance
        of its class, such as ``LangGraph``, with switches for what differs between real servers.
    :param port: the TCP port; 0 takes a free one at the first start.
    :param api_key: the key that clients must send; by default any will do, and LangGraph asks for
        none at all.
    :param script: how runs behave for which no other script is given; by default ``RunScript()``.
    :param thread_lock: whether a thread with an active run refuses messages and further runs; by
        default as usual in the dialect: Assistants refuses, LangGraph does not.
    :param gateway: how the server differs from what the API's documents say; by default not at all.
    :param clock: returns the present time, in epoch seconds.
    :raises ValueError: if there is no dialect of that name.
    """

    def __init__(
        self,
        *,
        dialect: str | Dialect = "assistants",
        port: int = 0,
        api_key: str | None = None,
        script: RunScript | None = None,
        thread_lock: bool | None = None,
        gateway: Gateway | None = None,
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
        self._forwarder = Forwarder(make_application(spoken, store, api_key), spoken, store, paths)
        self.gateway = gateway or Gateway()
        app = FaultMiddleware(
            self._forwarder,
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
        """Serve until ``stop``; do nothing if it serves already.

        :raises OSError: if the port is taken.
        """
        self._port = self._http.start(self._port)

    def stop(self) -> None:
        """Hang up on all clients at once; do nothing if it is stopped already."""
        self._http.stop()

    @property
    def port(self) -> int:
        """The TCP port.

        :raises RuntimeError: before the first start, if it is still to be chosen.
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
        """The base URL for the dialect's clients, without a slash at the end."""
        return self.url + self.dialect.base_path

    def fault(
        self,
        fault: Fault,
        *,
        method: str | None = None,
        path: str | re.Pattern[str] | None = None,
        times: int | None = 1,
    ) -> None:
        """Spoil the next requests that match; of several faults, the first one planned comes first.

        :param fault: what goes wrong.
        :param method: the HTTP method to match; by default any.
        :param path: a part of the path to match, or a pattern to find in it; by default any path.
        :param times: how many requests get the fault; ``None`` for all, until ``clear_faults``.
        """
        self._faults.add(fault, method, path, times)

    def clear_faults(self) -> None:
        """Forget the faults that are still to come."""
        self._faults.clear()

    @property
    def gateway(self) -> Gateway:
        """How the server differs from what the API's documents say; it can be set at any time."""
        return self._forwarder.gateway

    @gateway.setter
    def gateway(self, gateway: Gateway) -> None:
        self._forwarder.gateway = gateway

    @property
    def requests(self) -> list[RecordedRequest]:
        """All requests so far, in order of arrival."""
        return self._request_log.requests()

    def accepted_cancels(self, run_id: str | None = None) -> int:
        """Return how many cancels took effect.

        :param run_id: count those of one run; by default those of all.
        """
        cancelled = [each for request in self.requests for each in request.cancelled]
        return len(cancelled) if run_id is None else cancelled.count(run_id)

    def started_runs(self, key: str | None = None) -> list[str]:
        """Return the ids of the runs that clients started, in order of their requests.

        A run counts whether or not its start was answered, and also after it was deleted; those of
        ``create_run`` do not count.

        :param key: only the runs whose metadata has it as ``airflow_key``; by default all.
        """
        return [
            request.run_id
            for request in self.requests
            if request.started and request.run_id and (key is None or _key_of(request) == key)
        ]

    def connection(self, conn_type: str | None = None, **extra: object) -> str:
        """Return an Airflow connection to this server, as JSON for ``AIRFLOW_CONN_<ID>``.

        :param conn_type: its connection type; by default the dialect's.
        :param extra: its extra; it wins over what the dialect needs there.
        """
        connection = {
            "conn_type": conn_type or f"runs_{self.dialect.name}",
            "host": self.base_url,
            "password": self._api_key or "sk-runs-testing",
            "extra": {**self.dialect.extra, **extra},
        }
        return json.dumps(connection)


def _key_of(request: RecordedRequest) -> object:
    return (request.body.get("metadata") or {}).get("airflow_key")
