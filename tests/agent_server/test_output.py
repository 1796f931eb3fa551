"""What a run has made, as the official client reads it from a real Agent Server."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess

import pytest

from airflow_provider_runs.errors import RunsResponseError
from airflow_provider_runs.hooks import RunsHook
from dev.agent_server import FOREIGN, VENV
from tests.agent_server.conftest import LONG

#: Makes calls with the official client, in the virtual environment that has it.
SDK = """
import json, sys
from langgraph_sdk import get_sync_client

client = get_sync_client(url=sys.argv[1])
calls = json.loads(sys.argv[2])
print(json.dumps([getattr(getattr(client, part), name)(**args) for part, name, args in calls]))
"""


@pytest.fixture
def sdk(server):
    """Return a function that makes calls with the official client; their results in a list."""

    def sdk(*calls):
        env = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
        done = subprocess.run(
            [VENV / "bin" / "python", "-c", SDK, server.url, json.dumps(calls)],
            env=env,
            stdout=subprocess.PIPE,
            text=True,
            timeout=60,
            check=True,
        )
        return json.loads(done.stdout)

    return sdk


@pytest.fixture
def made(server):
    """Return a function that starts a run with the hook, and waits until it has ended."""

    def made(graph="sleeper", thread_id=None, *, given=(), **fields):
        body = {"assistant_id": graph, "input": dict(given), **fields}
        run = RunsHook().start_run(body, thread_id)
        server.wait_for({"run_id": run.id, "thread_id": run.thread_id})
        return RunsHook().get_run(run.id, run.thread_id)

    return made


def output(run):
    """The output of a run as both hooks return it."""
    found = RunsHook().get_output(run)
    assert asyncio.run(RunsHook().aget_output(run)) == found
    return found


def state(run):
    return "threads", "get_state", {"thread_id": run.thread_id}


def history(run, **wanted):
    return "threads", "get_history", {"thread_id": run.thread_id, "limit": 100, **wanted}


def join(run):
    return "runs", "join", {"thread_id": run.thread_id, "run_id": run.id}


def test_it_is_what_the_official_client_reads(made, sdk):
    run = made(given={"answer": "one"})
    joined, now = sdk(join(run), state(run))
    assert output(run) == joined == now["values"] == {"answer": "one"}
    assert now["metadata"]["run_id"] == run.id


@pytest.mark.parametrize("durability", ["async", "exit"])
def test_each_run_of_a_thread_keeps_its_own(made, sdk, durability):
    outputs, runs = {}, []
    for answer in ("one", "two", "three"):
        thread_id = runs[0].thread_id if runs else None
        run = made(thread_id=thread_id, given={"answer": answer}, durability=durability)
        outputs[run.id] = sdk(state(run))[0]["values"]
        runs.append(run)
    assert [output["answer"] for output in outputs.values()] == ["one", "two", "three"]
    assert {run.id: output(run) for run in runs} == outputs
    # Why that is so: the history can be asked for the last state of one run.
    states, *lasts = sdk(
        history(run), *(history(run, limit=1, metadata={"run_id": run.id}) for run in runs)
    )
    written = [[s for s in states if s["metadata"]["run_id"] == run.id] for run in runs]
    assert lasts == [states[:1] for states in written]
    assert [last["values"] for (last,) in lasts] == list(outputs.values())


def test_a_failed_run_has_left_what_it_got(made, sdk):
    run = made(given={"answer": "one", "error": "Out of tokens."})
    assert run.status == "failed"
    assert output(run) == sdk(state(run))[0]["values"]
    assert output(run) == {"answer": "one", "error": "Out of tokens."}
    later = made(thread_id=run.thread_id, given={"answer": "two", "error": ""})
    assert later.status == "completed"
    assert output(run) == {"answer": "one", "error": "Out of tokens."}


def test_a_run_that_waits_for_a_person_keeps_its_own_after_the_answer(made, sdk):
    asked = made("asker", given={"answer": "not yet"})
    before = sdk(state(asked))[0]
    assert before["interrupts"][0]["value"] == "May I go on?"
    assert output(asked) == before["values"] == {"answer": "not yet"}
    body = {"command": {"resume": "Yes"}, "input": None}
    resumed = made("asker", asked.thread_id, **body)
    assert output(asked) == before["values"]
    assert output(resumed) == sdk(state(asked))[0]["values"] == {"answer": "Yes"}


def test_a_cancelled_run_has_left_what_it_got(start):
    run = start()
    cancelled = RunsHook().cancel_run(run["run_id"], run["thread_id"])
    assert cancelled.status == "cancelled"
    assert output(cancelled)["seconds"] == LONG


def test_one_that_never_began_has_left_nothing(start, made):
    first = made(given={"answer": "one"})
    for thread_id in (None, first.thread_id):
        run = start(pending=True, thread_id=thread_id)
        cancelled = RunsHook().cancel_run(run["run_id"], run["thread_id"])
        with pytest.raises(RunsResponseError, match="The server has no values of this run"):
            output(cancelled)


def test_a_run_without_input_has_left_the_values_as_they_were(made, sdk):
    first = made(given={"answer": "one"})
    idle = made(thread_id=first.thread_id, input=None)
    assert idle.status == "completed"
    assert {s["metadata"]["run_id"] for s in sdk(history(idle))[0]} == {first.id}
    assert output(idle) == output(first) == {"answer": "one"}
    later = made(thread_id=first.thread_id, given={"answer": "two"})
    assert output(later) == {"answer": "two"}
    with pytest.raises(RunsResponseError, match="The server has no values of this run"):
        output(idle)


def test_what_a_person_changes_later_is_not_the_runs(made, sdk):
    run = made(given={"answer": "one"})
    change = {"thread_id": run.thread_id, "values": {"answer": "better"}}
    now = sdk(("threads", "update_state", change), state(run))[1]
    assert now["values"] == {"answer": "better"}
    assert "run_id" not in now["metadata"]
    assert output(run) == {"answer": "one"}
