"""The tries of one task instance, each in processes that may be killed at any step.

A step is whatever the rest of the world could notice of a process: what it reads from Airflow and
writes there, each request, and how it ends. All of them go through here, so that a process can be
killed before a step takes effect, or after it has and before the process learns of that.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import multiprocessing
import os
import re
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import time_machine

from airflow_provider_runs.airflow_errors import AirflowFailException, TaskDeferred
from airflow_provider_runs.testing.errors import ApiError
from tests.integration.conftest import NoSupervisor, drain
from tests.integration.starting import Instance, Store
from tests.moments import HOST, PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.connection import Connection

    from airflow_provider_runs.testing import RunServer

#: Seconds by which the clock of each process is ahead of the one before: a retry comes late.
LATER = 600.0
#: The path of one run.
_RUN = re.compile(r"/(?:runs|responses)/([^/?]+)$")

_processes = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload([__name__, "airflow_provider_runs.hooks", "tests.preload"])


class Kill(NamedTuple):
    """When a process is killed.

    :param step: at which step of the try, from 1.
    :param after: after the step has taken effect, or before.
    """

    step: int
    after: bool = False


class Died(NamedTuple):
    """A worker's process was killed."""


class Succeeded(NamedTuple):
    """The task has ended well."""

    result: Any


class Failed(NamedTuple):
    """The task has raised an error.

    :param classes: the names of the error's class and of its bases.
    :param words: what it says.
    """

    classes: list[str]
    words: str

    @property
    def is_for_good(self) -> bool:
        """Whether Airflow does not retry the task."""
        return AirflowFailException.__name__ in self.classes


class Deferred(NamedTuple):
    """The task has left its worker; what Airflow stores of that."""

    trigger: tuple[str, dict[str, Any]]
    method: str
    kwargs: dict[str, Any]


class Fired(NamedTuple):
    """The trigger has fired."""

    event: Any


class _Dead(Exception):  # noqa: N818 - what happens is no error
    """The process was killed."""


@dataclass(frozen=True)
class _Part:
    """What one process does.

    :param what: ``execute``, ``trigger`` or ``resume``.
    :param now: the time at which it begins, in epoch seconds.
    :param connection: the Airflow connection.
    :param has_store: whether Airflow has a task state store.
    :param instance: attributes of the task instance.
    :param task: parameters of the operator.
    :param deferred: what Airflow has stored, for the trigger and the resumed task.
    :param event: the trigger's, for the resumed task.
    """

    what: str
    now: float
    connection: str
    has_store: bool
    instance: dict[str, Any]
    task: dict[str, Any]
    deferred: Deferred | None = None
    event: Any = None


# -- in the process ------------------------------------------------------------------------------


class _Pipe:
    """Asks the test for what Airflow knows."""

    def __init__(self, end: Connection) -> None:
        self._end = end
        self._lock = threading.Lock()

    def ask(self, step: str, *args: Any) -> Any:
        with self._lock:
            self._end.send((step, args))
            return self._end.recv()


class _RemoteStore:
    def __init__(self, pipe: _Pipe) -> None:
        self._pipe = pipe

    def get(self, key: str, default: Any = None) -> Any:
        return self._pipe.ask("store.get", key, default)

    def set(self, key: str, value: Any) -> None:
        self._pipe.ask("store.set", key, value)


class _RemoteInstance(Instance):
    def __init__(self, pipe: _Pipe, part: _Part) -> None:
        store: Any = _RemoteStore(pipe) if part.has_store else None
        super().__init__(store, **part.task)
        self._pipe = pipe
        for name, value in part.instance.items():
            setattr(self, name, value)

    def xcom_push(self, key: str, value: Any) -> None:
        self._pipe.ask("xcom_push", key, value)

    def xcom_pull(self, *, task_ids: str, key: str, map_indexes: int) -> Any:
        assert (task_ids, map_indexes) == (self.task_id, self.map_index)
        return self._pipe.ask("xcom_pull", key)


def _live(end: Connection, part: _Part) -> None:
    """Do the work of a process."""
    import airflow

    if airflow.__version__.startswith("3.1."):
        from airflow.sdk.execution_time import task_runner

        task_runner.SUPERVISOR_COMMS = NoSupervisor()
    os.environ["AIRFLOW_CONN_RUNS_DEFAULT"] = part.connection
    pipe = _Pipe(end)
    with time_machine.travel(part.now, tick=True):
        try:
            outcome = _work(pipe, part)
        except BaseException as error:  # noqa: BLE001 - whatever the task fails with
            outcome = Failed([each.__name__ for each in type(error).__mro__], str(error))
    pipe.ask(type(outcome).__name__, outcome)


