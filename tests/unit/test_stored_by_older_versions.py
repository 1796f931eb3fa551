"""What users' databases hold still loads: a frozen sample of what version 0.1.0 stored.

The sample was written by that version's own code; never edit it, but add one for each version that
stores another form.
"""

import json
from pathlib import Path
from pkgutil import resolve_name

import pytest

from airflow_provider_runs.errors import CancelRefused, RunTimeout
from airflow_provider_runs.flows.wait import Wait
from airflow_provider_runs.models import RunRef
from airflow_provider_runs.polling.report import Result, Swept
from airflow_provider_runs.polling.sweep import Sweep
from airflow_provider_runs.tasks.events import RunEvent, SweepEvent

STORED = json.loads((Path(__file__).parent / "samples" / "stored_by_0_1_0.json").read_text())


def made_anew(name: str):
    path, kwargs = STORED[name]
    return resolve_name(path)(**kwargs)


def test_a_wait_resumes():
    trigger = made_anew("run_trigger")
    assert trigger.wait == Wait(
        RunRef("run_1", "thread_1"),
        started_at=1800000000.25,
        deadline=1800000600.5,
        poll_interval=5.0,
        first_interval=2.0,
        stop_on_requires_action=True,
        cancel=True,
        cancel_action="interrupt",
        asked_at=1800000010.0,
        seen="cancelling",
    )
    assert trigger.conn_id == "runs_default"
    assert trigger.cancel_on_kill
    assert trigger.fire_not_before == 1800000007.0


def test_a_wait_is_stored_anew_as_one_dict_and_resumes_from_that_too():
    path, kwargs = made_anew("run_trigger").serialize()
    assert set(kwargs) == {"wait", "conn_id", "cancel_on_kill", "fire_not_before"}
    again = resolve_name(path)(**json.loads(json.dumps(kwargs)))
    assert again.wait == made_anew("run_trigger").wait
    assert again.serialize() == (path, kwargs)


def test_a_sweep_resumes():
    trigger = made_anew("sweep_trigger")
    assert Sweep(**trigger.todo) == Sweep(
        ["thread_1"],
        statuses=["queued", "in_progress", "requires_action", "cancelling"],
        metadata={"team": "data"},
        older_than=3600.0,
        deadline=1800000600.0,
    )
    assert trigger.serialize() == tuple(STORED["sweep_trigger"])


def test_the_event_of_a_run_is_read():
    run = RunEvent.read(STORED["run_event"], "run_1")
    assert (run.status, run.created_at, run.usage.total_tokens) == ("cancelled", 1800000000, 7)
    assert run.model_extra == {"odd": [1]}
    with pytest.raises(RunTimeout, match="was not final") as caught:
        RunEvent.read(STORED["run_event_with_error"], "run_1")
    assert caught.value.run["status"] == "cancelled"


def test_the_event_of_a_sweep_is_read_and_written_in_the_same_form():
    report = SweepEvent.read(STORED["sweep_event"])
    assert report == [
        Swept("thread_1", "run_1", "in_progress", "cancelled", 12.5, Result.CANCELLED),
        Swept("thread_2", None, None, None, None, Result.ERROR, "Could not list."),
    ]
    assert SweepEvent.of(report).to_json() == STORED["sweep_event"]
    with pytest.raises(CancelRefused, match=r"No\.") as caught:
        SweepEvent.read(STORED["sweep_event_with_error"])
    assert SweepEvent.of(caught.value).to_json() == STORED["sweep_event_with_error"]


@pytest.mark.parametrize(
    "event",
    [
        None,
        {},
        {"version": 1},
        {"version": 2, "report": []},
        {"version": 1, "report": [], "error": {"message": "x"}},
        {"version": 1, "report": [{"run_id": "run_1"}]},
        {"version": 1, "report": [{**STORED["sweep_event"]["report"][0], "result": "fine"}]},
        {"version": 1, "report": [{**STORED["sweep_event"]["report"][0], "more": 1}]},
        {"version": 1, "error": {"no": "message"}},
    ],
)
def test_what_is_no_event_of_a_sweep_is_refused(event):
    with pytest.raises(Exception, match=r"cannot be understood.*Clear the task to sweep again"):
        SweepEvent.read(event)


@pytest.mark.parametrize(
    "fields", [{}, {"run_id": "run_1"}, {"deadline": 1.0}, {"run_id": "r", "deadline": 1, "x": 1}]
)
def test_a_trigger_needs_a_run_and_a_deadline_and_takes_no_other_fields(fields):
    with pytest.raises(TypeError):
        resolve_name(STORED["run_trigger"][0])(**fields)
