"""The triggers: one waits until a run is final, the other sweeps threads."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider_runs.run_ref import same_id
from airflow_provider_runs.tasks import lazy
from airflow_provider_runs.tasks.connection import alook_up
from airflow_provider_runs.tasks.last_seen import WATCHED_RUN

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from typing import Self

    from airflow_provider_runs.flows.wait import Wait
    from airflow_provider_runs.models import Run
    from airflow_provider_runs.polling.sweep import Sweep

__all__ = ["RunStatusTrigger", "SweepTrigger"]

#: Seconds for which the connection is looked up again for the cancel of a killed task: Airflow
#: gives a trigger thirty for all.
KILL_LOOKUP_TIMEOUT = 15.0
#: Cancels that outlive the trigger that began them; asyncio holds only weak references to tasks.
_cancels: set[asyncio.Task[None]] = set()


class RunStatusTrigger(BaseTrigger):
    """Waits until a run is final, the wait times out, or it is no use to keep waiting.

    Fires one event, see ``tasks.events.RunEvent``. Airflow stores all parameters in its database,
    so none of them is a secret: the key is read from the connection.

    :param wait: what to wait for, as ``flows.wait.Wait.to_json`` returns it. It holds at least
        ``run_id`` and ``deadline``, the time at which the wait must end, in epoch seconds: a
        triggerer that restarts must not restart the wait.
    :param conn_id: the Airflow connection.
    :param cancel_on_kill: cancel the run when a person ends the deferred task. This needs Airflow
        3.3; earlier versions do not tell triggers.
    :param fire_not_before: when the event may fire, in epoch seconds: Airflow fails a task whose
        trigger fires while the worker that deferred it is still shutting the task's process down.
    :param fields: the fields of ``wait``, one by one, as version 0.1.0 stored them.
    :raises TypeError: if a required field is missing, or a field is unknown.
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

    @classmethod
    def of(cls, wait: Wait, conn_id: str, *, cancel_on_kill: bool = False) -> Self:
        """Return the trigger with which a task that leaves its worker now goes on waiting."""
        return cls(
            wait=wait.to_json(),
            conn_id=conn_id,
            cancel_on_kill=cancel_on_kill,
            fire_not_before=time.time() + lazy.settling_time(),
        )

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class path and the parameters, as plain JSON."""
        return f"{__name__}.RunStatusTrigger", {
            "wait": self.wait.to_json(),
            "conn_id": self.conn_id,
            "cancel_on_kill": self.cancel_on_kill,
            "fire_not_before": self.fire_not_before,
        }

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait, and fire the event."""
        # The hook imports pydantic models and an HTTP client: too slow for the event loop, so a
        # thread does that, once per process.
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
            await alook_up(poller.backend, self.wait.deadline)
            return await poller.follow(self.wait, self.log)

    async def on_kill(self) -> None:
        """Cancel the run because a person has ended the task, if the task asked for that."""
        if not self.cancel_on_kill:
            return
        # Airflow 3.3.2 cancels this method after about a second, so the cancel has an asyncio task
        # of its own, which continues after that, with a lease of its own on the HTTP client.
        cancel = asyncio.create_task(self._cancel_if_ended())
        _cancels.add(cancel)
        cancel.add_done_callback(_cancels.discard)
        await asyncio.shield(cancel)

    async def _cancel_if_ended(self) -> None:
        ref = self.wait.ref
        try:
            still_watched = await asyncio.to_thread(self._is_still_watched)
        except Exception:  # for whatever reason the API server does not answer
            self.log.warning("Not cancelling run %r: its task's state is unknown", ref.run_id)
            raise
        if still_watched:
            self.log.warning("Not cancelling run %r: its task still waits for it", ref.run_id)
            return
        hook = lazy.RunsHook(self.conn_id)
        try:
            await alook_up(hook.abackend, time.time() + KILL_LOOKUP_TIMEOUT)
            run = await hook.acancel_run(
                ref.run_id, ref.thread_id, cancel_action=self.wait.cancel_action, hurried=True
            )
        except lazy.RunsError as error:
            self.log.warning("Could not cancel run %r, whose task was ended. %s", ref.run_id, error)
        else:
            self.log.info(
                "The task was ended: the cancel of run %r was requested, and it was %s then",
                *(ref.run_id, run.status.shown),
            )

    def _is_still_watched(self) -> bool:
        """Return whether the task still waits for this run, so that the kill is a mistake.

        When a triggerer has stalled and lost its triggers to another one, it tells all of them of a
        kill as it wakes up. Then the task is still deferred. It is also deferred if it was cleared
        and its next try has already deferred; but that try may wait for another run.
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
        return watched is None or same_id(str(watched), self.wait.ref.run_id)


class SweepTrigger(BaseTrigger):
    """Cancels the matching runs of some threads and waits until they are final.

    Fires one event: the report, see ``tasks.events.SweepEvent``. A triggerer that restarts sweeps
    again. That is idempotent: a run that is already cancelled is not cancelled again.

    :param conn_id: the Airflow connection.
    :param todo: the sweep, as plain JSON: the keyword arguments of ``polling.sweep.Sweep``.
    :param fire_not_before: when the event may fire, in epoch seconds; see ``RunStatusTrigger``.
    """

    def __init__(self, *, conn_id: str, todo: dict[str, Any], fire_not_before: float = 0.0) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Airflow left it so
        self.conn_id = conn_id
        self.todo = todo
        self.fire_not_before = fire_not_before

    @classmethod
    def of(cls, todo: Sweep, conn_id: str) -> Self:
        """Return the trigger with which a task that leaves its worker now sweeps."""
        not_before = time.time() + lazy.settling_time()
        return cls(conn_id=conn_id, todo=todo.to_json(), fire_not_before=not_before)

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class path and the parameters, as plain JSON."""
        return f"{__name__}.SweepTrigger", {
            "conn_id": self.conn_id,
            "todo": self.todo,
            "fire_not_before": self.fire_not_before,
        }

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Sweep, and fire the event."""
        await asyncio.to_thread(_warm_up)
        todo = lazy.Sweep(**self.todo)
        try:
            backend = await alook_up(lazy.RunsHook(self.conn_id).abackend, todo.deadline or 0.0)
            event = lazy.SweepEvent.of(await lazy.sweep(backend, todo, self.log))
        except lazy.RunsError as error:
            event = lazy.SweepEvent.of(error)
        await _hold_back(self)
        yield TriggerEvent(event.to_json())


async def _hold_back(trigger: RunStatusTrigger | SweepTrigger) -> None:
    if trigger.trigger_id is not None:  # it is None if `dag.test()` runs it in the worker
        await asyncio.sleep(max(0.0, trigger.fire_not_before - time.time()))


def _warm_up() -> None:
    """Import what a wait needs, and build its models; this is too slow for an event loop."""
    for model in (lazy.Run, lazy.RunEvent, lazy.SweepEvent):
        model.model_rebuild()
    assert all((lazy.shared_poller, lazy.sweep))  # noqa: S101 - this imports them
    lazy.RunsHook()  # the first one has the metrics reported to Airflow
