"""What tasks remember from look to look and from try to try in Airflow 3.3's task state store."""

from __future__ import annotations

import pytest

from airflow_provider_runs.airflow_errors import AirflowRescheduleException, TaskDeferred
from airflow_provider_runs.errors import RunNotFound
from airflow_provider_runs.operators import CancelRunOperator
from airflow_provider_runs.sensors import RunStatusSensor
from airflow_provider_runs.testing import RunScript, RunServer

LONG = RunScript(queued_for=0, runs_for=float("inf"), cancelling_for=0.3)


class Store:
    """A store that works like Airflow's accessor of it."""

    def __init__(self):
        self.values = {}
        self.writes = 0

    def get(self, key, default=None):
        return self.values.get(key, default)

    def set(self, key, value):
        self.writes += 1
        self.values[key] = value


class BrokenStore:
    def get(self, key, default=None):
        raise RuntimeError("no answer")

    set = get


def look(run, ti, store=None, **changes):
    ids = {"run_id": run["id"], "thread_id": run["thread_id"], **changes}
    sensor = RunStatusSensor(task_id="watch", mode="reschedule", timeout=600, **ids)
    with pytest.raises(AirflowRescheduleException):
        sensor.execute({"ti": ti, "task_state_store": store} if store else {"ti": ti})


def lines(capsys):
    """What tasks have logged of statuses; Airflow's loggers write to the terminal."""
    return [line for line in capsys.readouterr().out.splitlines() if " into the wait" in line]


def test_a_rescheduled_sensor_says_a_status_once(server, ti, capsys):
    run, store = server.create_run(), Store()
    for _ in range(3):
        look(run, ti, store)
    assert len(lines(capsys)) == 1
    assert store.writes == 1


@pytest.mark.parametrize("store", [None, BrokenStore()])
def test_without_a_store_it_says_it_each_time(server, ti, capsys, store):
    run = server.create_run()
    for _ in range(2):
        look(run, ti, store)
    assert len(lines(capsys)) == 2


def test_the_status_of_another_run_is_not_its_own(server, ti, capsys):
    store = Store()
    for _ in range(2):
        look(server.create_run(), ti, store)
    assert len(lines(capsys)) == 2


def test_a_record_that_has_expired_between_two_looks_is_told_from_a_missing_one(monkeypatch, ti):
    store = Store()
    with RunServer(dialect="responses", script=LONG) as server:
        monkeypatch.setenv("AIRFLOW_CONN_RUNS_DEFAULT", server.connection())
        run = {**server.create_run(), "thread_id": None}
        look(run, ti, store)
        server.delete(run["id"])
        sensor = RunStatusSensor(task_id="watch", mode="reschedule", run_id=run["id"])
        with pytest.raises(RunNotFound, match="record has expired"):
            sensor.execute({"ti": ti, "task_state_store": store})


def rollback(run, **changes):
    ids = {"run_id": run["run_id"], "thread_id": run["thread_id"]}
    return CancelRunOperator(
        task_id="cancel", cancel_action="rollback", deferrable=True, **ids, **changes
    )


def test_a_retry_knows_that_an_earlier_try_has_rolled_the_run_back(monkeypatch, ti):
    context = {"ti": ti, "task_state_store": Store()}
    script = RunScript(queued_for=0, cancelling_for=float("inf"))  # gone when the test says so
    with RunServer(dialect="langgraph", script=script) as server:
        monkeypatch.setenv("AIRFLOW_CONN_RUNS_DEFAULT", server.connection())
        run = server.create_run()
        with pytest.raises(TaskDeferred):
            rollback(run).execute(context)
        server.delete(run["run_id"])
        ended = rollback(run, missing_grace=0).execute(context)
        assert (ended["status"], ended["raw_status"]) == ("cancelled", "rolled back")
        with pytest.raises(RunNotFound):
            rollback(run, missing_grace=0).execute({"ti": ti})
        assert rollback(run, on_missing="succeed", missing_grace=0).execute({"ti": ti}) is None
