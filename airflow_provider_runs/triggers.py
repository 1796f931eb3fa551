"""The trigger: waits in the triggerer until a run is final."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider_runs.tasks import lazy
from airflow_provider_runs.tasks.last_seen import WATCHED_RUN

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

    from airflow_provider_runs.backends import Backend
    from airflow_provider_runs.models import Run

__all__ = ["RunStatusTrigger", "SweepTrigger"]

#: Seconds for which a connection that cannot be read is looked up again, and the pauses between.
LOOKUP_PATIENCE = 60.0
LOOKUP_PAUSE = 3.0
#: Cancels that outlive the trigger that began them; asyncio itself holds tasks only weakly.
_last_calls: set[asyncio.Task[None]] = set()


class RunStatusTrigger(BaseTrigger):
    """Waits until a run is final, its deadline passes or waiting makes no sense any more.

    Fires one event, see ``tasks.events.RunEvent``. All parameters are stored in Airflow's
    database, so none of them is a secret: the key is read from the connection.

    :param wait: what to wait for, as ``flows.wait.Wait.to_json`` gives it: at least ``run_id`` and
        ``deadline``, the epoch seconds at which the wait must end, since a triggerer that starts
        anew must not begin the wait anew.
    :param conn_id: the Airflow connection.
    :param cancel_on_kill: cancel the run when a person ends the deferred task (Airflow 3.3 and
        later, which alone tell triggers).
    :param fire_not_before: epoch seconds before which the event is held back: Airflow fails a task
        whose trigger fires while the worker that deferred it is still being wound up.
    :param fields: those of ``wait``, one by one; so version 0.1.0 stored them.
    :raises TypeError: if a field is missing, or is none of a wait's.
    """

    def __init__(
        self,
        *,
        wait: Mapping[str, Any] | None = None,
        conn_id: str = "runs_default",
        cancel_on_kill: bool = False,
        fire_not_before: float = 0.0,
        **fields: Any,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Airflow left it so
        self.wait = lazy.Wait.from_json({**(wait or {}), **fields})
        self.conn_id = conn_id
        self.cancel_on_kill = cancel_on_kill
        self.fire_not_before = fire_not_before

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class path and the parameters, as plain JSON."""
        return f"{__name__}.RunStatusTrigger", {
            "wait": self.wait.to_json(),
            "conn_id": self.conn_id,
            "cancel_on_kill": self.cancel_on_kill,
            "fire_not_before": self.fire_not_before,
        }

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait, and fire the one event."""
        # The hook brings pydantic models and an HTTP client: built off the loop, once a process.
        await asyncio.to_thread(_warm_up)
        try:
            event = lazy.RunEvent.of(await self._follow())
        except lazy.RunsError as error:
            event = lazy.RunEvent.of(error)
        await _hold_back(self)
        yield TriggerEvent(event.to_json())

    async def _follow(self) -> Run:
        async with lazy.shared_poller(
            self.conn_id, lambda: lazy.RunsHook(self.conn_id).abackend()
        ) as poller:
            await _patient(poller.backend, self.wait.deadline)
            return await poller.follow(self.wait, self.log)

    async def on_kill(self) -> None:
        """Cancel the run because a person has ended the task, if the task asked for that."""
        if not self.cancel_on_kill:
            return
        # Airflow 3.3.2 cancels this method itself after about a second, so the work has a task of
        # its own, which goes on after that, with a lease of its own on the HTTP client.
        last_call = asyncio.create_task(self._cancel_if_ended())
        _last_calls.add(last_call)
        last_call.add_done_callback(_last_calls.discard)
        await asyncio.shield(last_call)

    async def _cancel_if_ended(self) -> None:
        ref = self.wait.ref
        try:
            still_watched = await asyncio.to_thread(self._is_still_watched)
        except Exception:  # whatever keeps the API server from answering
            self.log.warning("Not cancelling run %r: its task's state is unknown", ref.run_id)
            raise
        if still_watched:
            self.log.warning("Not cancelling run %r: its task still waits for it", ref.run_id)
            return
        try:
            run = await lazy.RunsHook(self.conn_id).acancel_run(ref.run_id, ref.thread_id)
        except lazy.RunsError as error:
            self.log.warning("Could not cancel run %r of an ended task. %s", ref.run_id, error)
        else:
            self.log.info("Run %r of an ended task is %s", ref.run_id, run.status.value)

    def _is_still_watched(self) -> bool:
        """Whether the task waits for this run, so that the kill is a mistake.

        A triggerer that stalled, and lost its triggers to another, tells all of them of a kill
        when it wakes up. The task is deferred then. It is so, too, when it was cleared and its
        next try has deferred already; but that one may wait for another run.
        """
        from airflow.providers.common.compat.sdk import XCom
        from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

        ti = self.task_instance
        if ti is None:
            return False
        states = RuntimeTaskInstance.get_task_states(
            dag_id=ti.dag_id, task_ids=[ti.task_id], run_ids=[ti.run_id], map_index=ti.map_index
        )
        if "deferred" not in states.get(ti.run_id, {}).values():
            return False
        watched = XCom.get_value(ti_key=ti, key=WATCHED_RUN)
        return watched is None or bool(watched == self.wait.ref.run_id)


class SweepTrigger(BaseTrigger):
    """Cancels the matching runs of some threads and waits until they are final.

    Fires one event: the report, see ``tasks.events.SweepEvent``. A triggerer that starts anew
    sweeps anew, which does no harm: what is cancelled already is not cancelled again.

    :param conn_id: the Airflow connection.
    :param todo: the sweep, as plain JSON: the keyword arguments of ``sweep.Sweep``.
    :param fire_not_before: see ``RunStatusTrigger``.
    """

    def __init__(self, *, conn_id: str, todo: dict[str, Any], fire_not_before: float = 0.0) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Airflow left it so
        self.conn_id = conn_id
        self.todo = todo
        self.fire_not_before = fire_not_before

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class path and the parameters, as plain JSON."""
        return f"{__name__}.SweepTrigger", {
            "conn_id": self.conn_id,
            "todo": self.todo,
            "fire_not_before": self.fire_not_before,
        }

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Sweep, and fire the one event."""
        await asyncio.to_thread(_warm_up)
        todo = lazy.Sweep(**self.todo)
        try:
            backend = await _patient(lazy.RunsHook(self.conn_id).abackend, todo.deadline or 0.0)
            event = lazy.SweepEvent.of(await lazy.sweep(backend, todo, self.log))
        except lazy.RunsError as error:
            event = lazy.SweepEvent.of(error)
        await _hold_back(self)
        yield TriggerEvent(event.to_json())


async def _hold_back(trigger: RunStatusTrigger | SweepTrigger) -> None:
    if trigger.trigger_id is not None:  # none where `dag.test()` runs it in the worker
        await asyncio.sleep(max(0.0, trigger.fire_not_before - time.time()))


async def _patient(look_up: Callable[[], Awaitable[Backend]], deadline: float) -> Backend:
    """Look a connection up, for a while also if it cannot be read.

    The task could read it. That it is gone for the triggerer is more likely a passing failure of
    what stores it, which Airflow does not tell apart.

    :raises RunsConfigError: if it still cannot be read when the while is over.
    """
    give_up = min(time.time() + LOOKUP_PATIENCE, deadline)
    while True:
        try:
            return await look_up()
        except lazy.RunsConfigError:
            if time.time() >= give_up:
                raise
        await asyncio.sleep(LOOKUP_PAUSE)


def _warm_up() -> None:
    """Load what a wait needs, and build its models: too long for an event loop."""
    for model in (lazy.Run, lazy.RunEvent, lazy.SweepEvent):
        model.model_rebuild()
    lazy.RunsHook.default_conn_name  # noqa: B018 - it brings the rest
