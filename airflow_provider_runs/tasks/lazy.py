"""What a task needs only when it runs, imported on first use, to keep DAG files fast to parse.

``lazy.RunsHook`` is ``hooks.RunsHook``, and so on.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_provider_runs.errors import RunsConfigError, RunsError
    from airflow_provider_runs.flows.wait import Wait
    from airflow_provider_runs.hooks import RunsHook
    from airflow_provider_runs.models import Run
    from airflow_provider_runs.polling.poller import shared_poller
    from airflow_provider_runs.polling.report import Result, table
    from airflow_provider_runs.polling.sweep import Sweep, cancel_one, sweep
    from airflow_provider_runs.run_ref import RunRef
    from airflow_provider_runs.tasks.deferral import settling_time
    from airflow_provider_runs.tasks.events import RunEvent, SweepEvent
    from airflow_provider_runs.tasks.start_notes import Notes, Who
    from airflow_provider_runs.tasks.starting import Starter
    from airflow_provider_runs.transport.cancel_on_exit import cancel_before_exit, cancel_started

__all__ = [
    "Notes",
    "Result",
    "Run",
    "RunEvent",
    "RunRef",
    "RunsConfigError",
    "RunsError",
    "RunsHook",
    "Starter",
    "Sweep",
    "SweepEvent",
    "Wait",
    "Who",
    "cancel_before_exit",
    "cancel_one",
    "cancel_started",
    "settling_time",
    "shared_poller",
    "sweep",
    "table",
]

_MODULES = {
    "Notes": "tasks.start_notes",
    "Who": "tasks.start_notes",
    "Result": "polling.report",
    "Run": "models",
    "RunEvent": "tasks.events",
    "RunRef": "run_ref",
    "RunsConfigError": "errors",
    "RunsError": "errors",
    "RunsHook": "hooks",
    "Starter": "tasks.starting",
    "Sweep": "polling.sweep",
    "SweepEvent": "tasks.events",
    "Wait": "flows.wait",
    "cancel_before_exit": "transport.cancel_on_exit",
    "cancel_one": "polling.sweep",
    "cancel_started": "transport.cancel_on_exit",
    "settling_time": "tasks.deferral",
    "shared_poller": "polling.poller",
    "sweep": "polling.sweep",
    "table": "polling.report",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"airflow_provider_runs.{_MODULES[name]}"), name)
