"""Deferral: when a wait must end, and how a task waits in the triggerer."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.providers.common.compat.sdk import conf

if TYPE_CHECKING:
    from airflow.triggers.base import BaseTrigger

__all__ = ["deadline", "defer", "settling_time"]

#: Seconds after the trigger's own deadline at which Airflow ends the deferral. Only a last resort:
#: the trigger is not told, and the task does not learn what the run did.
DEFERRAL_MARGIN = 300.0


def deadline(started_at: float, timeout: float, execution_timeout: timedelta | None) -> float:
    """Return when a wait must end, in epoch seconds.

    No Airflow 3 ends a deferred task at its ``execution_timeout``, so this takes it into account.
    The wait ends a little earlier, since its own error says more than Airflow's.

    :param started_at: when the task began to wait, in epoch seconds.
    :param timeout: the task's own limit, in seconds.
    :param execution_timeout: Airflow's limit for the task.
    """
    if execution_timeout is not None:
        limit = execution_timeout.total_seconds()
        timeout = min(timeout, limit - min(2.0, 0.1 * limit))
    return started_at + timeout


def settling_time() -> float:
    """Return how long a task that has left its worker must not come back, in seconds.

    Airflow supervises the process of such a task until its next heartbeat would be due. If the task
    is queued again before the scheduler has heard that this process ended, the scheduler takes that
    for the end of the new try and fails the task ("… state attribute is queued", Airflow 3.3.2).
    """
    return float(conf.getint("workers", "min_heartbeat_interval", fallback=5) + 2)


def defer(task: Any, trigger: BaseTrigger, until: float, **kwargs: Any) -> NoReturn:
    """Leave the worker until a trigger fires; ``execute_complete`` gets its event.

    :param task: the operator or sensor to defer.
    :param trigger: what it waits for.
    :param until: the trigger's own deadline, in epoch seconds.
    :param kwargs: what else ``execute_complete`` gets; it is stored, as plain JSON.
    :raises TaskDeferred: always.
    """
    limit = timedelta(seconds=max(0.0, until - time.time()) + DEFERRAL_MARGIN)
    task.defer(
        trigger=trigger, method_name="execute_complete", kwargs=kwargs or None, timeout=limit
    )
    raise AssertionError  # pragma: no cover - `defer` always raises
