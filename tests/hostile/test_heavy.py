"""Answers that are too heavy for an event loop: a thread reads them, and all ends as it would."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_runs import CancelRunOperator, RunStatusSensor
from airflow_provider_runs.flows.wait import Wait
from airflow_provider_runs.hooks import RunsHook
from airflow_provider_runs.models import RunRef
from airflow_provider_runs.polling.poller import shared_poller
from airflow_provider_runs.testing import RunScript, RunServer
from tests.integration.conftest import run_task

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["run_task"]

LOG = logging.getLogger(__name__)
#: Longer than what an event loop reads itself, and what it holds of.
TEXT = "word, " * 60_000
ITEMS = {f"name {number}": "a" for number in range(3_000)}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[RunServer]:
    script = RunScript(queued_for=0, runs_for=1.5, cancelling_for=0.5)
    with RunServer(script=script, thread_lock=False) as server:
        monkeypatch.setenv("AIRFLOW_CONN_RUNS_DEFAULT", server.connection(max_retries=0))
        yield server


@pytest.fixture(params=[{"much": TEXT}, ITEMS], ids=["long", "full"])
def run(request: pytest.FixtureRequest, server: RunServer) -> dict[str, Any]:
    """A run whose every answer is heavy."""
    return server.create_run(metadata=request.param)


def ids(run: dict[str, Any]) -> dict[str, str]:
    return {"run_id": run["id"], "thread_id": run["thread_id"]}


def test_a_deferred_cancel_reads_heavy_answers(server, run, run_task):
    task = CancelRunOperator(task_id="t", poll_interval=0.3, deferrable=True, **ids(run))
    result = run_task(task)
    assert result["status"] == "cancelled"
    assert result["metadata"] == run["metadata"]
    assert server.accepted_cancels(run["id"]) == 1


def test_many_waits_on_one_thread_read_heavy_lists(server, run):
    runs = [run, *(server.create_run(run["thread_id"], metadata=run["metadata"]) for _ in range(9))]

    async def wait_for_all():
        now = time.time()
        async with shared_poller("runs_default", RunsHook().abackend) as poller:
            waits = [Wait(RunRef(**ids(each)), now, now + 20, 0.3) for each in runs]
            return await asyncio.gather(*(poller.follow(wait, LOG) for wait in waits))

    ended = asyncio.run(wait_for_all())
    assert {run.status for run in ended} == {"completed"}
    assert all(run.metadata == runs[0]["metadata"] for run in ended)


def test_a_deferred_sensor_ends_with_a_heavy_answer_and_a_short_event(run, run_task):
    sensor = RunStatusSensor(
        task_id="t", poke_interval=0.3, deferrable=True, xcom="summary", **ids(run)
    )
    result = run_task(sensor)
    assert result["status"] == "completed"
    assert len(json.dumps(result)) < 2000


def test_a_wait_reads_a_heavy_answer_to_its_cancel(server, run):
    async def cancel():
        now = time.time()
        async with shared_poller("runs_default", RunsHook().abackend) as poller:
            wait = Wait(RunRef(**ids(run)), now, now + 20, 0.3, cancel=True)
            return await poller.follow(wait, LOG)

    assert asyncio.run(cancel()).status == "cancelled"
    assert server.accepted_cancels(run["id"]) == 1
