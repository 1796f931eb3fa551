"""CancelRunNotifier, called as Airflow calls it: as a function, and awaited."""

from __future__ import annotations

import asyncio
import re
from inspect import signature

import pytest
import structlog
from airflow.sdk.definitions.deadline import AsyncCallback

from airflow_provider_runs.notifications import CancelRunNotifier
from airflow_provider_runs.testing import Fault, RunScript


@pytest.fixture(params=["called", "awaited"])
def notify(request):
    """Return a function that makes a notifier and lets it act in some context."""

    def notify(context=None, **kwargs):
        context = {"dag": None, **(context or {})}
        if request.param == "called":
            CancelRunNotifier(**kwargs)(context)
            return

        async def awaited():
            # As the triggerer does for a deadline.
            await CancelRunNotifier(**kwargs, context=context)

        asyncio.run(awaited())

    return notify


def test_a_run_is_cancelled(server, notify):
    run = server.create_run()
    notify(run_id=run["id"], thread_id=run["thread_id"])
    assert server.accepted_cancels(run["id"]) == 1


def test_what_is_no_id_cancels_nothing_and_stays_out_of_the_log(server, notify):
    with structlog.testing.capture_logs() as lines:
        notify(run_id={"id": "run_1", "instructions": "Ms Example"}, thread_id="thread_1")
        notify(thread_id={"id": "thread_1", "metadata": "Ms Example"})
    said = str(lines)
    assert "run_id is a dict, not an id" in said
    assert "thread_id is a dict, not an id" in said
    assert "Ms Example" not in said
    assert server.requests == []


def test_the_ids_are_templates(server, notify):
    run = server.create_run()
    conf = {"run": run["id"], "thread": run["thread_id"]}
    notify(
        {"dag_run": {"conf": conf}},
        run_id="{{ dag_run['conf']['run'] }}",
        thread_id="{{ dag_run['conf']['thread'] }}",
    )
    assert server.accepted_cancels(run["id"]) == 1


def test_every_matching_run_of_a_thread_is_cancelled(server, notify):
    thread = server.create_thread()
    ours = [server.create_run(thread, metadata={"dag": "mine"})["id"] for _ in range(3)]
    other = server.create_run(thread, metadata={"dag": "other"})["id"]
    notify({"name": "mine"}, thread_id=thread, metadata={"dag": "{{ name }}"})
    assert [server.accepted_cancels(run) for run in ours] == [1, 1, 1]
    assert server.accepted_cancels(other) == 0


def test_it_does_not_wait_for_the_effect(server, notify, capfd):
    run = server.create_run(script=RunScript(queued_for=0, cancelling_for=float("inf")))
    notify(thread_id=run["thread_id"])
    assert server.run(run["id"])["status"] == "cancelling"
    assert [request.method for request in server.requests] == ["GET", "POST"]  # no look after it
    assert f"Run '{run['id']}' on thread '{run['thread_id']}': asked" in capfd.readouterr().out


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({}, "Neither run_id nor thread_id is given"),
        ({"run_id": None, "thread_id": ""}, "Neither run_id nor thread_id is given"),
        ({"run_id": "run_nope", "thread_id": "thread_nope"}, "run_nope"),
        ({"run_id": "a/b", "thread_id": "thread_1"}, "cannot be an id"),
        ({"thread_id": "thread_nope"}, "Could not list the runs"),
        ({"run_id": "{{ nothing.at.all }}"}, "Cancelling from a callback failed"),
        ({"run_id": "run_1", "conn_id": "nowhere"}, "Airflow has no connection 'nowhere'"),
    ],
)
@pytest.mark.usefixtures("server")
def test_whatever_goes_wrong_is_logged_and_raises_nothing(notify, capfd, fields, words):
    notify(**fields)
    assert words in "".join(capfd.readouterr())


def test_a_thread_with_nothing_to_cancel_is_said(server, notify, capfd):
    notify(thread_id=server.create_thread())
    assert "nothing to cancel" in "".join(capfd.readouterr())


def test_a_refused_key_is_logged(server, notify, capfd):
    run = server.create_run()
    server.fault(Fault(status=401), times=None)
    notify(run_id=run["id"], thread_id=run["thread_id"])
    assert "Put a key that is allowed to do this into the connection" in "".join(capfd.readouterr())


def test_a_senseless_parameter_is_an_error_in_the_dag_file():
    with pytest.raises(ValueError, match="statuses"):
        CancelRunNotifier(thread_id="thread_1", statuses=["done"])


def test_an_argument_of_another_name_is_refused_with_those_that_there_are():
    with pytest.raises(TypeError, match=r"no argument 'thred_id'\. It takes .*thread_id.*context"):
        CancelRunNotifier(thred_id="thread_1")
    with pytest.raises(TypeError, match="'a' or 'b'"):
        CancelRunNotifier(thread_id="thread_1", a=1, b=2)
    taken = set(signature(CancelRunNotifier).parameters)
    with pytest.raises(TypeError) as caught:
        CancelRunNotifier(x=1)
    assert set(re.findall(r"\w+", str(caught.value).partition("It takes ")[2])) < taken


def deadline_trigger(kwargs):
    """The trigger of a missed deadline, as the scheduler of the installed Airflow makes it."""
    context = {"dag_run": {"dag_run_id": "r"}, "deadline": {"id": "1", "deadline_time": "2026"}}
    callback = AsyncCallback(CancelRunNotifier, kwargs=kwargs)
    try:
        from airflow.triggers.callback import CallbackTrigger
    except ImportError:  # Airflow 3.1
        from airflow.triggers.deadline import DeadlineCallbackTrigger as CallbackTrigger
    return CallbackTrigger(callback.path, {**callback.kwargs, "context": context})


def fire(kwargs):
    trigger = deadline_trigger(kwargs)

    async def events():
        return [event.payload async for event in trigger.run()]

    return asyncio.run(events())


def test_airflow_passes_a_deadlines_callback_nothing_but_its_context(server):
    run = server.create_run()
    fire({"run_id": run["id"], "thread_id": run["thread_id"]})
    assert server.accepted_cancels(run["id"]) == 1


def test_a_typo_in_a_deadlines_callback_is_told_in_the_triggerer(server):
    events = fire({"thred_id": server.create_run()["thread_id"]})
    assert events[-1]["state"] == "failed"
    assert "CancelRunNotifier takes no argument" in events[-1]["body"]
    assert "It takes run_id, thread_id" in events[-1]["body"]


def test_airflow_passes_an_executors_callback_nothing_but_its_context(server):
    supervisor = pytest.importorskip("airflow.sdk.execution_time.callback_supervisor")
    run = server.create_run()
    kwargs = {"run_id": run["id"], "thread_id": run["thread_id"], "context": {"dag_run": {}}}
    path = f"{CancelRunNotifier.__module__}.{CancelRunNotifier.__qualname__}"
    done, words = supervisor.execute_callback(path, kwargs, "", None, structlog.get_logger())
    assert done, words
    assert server.accepted_cancels(run["id"]) == 1
