"""The hooks: authenticated calls to a run API, blocking and for asyncio."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar
from uuid import uuid4
from weakref import finalize

from airflow.providers.common.compat.connection import (
    get_async_connection,
    get_async_extra_dejson,
)
from airflow.providers.common.compat.sdk import Stats
from airflow.sdk import BaseHook

from airflow_provider_runs import metrics
from airflow_provider_runs.airflow_errors import (
    AirflowNotFoundException,
    AirflowRescheduleException,
    TaskDeferred,
)
from airflow_provider_runs.backends import BACKENDS
from airflow_provider_runs.backends.resolve import read_connection, unknown
from airflow_provider_runs.backends.starts import Start
from airflow_provider_runs.errors import RunsError
from airflow_provider_runs.flows import calls
from airflow_provider_runs.flows.cancel import cancel_run
from airflow_provider_runs.flows.follow import look_once, wait_for
from airflow_provider_runs.flows.lists import list_runs
from airflow_provider_runs.flows.start import (
    find_started,
    get_output,
    place,
    search_once,
    send,
    start_run,
)
from airflow_provider_runs.flows.wait import Wait
from airflow_provider_runs.models import RunRef
from airflow_provider_runs.transport.cancel_on_exit import (
    GuardedStart,
    cancel_on_sigterm,
    on_sigterm,
    start_job,
)
from airflow_provider_runs.transport.clients import make_client, shared_client
from airflow_provider_runs.transport.drivers import adrive, drive
from airflow_provider_runs.transport.probe import probe_in_time

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    import httpx

    from airflow_provider_runs.backends import Backend
    from airflow_provider_runs.connections.forms import ConnectionForm
    from airflow_provider_runs.flows.start import Found
    from airflow_provider_runs.flows.steps import Flow
    from airflow_provider_runs.models import Run
    from airflow_provider_runs.plain_json import JsonObject
    from airflow_provider_runs.transport.clients import BlockingClient, SharedClient
    from airflow_provider_runs.transport.in_time import Job

T = TypeVar("T")

#: Exceptions that leave a block although the task has not ended: it will resume.
_NOT_AN_END = (TaskDeferred, AirflowRescheduleException)


class RunsHook(BaseHook):
    """Calls the run API that a connection describes; the connection's type chooses the API.

    Use it as it is, or in a ``with`` block (``async with`` for the methods whose names begin with
    ``a``), which keeps one HTTP client open for all the calls within it.

    :param conn_id: the Airflow connection.
    :param kwargs: for Airflow's ``BaseHook``.
    """

    conn_name_attr = "conn_id"
    default_conn_name = "runs_default"
    conn_type: ClassVar[str]
    hook_name: ClassVar[str]
    #: The form of the subclass's connection type. ``RunsHook`` itself has none.
    form: ClassVar[ConnectionForm]

    def __init__(self, conn_id: str = default_conn_name, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        metrics.report_to(Stats)
        self.conn_id = conn_id
        self._backend: Backend | None = None
        self._client: BlockingClient | None = None
        self._held = AsyncExitStack()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Give the hook class of a connection type the attributes that Airflow looks for."""
        super().__init_subclass__(**kwargs)
        if "form" not in cls.__dict__:
            return  # a user's own subclass, for the same connections
        form = cls.form
        cls.conn_type, cls.hook_name = form.conn_type, form.label
        # For Airflow 3.1, which looks into the class's own __dict__ and finds nothing inherited.
        cls.get_connection_form_widgets = classmethod(lambda _: form.widgets())  # type: ignore[method-assign, assignment]
        cls.get_ui_field_behaviour = classmethod(lambda _: form.ui_field_behaviour())  # type: ignore[method-assign, assignment]

    # -- the calls, blocking ---------------------------------------------------------------------

    def start_run(
        self, body: JsonObject, thread_id: str | None = None, *, key: str | None = None
    ) -> Run:
        """Start a run in the background of its server, without waiting for its end.

        It is started once: if the answer is lost, the run is searched for. In a task,
        ``StartRunOperator`` also finds it again in a later try.

        :param body: the body of the API's own call that starts a run, such as
            ``{"assistant_id": "agent", "input": {}}``. What a run needs to go on by itself is
            added: ``background`` and ``store``, marks in ``metadata``, and the like.
        :param thread_id: the thread to start it on; by default, where the API has threads, one is
            made.
        :param key: names this start: a run that is active or completed and was started with the
            same key before is returned, where the API can be asked for it, and no other one is
            started. Of starts at the same moment, only those without ``thread_id`` on LangGraph,
            and those of responses with ``client_ids``, are one.
        :return: the run, often still ``queued``.
        :raises RunsConfigError: if the body cannot start such a run; nothing was sent.
        :raises StartLost: if it is not known whether a run was started.
        :raises RunsError: if none was.
        """
        return self._drive(self._flow_of_start(body, thread_id, key))

    def get_output(self, run: Run) -> Any:
        """Fetch what a run has made, as its API gives it.

        :param run: the run, as another method of the hook returned it.
        :return: plain JSON. Responses: ``{"output_text": …, "output": […]}``; Assistants and
            Foundry: the run's messages, the oldest first; LangGraph: the values of its thread, as
            the run has left them.
        :raises RunsError: if there is no usable answer.
        """
        ref = RunRef(run.id, run.thread_id)
        return self._drive(lambda backend: get_output(backend, ref, run))

    @contextmanager
    def run(
        self, body: JsonObject, thread_id: str | None = None, *, key: str | None = None
    ) -> Iterator[Run]:
        """Start a run, and cancel it if an exception ends the block, or SIGTERM ends the process.

        It guards the run as ``cancel_on_exit`` does, and from before it is started.

        :param body: as for ``start_run``.
        :param thread_id: as for ``start_run``.
        :param key: as for ``start_run``.
        :return: the run as it was started, for the block.
        :raises RunsError: as ``start_run`` does.
        """
        backend = self.backend()
        flow = self._flow_of_start(body, thread_id, key)(backend)
        start = GuardedStart(backend, flow, self.log)
        with on_sigterm(start.kill):
            try:
                yield start.wait()
            except _NOT_AN_END:
                raise
            except BaseException:
                start.cancel()
                raise

    def get_run(self, run_id: str, thread_id: str | None = None) -> Run:
        """Fetch a run.

        :param run_id: the run.
        :param thread_id: its thread; ``None`` where the API has no threads.
        :return: the run.
        :raises RunNotFound: if the server has no such run.
        :raises RunsError: if there is no usable answer.
        """
        return self._drive(lambda backend: calls.get_run(backend, RunRef(run_id, thread_id)))

    def cancel_run(
        self,
        run_id: str,
        thread_id: str | None = None,
        *,
        cancel_action: str | None = None,
        deadline: float | None = None,
        missing_grace: float = 0.0,
    ) -> Run:
        """Ask the server to cancel a run, without waiting for its end.

        Idempotent: a run that is already final or ``cancelling`` is not an error.

        :param run_id: the run.
        :param thread_id: its thread; ``None`` where the API has no threads.
        :param cancel_action: ``interrupt`` or ``rollback``, where the API has both (LangGraph); by
            default the connection's. A rollback deletes the run, which is returned as
            ``cancelled``.
        :param deadline: when to stop trying, in epoch seconds; by default after the connection's
            ``timeout`` times (``max_retries`` + 1).
        :param missing_grace: seconds, ten at most, for which the server must deny the run, which
            may just have been started; 0 believes its first answer.
        :return: the run as it is after the request, often still ``cancelling``.
        :raises RunNotFound: if the server has no such run.
        :raises CancelRefused: if the server refused and the run is still active.
        :raises RunsError: if there is no usable answer.
        """
        ref = RunRef(run_id, thread_id)
        return self._drive(
            lambda b: cancel_run(
                b, ref, action=cancel_action, deadline=deadline, missing_grace=missing_grace
            )
        )

    def list_runs(self, thread_id: str) -> Iterator[Run]:
        """Yield the runs of a thread, newest first. Each page is fetched when it is reached.

        :param thread_id: the thread.
        :return: an iterator over the runs.
        :raises RunNotFound: if the server has no such thread.
        :raises RunsError: if there is no usable answer.
        """
        for page in list_runs(self.backend(), thread_id):
            yield from drive(page, self._http())

    def wait_for_run(
        self,
        run_id: str,
        thread_id: str | None = None,
        *,
        timeout: float = 600.0,
        poll_interval: float = 5.0,
    ) -> Run:
        """Wait until a run is final.

        :param run_id: the run.
        :param thread_id: its thread; ``None`` where the API has no threads.
        :param timeout: how long to wait at most, in seconds.
        :param poll_interval: longest pause between two polls, in seconds; the first are shorter.
        :return: the final run.
        :raises RunTimeout: when the wait times out.
        :raises RunFailed: when the run waits for a person and will never go on (LangGraph).
        :raises RunsError: when it is proven that it is no use to keep waiting: the server has no
            such run, it refuses the key, or it has not answered for a quarter of an hour.
        """
        now = time.time()
        return self.follow(Wait(RunRef(run_id, thread_id), now, now + timeout, poll_interval))

    def follow(self, wait: Wait) -> Run:
        """Wait until a run is final, blocking.

        :param wait: what to wait for, and how.
        :return: the run that ends the wait.
        :raises RunsError: as ``flows.follow.wait_for`` does.
        """
        return self._drive(lambda backend: wait_for(backend, wait, self.log))

    def look_once(self, wait: Wait, *, settle: bool = False) -> tuple[Run | None, Wait]:
        """Poll once, as the first step of a wait.

        :param wait: what to wait for, and how.
        :param settle: poll on while an answer is in doubt.
        :return: what ``flows.follow.look_once`` returns.
        :raises RunsError: as ``flows.follow.look_once`` does.
        """
        return self._drive(lambda b: look_once(b, wait, self.log, settle=settle))

    def test_connection(self) -> tuple[bool, str]:
        """Make one cheap call that needs the key. It takes a few seconds at most.

        :return: whether it succeeded, and a text that says what to do if it did not.
        """
        try:
            backend = self.backend()
        except RunsError as error:
            return False, error.message
        return probe_in_time(backend)

    @contextmanager
    def cancel_on_exit(self, run_id: str, thread_id: str | None = None) -> Iterator[None]:
        """Cancel the run if an exception ends the block, or SIGTERM ends the process in it.

        Nothing happens when the block ends normally, or when the task defers or is rescheduled in
        it. The cancel takes a few seconds at most. If it fails, that is logged; the exception that
        ended the block is raised in any case. Nested blocks cancel one after the other, and
        Airflow gives a killed task five seconds for all of them, so do not nest them.

        :param run_id: the run.
        :param thread_id: its thread; ``None`` where the API has no threads.
        :raises RunsConfigError: if the connection cannot be used; raised before the block begins.
        """
        with cancel_on_sigterm(self.backend(), RunRef(run_id, thread_id), self.log) as cancel:
            try:
                yield
            except _NOT_AN_END:
                raise
            except BaseException:
                cancel()
                raise

    # -- for the tasks of this provider ----------------------------------------------------------

    def place(self, start: Start) -> Start:
        """Return a start with its thread, as ``flows.start.place`` does."""
        return self._drive(lambda backend: place(backend, start))

    def find_started(self, start: Start, *, since: float) -> Found | None:
        """Search for the run of a start, as ``flows.start.find_started`` does."""
        return self._drive(lambda backend: find_started(backend, start, since=since))

    def search_once(self, start: Start) -> Found | None:
        """Search once for the run of a start, as ``flows.start.search_once`` does."""
        return self._drive(lambda backend: search_once(backend, start))

    def job_of(self, start: Start) -> Job[Run]:
        """Return the job that sends a start, as ``flows.start.send`` does."""
        backend = self.backend()
        return start_job(backend, send(backend, start, self.log))

    def _flow_of_start(
        self, body: JsonObject, thread_id: str | None, key: str | None
    ) -> Callable[[Backend], Flow[Run]]:
        start = Start(body, thread_id, key or uuid4().hex)
        return lambda backend: start_run(backend, start, self.log, search=key is not None)

    # -- the same for asyncio --------------------------------------------------------------------

    async def astart_run(
        self, body: JsonObject, thread_id: str | None = None, *, key: str | None = None
    ) -> Run:
        """Do what ``start_run`` does, for asyncio."""
        return await self._adrive(self._flow_of_start(body, thread_id, key))

    async def aget_output(self, run: Run) -> Any:
        """Do what ``get_output`` does, for asyncio."""
        ref = RunRef(run.id, run.thread_id)
        return await self._adrive(lambda backend: get_output(backend, ref, run))

    @asynccontextmanager
    async def arun(
        self, body: JsonObject, thread_id: str | None = None, *, key: str | None = None
    ) -> AsyncIterator[Run]:
        """Do what ``run`` does, for asyncio, also when the asyncio task is cancelled."""
        backend = await self.abackend()
        flow = self._flow_of_start(body, thread_id, key)(backend)
        start = GuardedStart(backend, flow, self.log)
        with on_sigterm(start.kill):
            try:
                yield await asyncio.to_thread(start.wait)
            except _NOT_AN_END:
                raise
            except BaseException:
                await asyncio.shield(asyncio.to_thread(start.cancel))
                raise

    async def aget_run(self, run_id: str, thread_id: str | None = None) -> Run:
        """Do what ``get_run`` does, for asyncio."""
        return await self._adrive(lambda backend: calls.get_run(backend, RunRef(run_id, thread_id)))

    async def acancel_run(
        self,
        run_id: str,
        thread_id: str | None = None,
        *,
        cancel_action: str | None = None,
        deadline: float | None = None,
        missing_grace: float = 0.0,
        hurried: bool = False,
    ) -> Run:
        """Do what ``cancel_run`` does, for asyncio.

        :param hurried: send it at once, even while the server asks all clients to wait.
        """
        ref = RunRef(run_id, thread_id)
        return await self._adrive(
            lambda b: cancel_run(
                b,
                ref,
                action=cancel_action,
                deadline=deadline,
                missing_grace=missing_grace,
                hurried=hurried,
            )
        )

    async def alist_runs(self, thread_id: str) -> AsyncIterator[Run]:
        """Do what ``list_runs`` does, for asyncio."""
        backend = await self.abackend()
        for page in list_runs(backend, thread_id):
            async with shared_client(backend.settings) as http:
                runs = await adrive(page, http)
            for run in runs:
                yield run

    async def await_for_run(
        self,
        run_id: str,
        thread_id: str | None = None,
        *,
        timeout: float = 600.0,  # noqa: ASYNC109 - the deadline also bounds each request
        poll_interval: float = 5.0,
    ) -> Run:
        """Do what ``wait_for_run`` does, for asyncio."""
        now = time.time()
        return await self.afollow(
            Wait(RunRef(run_id, thread_id), now, now + timeout, poll_interval)
        )

    async def afollow(self, wait: Wait) -> Run:
        """Do what ``follow`` does, for asyncio."""
        return await self._adrive(lambda backend: wait_for(backend, wait, self.log))

    async def atest_connection(self) -> tuple[bool, str]:
        """Do what ``test_connection`` does, for asyncio."""
        try:
            backend = await self.abackend()
        except RunsError as error:
            return False, error.message
        return await asyncio.to_thread(probe_in_time, backend)

    @asynccontextmanager
    async def acancel_on_exit(
        self, run_id: str, thread_id: str | None = None
    ) -> AsyncIterator[None]:
        """Do what ``cancel_on_exit`` does, for asyncio, also when the asyncio task is cancelled."""
        backend = await self.abackend()
        with cancel_on_sigterm(backend, RunRef(run_id, thread_id), self.log) as cancel:
            try:
                yield
            except _NOT_AN_END:
                raise
            except BaseException:
                await asyncio.shield(asyncio.to_thread(cancel))
                raise

    # -- the connection --------------------------------------------------------------------------

    def backend(self) -> Backend:
        """Return the connection's backend, which holds its settings. It is looked up only once.

        :raises RunsConfigError: if there is no such connection, or it cannot be used.
        """
        if self._backend is None:
            try:
                conn = self.get_connection(self.conn_id)
            except AirflowNotFoundException as error:
                raise unknown(self.conn_id) from error
            self._backend = read_connection(conn, conn.extra_dejson)
        return self._backend

    async def abackend(self) -> Backend:
        """Do what ``backend`` does, for asyncio."""
        if self._backend is None:
            try:
                conn = await get_async_connection(self.conn_id)
            except AirflowNotFoundException as error:
                raise unknown(self.conn_id) from error
            self._backend = read_connection(conn, await get_async_extra_dejson(conn))
        return self._backend

    def get_conn(self) -> httpx.Client:
        """Return the HTTP client of the blocking calls, for calls that the hook does not offer.

        It has the connection's base URL and key: ``hook.get_conn().post("/threads", json={})``.
        The hook closes it. It keeps no cookies and follows no redirects; the connection's timeout
        bounds each step of a call, not their sum.

        :raises RunsConfigError: if the connection cannot be used.
        """
        return self._http()

    def _http(self) -> BlockingClient:
        if self._client is None:
            self._client = make_client(self.backend())
            # A hook is often made for one call, without a `with` block: then the client is closed
            # when the hook is garbage collected.
            finalize(self, self._client.close)
        return self._client

    def close(self) -> None:
        """Close the HTTP client of the blocking calls. A later call opens another one."""
        if self._client is not None:
            self._client.close()
            self._client = None

    def __enter__(self) -> Self:
        """Keep one HTTP client open for the block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the HTTP client."""
        self.close()

    async def __aenter__(self) -> Self:
        """Keep the event loop's HTTP client open for the block."""
        settings = (await self.abackend()).settings
        await self._held.enter_async_context(shared_client(settings))
        return self

    async def __aexit__(self, *_: object) -> None:
        """Release the event loop's HTTP client; its last user closes it."""
        await self._held.aclose()

    def _drive(self, make_flow: Callable[[Backend], Flow[T]]) -> T:
        return drive(make_flow(self.backend()), self._http(), self._refresh)

    def _refresh(self) -> tuple[Backend, BlockingClient]:
        """Look the connection up again; it stays as it was if it cannot be read."""
        before, self._backend = self.backend(), None
        try:
            now = self.backend()
        except RunsError as error:
            self._keep(before, error)
        else:
            if now.settings != before.settings:
                self.close()
        return self.backend(), self._http()

    async def _adrive(self, make_flow: Callable[[Backend], Flow[T]]) -> T:
        backend = await self.abackend()
        async with AsyncExitStack() as held:

            async def refresh() -> tuple[Backend, SharedClient]:
                return (now := await self._arefresh()), await held.enter_async_context(
                    shared_client(now.settings)
                )

            http = await held.enter_async_context(shared_client(backend.settings))
            return await adrive(make_flow(backend), http, refresh=refresh)

    async def _arefresh(self) -> Backend:
        """Do what ``_refresh`` does, for asyncio."""
        before, self._backend = await self.abackend(), None
        try:
            return await self.abackend()
        except RunsError as error:
            self._keep(before, error)
            return before

    def _keep(self, before: Backend, error: RunsError) -> None:
        self.log.warning("The connection is used as it was read before. %s", error.message)
        self._backend = before


if TYPE_CHECKING:  # for subclasses and annotations; those of later backends are of this type too
    AssistantsRunsHook = RunsHook
    FoundryRunsHook = RunsHook
    LangGraphRunsHook = RunsHook
    ResponsesRunsHook = RunsHook


def hook_name(backend: type[Backend]) -> str:
    """Return the name of a backend's hook class in this module, for its connection type."""
    return f"{backend.__name__.removesuffix('Backend')}RunsHook"


def _hook_of(backend: type[Backend]) -> type[RunsHook]:
    doc = f"The hook of connections of type ``{backend.form.conn_type}``."
    body = {"form": backend.form, "__doc__": doc, "__module__": __name__}
    return type(hook_name(backend), (RunsHook,), body)


_HOOKS = {hook_name(backend): _hook_of(backend) for backend in BACKENDS}


__all__ = [*sorted(_HOOKS), "RunsHook"]  # noqa: PLE0604 - ruff cannot see that they are texts


def __getattr__(name: str) -> type[RunsHook]:
    """Return a connection type's hook, such as ``LangGraphRunsHook``: each backend has one."""
    try:
        return _HOOKS[name]
    except KeyError:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None
