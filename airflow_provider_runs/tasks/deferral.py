"""Leaving the worker: when a wait must end, and how a task waits in the triggerer."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import TYPE_CHECKING, NoReturn

from airflow.providers.common.compat.sdk import conf

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator
    from airflow.triggers.base import BaseTrigger

__all__ = ["deadline", "defer", "settling_time"]

#: Seconds beyond the trigger's own deadline after which Airflow ends the deferral: only a net,
#: since it then tells neither the trigger nor the task what the run did.
NET = 300.0


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


def defer(task: BaseOperator, trigger: BaseTrigger, until: float) -> NoReturn:
    """Leave the worker until a trigger fires; ``execute_complete`` gets its event.

    :param until: the trigger's own deadline, in epoch seconds.
    :raises TaskDeferred: always.
    """
    net = timedelta(seconds=max(0.0, until - time.time()) + NET)
    task.defer(trigger=trigger, method_name="execute_complete", timeout=net)
    raise AssertionError  # pragma: no cover - `defer` always raises