def _work(pipe: _Pipe, part: _Part) -> Any:
    if part.what == "trigger":
        assert part.deferred
        path, kwargs = part.deferred.trigger
        (event,) = asyncio.run(drain(resolve_name(path)(**kwargs).run()))
        return Fired(event.payload)
    instance = _RemoteInstance(pipe, part)
    task = instance.new_task()
    try:
        if part.what == "execute":
            return Succeeded(task.execute(instance.context))
        assert part.deferred
        kwargs = {**part.deferred.kwargs, "event": part.event}
        return Succeeded(task.resume_execution(part.deferred.method, kwargs, instance.context))
    except TaskDeferred as deferred:
        trigger: Any = deferred.trigger.serialize()
        return Deferred(trigger, deferred.method_name, deferred.kwargs or {})


# -- in the test ---------------------------------------------------------------------------------


@dataclass
class _Try:
    """What happens in one try.

    :param kill: when a process is killed.
    :param steps: the steps so far.
    :param effects: those that took effect.
    :param deaths: how many processes were killed.
    """

    kill: Kill | None
    steps: list[str] = field(default_factory=list)
    effects: list[str] = field(default_factory=list)
    deaths: int = 0


class Tries:
    """One task instance, and its tries. Use it as a context manager.

    :param server: where its runs are.
    :param dag_run: the id of the DAG run.
    :param map_index: the task instance's.
    :param has_store: whether Airflow has a task state store, as from 3.3 on.
    :param looks: a run is completed when it is looked at for this time, and active before.
    :param extra: of the connection.
    :param task: parameters of the operator.
    """

    def __init__(
        self,
        server: RunServer,
        dag_run: str,
        *,
        map_index: int = -1,
        has_store: bool = True,
        looks: int = 2,
        extra: dict[str, Any] | None = None,
        **task: Any,
    ) -> None:
        self._server = server
        self._looks = looks
        self._seen: dict[str, int] = {}
        self._task = {"poll_interval": 0.01, "timeout": 1e6, "retries": 9, **task}
        self._instance = {"run_id": dag_run, "map_index": map_index, "max_tries": 9}
        self._store = Store() if has_store else None
        self._xcoms: dict[str, Any] = {}
        self._extra = extra or {}
        self._later = 0.0
        self._lock = threading.Lock()
        self._child: Any = None
        self._ended: Any = None
        self.tries: list[_Try] = []
        mapped = "" if map_index < 0 else f"[{map_index}]"
        self.key = f"{Instance.dag_id}/{dag_run}/{Instance.task_id}{mapped}"

    def __enter__(self) -> Self:
        self._relay = _Relay(self)
        self._serving = threading.Thread(target=self._relay.serve_forever, args=(0.01,))
        self._serving.start()
        fields = json.loads(self._server.connection(max_retries=1, **self._extra))
        fields["host"] = fields["host"].replace(self._server.url, self._relay.url)
        self._connection = json.dumps(fields)
        return self

    def __exit__(self, *_: object) -> None:
        self._relay.shutdown()
        self._serving.join()
        self._relay.server_close()

    @property
    def last(self) -> _Try:
        """The last try."""
        return self.tries[-1]

    @property
    def runs(self) -> list[str]:
        """The ids of all runs that were started for this task instance, and by it."""
        created = dict.fromkeys(
            request.run_id
            for request in self._server.requests
            if request.method == "POST" and request.run_id
        )
        marks = {each: self._server.run(each)["metadata"].get("airflow_key") for each in created}
        return [run_id for run_id, key in marks.items() if key == self.key]

    def attempt(self, kill: Kill | None = None) -> Died | Succeeded | Failed:
        """Go through the next try, from its beginning to the end of its last process.

        :param kill: when a process is killed. A worker's ends the try, which is Airflow's to learn
            from missing heartbeats; a triggerer's does not: the trigger is made anew.
        """
        self.tries.append(_Try(kill))
        self._instance["try_number"] = len(self.tries)
        self._xcoms.clear()
        ended = self._live("execute")
        if isinstance(ended, Deferred):
            deferred, fired = ended, None
            while fired is None:
                fired = self._live("trigger", deferred)
            assert isinstance(fired, Fired), fired
            ended = self._live("resume", deferred, fired.event)
        return ended or Died()

    def _live(self, what: str, deferred: Deferred | None = None, event: Any = None) -> Any:
        """Run a process to its end, and return how it ended; ``None`` if it was killed before."""
        now = time.time() + self._later
        self._later += LATER
        part = _Part(
            *(what, now, self._connection, self._store is not None, self._instance, self._task),
            *(deferred, event),
        )
        ours, theirs = _processes.Pipe()
        child = _processes.Process(target=_live, args=(theirs, part))
        self._ended = None
        with ours:
            child.start()
            theirs.close()
            self._child = child
            try:
                self._answer(ours)
            finally:
                if not self._ended:
                    child.kill()
                child.join(PATIENCE)
        return self._ended

    def _answer(self, pipe: Connection) -> None:
        """Answer what the process asks, until its end."""
        while not self._ended:
            if not pipe.poll(PATIENCE):
                raise TimeoutError(f"nothing has happened after {self.last.steps}")
            try:
                name, args = pipe.recv()
            except (EOFError, ConnectionResetError):
                assert self._child is None, f"it ended by itself after {self.last.steps}"
                return
            with suppress(_Dead):
                answer = self.step(name, lambda n=name, a=args: self._do(n, *a))
                with suppress(BrokenPipeError):
                    pipe.send(answer)

    def step(self, name: str, act: Callable[[], Any]) -> Any:
        """Let a step take effect, or kill the process.

        :param name: of the step.
        :param act: what its effect is.
        :return: what ``act`` does.
        :raises _Dead: if the process is dead when the step comes, or before it is answered.
        """
        with self._lock:
            this = self.last
            if self._child is None:
                raise _Dead
            this.steps.append(name)
            number = len(this.steps)
            if this.kill == Kill(number, after=False):
                self._end_process()
            answer = act()
            this.effects.append(name)
            if this.kill == Kill(number, after=True):
                self._end_process()
            return answer

    def _end_process(self) -> None:
        child, self._child = self._child, None  # from now on, nothing that it asks for is done
        self.last.deaths += 1
        child.kill()
        raise _Dead

    def _do(self, name: str, *args: Any) -> Any:
        """Do what a process asks of Airflow."""
        if name == "store.get":
            assert self._store
            return self._store.get(*args)
        if name == "store.set":
            assert self._store
            return self._store.set(*args)
        if name == "xcom_push":
            self._xcoms[args[0]] = json.loads(json.dumps(args[1]))
            return None
        if name == "xcom_pull":
            return self._xcoms.get(args[0])
        (outcome,) = args
        plain = json.loads(json.dumps(list(outcome)))  # as it is stored
        self._ended = type(outcome)(*plain)
        return None

    def forward(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Any:
        """Forward a request of the process to the server, and return its answer."""
        looked_at = _RUN.search(path.partition("?")[0])
        if method == "GET" and looked_at:
            self._look_at(looked_at[1])
        server = http.client.HTTPConnection(HOST, self._server.port, timeout=PATIENCE)
        try:
            server.request(method, path, body, headers)
            answer = server.getresponse()
            return answer.status, answer.getheaders(), answer.read()
        except (http.client.HTTPException, OSError):
            return None  # it has hung up
        finally:
            server.close()

    def _look_at(self, run_id: str) -> None:
        with suppress(ApiError):  # it does not exist, or not yet
            self._server.status(run_id)
            self._seen[run_id] = self._seen.get(run_id, 0) + 1
            if self._seen[run_id] == self._looks:
                self._server.end(run_id)


class _Relay(ThreadingHTTPServer):
    """Takes the requests of the processes, each of which is a step."""

    def __init__(self, tries: Tries) -> None:
        super().__init__((HOST, 0), _Handler)
        self.tries = tries
        self.url = f"http://{HOST}:{self.server_port}"

    daemon_threads = True


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 65536  # an answer is sent as a whole, or TCP would delay its second part
    server: _Relay

    def _pass_on(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        headers = {**dict(self.headers.items()), "connection": "close"}
        tries = self.server.tries
        try:
            answer = tries.step(
                f"{self.command} {self.path}",
                lambda: tries.forward(self.command, self.path, headers, body),
            )
        except _Dead:
            answer = None
        if answer is None:
            self.close_connection = True
            return
        status, given, content = answer
        self.send_response_only(status)
        for name, value in given:
            if name.lower() not in {"connection", "content-length", "transfer-encoding"}:
                self.send_header(name, value)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        with suppress(OSError):
            self.wfile.write(content)

    do_GET = do_POST = do_DELETE = _pass_on  # noqa: N815 - as the base class calls them

    def handle(self) -> None:
        with suppress(ConnectionError):  # a process was killed
            super().handle()

    def log_message(self, *_: Any) -> None:
        """Say nothing."""
