"""What Airflow's own metrics say of runs: from the workers and from the triggerer."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from airflow_provider_runs.testing import Fault, RunScript

if TYPE_CHECKING:
    from airflow_provider_runs.testing import RunServer
    from dev.local_airflow import LocalAirflow
    from tests.e2e.statsd import Statsd

SLOW = RunScript(queued_for=0, runs_for=math.inf, cancelling_for=10)


def test_statsd_hears_of_a_cancel_that_is_waited_for_in_the_triggerer(
    airflow: LocalAirflow, run_server: RunServer, statsd: Statsd
) -> None:
    run = run_server.create_run(script=SLOW)
    run_server.fault(Fault(status=429, headers={"retry-after": "1"}), method="GET", path=run["id"])
    before = statsd.received

    ids = {"run_id": run["id"], "thread_id": run["thread_id"]}
    dag_run = airflow.trigger("cancel_one", ids)
    assert airflow.wait_for_dag_run("cancel_one", dag_run) == "success"
    assert airflow.was_deferred("cancel_one", dag_run, "cancel")

    def new(name: str) -> list[float]:
        return statsd.received.get(name, [])[len(before.get(name, [])) :]

    assert new("airflow.runs.cancels.accepted|c") == [1]  # by the worker
    usage = airflow.xcom("cancel_one", dag_run, "cancel", key="usage")  # so are these
    for kind in ("prompt", "completion", "total"):
        assert new(f"airflow.runs.tokens.{kind}|c") == [usage[f"{kind}_tokens"]]
    # The rest is what the triggerer saw.
    assert new("airflow.runs.watched|g") == [1, 0]
    assert new("airflow.runs.cancels.cancelled|c") == [1]
    (took,) = new("airflow.runs.cancel_seconds|ms")
    assert 9_000 < took < 300_000  # milliseconds
    assert new("airflow.runs.rate_limited|c") == [1]
    assert new("airflow.runs.errors.RunsRateLimited|c") == [1]
    polls, seconds = new("airflow.runs.polls|c"), new("airflow.runs.poll_seconds|ms")
    assert len(polls) == len(seconds) >= 2
