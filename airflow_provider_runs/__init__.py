"""Start and cancel long LLM runs from Apache Airflow, and wait until they have really ended.

Airflow imports this package whenever it starts, to call ``get_provider_info``, so importing it
imports nothing else. The public names are imported when they are first used (PEP 562).
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from airflow_provider_runs._version import __version__
    from airflow_provider_runs.errors import RunsError
    from airflow_provider_runs.hooks import RunsHook
    from airflow_provider_runs.models import Run, RunRef, RunStatus
    from airflow_provider_runs.notifications import CancelRunNotifier
    from airflow_provider_runs.operators import (
        CancelRunOperator,
        CleanupRunsOperator,
        StartRunOperator,
    )
    from airflow_provider_runs.sensors import RunStatusSensor
    from airflow_provider_runs.triggers import RunStatusTrigger

__all__ = [
    "CancelRunNotifier",
    "CancelRunOperator",
    "CleanupRunsOperator",
    "Run",
    "RunRef",
    "RunStatus",
    "RunStatusSensor",
    "RunStatusTrigger",
    "RunsError",
    "RunsHook",
    "StartRunOperator",
    "__version__",
    "get_provider_info",
]

_MODULES = {
    "CancelRunNotifier": "notifications",
    "CancelRunOperator": "operators",
    "CleanupRunsOperator": "operators",
    "Run": "models",
    "RunRef": "models",
    "RunStatus": "models",
    "RunStatusSensor": "sensors",
    "RunStatusTrigger": "triggers",
    "RunsError": "errors",
    "RunsHook": "hooks",
    "StartRunOperator": "operators",
    "__version__": "_version",
}


def get_provider_info() -> "dict[str, Any]":
    """Return what Airflow wants to know of a provider (``provider_info.schema.json``)."""
    from airflow_provider_runs.provider_info import PROVIDER_INFO

    return PROVIDER_INFO


def __getattr__(name: str) -> "Any":
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
