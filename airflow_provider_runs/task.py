"""What the operator and the sensor share: deadlines, deferring, and errors that Airflow heeds."""

from __future__ import annotations

import math
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from airflow.providers.common.compat.sdk import conf

from airflow_provider_runs.airflow_errors import AirflowFailException
from airflow_provider_runs.errors import RunFailed, RunsError

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator
    from airflow.triggers.base import BaseTrigger

    from airflow_provider_runs.flows.wait import Wait
    from airflow_provider_runs.models import Run

__all__ = [
    "NO_ID",
    "UnwantedStatus",
    "about",
    "deadline",
    "default_deferrable",
    "defer",
    "leave",
    "one_of",
    "optional_seconds",
    "seconds",
    "settling_time",
]

#: What an id is where a template had nothing to render.
NO_ID = (None, "", "None")  # a tuple, as whatever a task has given may be looked for in it
#: Seconds beyond the trigger's own deadline after which Airflow ends the deferral: only a net,
#: since it then tells neither the trigger nor the task what the run did.
NET = 300.0


class UnwantedStatus(RunFailed, AirflowFailException):  # type: ignore[misc]  # Airflow's status_code is the 500 of its own API
    """The run is where it should not be and will stay there, so Airflow does not retry the task."""


E = TypeVar("E", bound=RunsError)


def about(task: Any, kind: type[E], words: str, run: Run | None = None) -> E:
    """Return an error about the run that a task works on.

    :param task: an operator or sensor with ``run_id``, ``thread_id`` and ``conn_id``.
    :param run: the run as it was seen, if it was.
    """
    return kind(
        words,
        conn_id=task.conn_id,
        run_id=task.run_id,
        thread_id=task.thread_id,
        run=run.to_json() if run else None,
    )


def default_deferrable() -> bool:
    """Return Airflow's ``[operators] default_deferrable``."""
    return bool(conf.getboolean("operators", "default_deferrable", fallback=False))


def one_of(name: str, value: str, allowed: tuple[str, ...]) -> str:
    """Return the value of a parameter if it is one of those allowed.

    :raises ValueError: if it is not.
    """
    if value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, allowed))}, not {value!r}")
    return value


def seconds(name: str, value: float | timedelta) -> float:
    """Return a span of time as seconds.

    :raises ValueError: if it is not more than zero, or has no end.
    """
    number = value.total_seconds() if isinstance(value, timedelta) else float(value)
    if not 0 < number < math.inf:
        raise ValueError(f"{name} must be more than 0 seconds and have an end, not {value!r}")
    return number


def optional_seconds(name: str, value: float | timedelta | None) -> float | None:
    """Return a span of time as seconds, or ``None`` as it is.

    :raises ValueError: if it is not more than zero, or has no end.
    """
    return None if value is None else seconds(name, value)


def deadline(started_at: float, timeout: float, execution_timeout: timedelta | None) -> float:
    """Return when a wait must end, in epoch seconds.

    No Airflow 3 ends a deferred task at its ``execution_timeout``, so it is counted in here. The
    wait ends a little before it, since its own error says more than Airflow's.

    :param started_at: when the task began to wait, in epoch seconds.
    :param timeout: the task's own limit, in seconds.
    :param execution_timeout: Airflow's limit for the task.
    """
    if execution_timeout is not None:
        limit = execution_timeout.total_seconds()
        timeout = min(timeout, limit - min(2.0, 0.1 * limit))
    return started_at + timeout


def settling_time() -> float:
    """Return the seconds for which a task that has left its worker must not come back.

    Airflow watches the process of such a task until its next heartbeat would be due. If the task is
    queued again before the scheduler has heard of the end of that process, the scheduler takes the
    end for the new start's, and fails the task ("… state attribute is queued", Airflow 3.3.2).
    """
    return float(conf.getint("workers", "min_heartbeat_interval", fallback=5) + 2)


def defer(
    task: BaseOperator, conn_id: str, wait: Wait, *, cancel_on_kill: bool = False
) -> NoReturn:
    """Let the triggerer do the rest of the wait; ``execute_complete`` gets its event.

    :raises TaskDeferred: always.
    """
    from airflow_provider_runs.triggers import RunStatusTrigger

    trigger = RunStatusTrigger(
        conn_id=conn_id,
        cancel_on_kill=cancel_on_kill,
        fire_not_before=time.time() + settling_time(),
        **wait.to_json(),
    )
    leave(task, trigger, wait.deadline)


def leave(task: BaseOperator, trigger: BaseTrigger, until: float) -> NoReturn:
    """Leave the worker until a trigger fires; ``execute_complete`` gets its event.

    :param until: the trigger's own deadline, in epoch seconds.
    :raises TaskDeferred: always.
    """
    net = timedelta(seconds=max(0.0, until - time.time()) + NET)
    task.defer(trigger=trigger, method_name="execute_complete", timeout=net)
    raise AssertionError  # pragma: no cover - `defer` always raises
