"""What every process of ``tests.tries`` needs, imported once by the process that they come from."""

import gc
from contextlib import suppress
from importlib import import_module

from airflow_provider_runs.operators import StartRunOperator
from airflow_provider_runs.tasks import lazy
from airflow_provider_runs.triggers import _warm_up

_warm_up()
StartRunOperator(task_id="ask", body={})
assert all(getattr(lazy, name) for name in lazy.__all__)
for name in (
    "airflow.sdk.execution_time.cache",
    "airflow.sdk.execution_time.schema.migrator",
    "airflow.sdk.execution_time.supervisor",
    "airflow_provider_runs.transport.aiohttp",
    "asgiref.sync",
):
    with suppress(ImportError):  # of another version of Airflow, or without aiohttp
        import_module(name)
# Else the first collection of each process would write to all of the memory that they share.
gc.collect()
gc.freeze()
