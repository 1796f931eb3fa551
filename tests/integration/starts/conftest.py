"""A task instance that starts a run, on each API, in the worker and deferred."""

from __future__ import annotations

import pytest

from airflow_provider_runs.backends import BACKENDS
from airflow_provider_runs.testing import RunServer
from tests.integration.starting import BODIES, SOON, Instance, Store


@pytest.fixture(params=[False, True], ids=["worker", "deferred"])
def deferrable(request):
    return request.param


@pytest.fixture(params=[kind.form.conn_type.removeprefix("runs_") for kind in BACKENDS])
def dialect(request):
    return request.param


@pytest.fixture
def server(dialect, monkeypatch):
    with RunServer(dialect=dialect, script=SOON, thread_lock=False) as server:
        monkeypatch.setenv("AIRFLOW_CONN_RUNS_DEFAULT", server.connection(max_retries=1))
        yield server


@pytest.fixture
def instance(dialect, deferrable, server):  # noqa: ARG001 - the server is there first
    return Instance(Store(), body=BODIES[dialect], deferrable=deferrable)
