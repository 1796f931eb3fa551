"""What a start needs: its body is completed, contradictions are refused before anything is sent."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

import pytest

from airflow_provider_runs.backends import BACKENDS
from airflow_provider_runs.backends.starts import Start
from airflow_provider_runs.errors import RunsConfigError
from tests.unit.backends import backend_of

BODIES = {
    "runs_assistants": {"assistant_id": "asst_1"},
    "runs_foundry": {"assistant_id": "asst_1"},
    "runs_langgraph": {"assistant_id": "agent", "input": {}},
    "runs_responses": {"model": "gpt-4o", "input": "Hello"},
}
OURS = {"airflow_key": "etl/r1/ask", "airflow_start": "1", "airflow_try": "2"}


def start_of(backend, **changes):
    body = {**BODIES[backend.form.conn_type], **changes.pop("body", {})}
    given = {"key": "etl/r1/ask", "marks": {"airflow_try": "2"}, **changes}
    return Start(body, **given)


def prepared(name, *, extra=None, **changes):
    kind = next(kind for kind in BACKENDS if kind.form.conn_type == name)
    backend = backend_of(kind, **(extra or {}))
    return backend.prepared(start_of(backend, **changes))


each = pytest.mark.parametrize("name", BODIES)


@each
def test_the_marks_are_put_into_the_metadata_beside_the_users_own(name):
    start = prepared(name, body={"metadata": {"team": "data"}})
    assert start.sent["metadata"] == {"team": "data", **OURS}
    assert BODIES[name].items() <= start.sent.items()


@each
def test_what_the_user_gave_is_left_as_it_is(name):
    start = prepared(name)
    assert start.body == BODIES[name]


@each
@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"stream": True}, "'stream'"),
        ({"metadata": ["data"]}, "'metadata' that is no JSON object"),
        ({"metadata": {"airflow_key": "mine"}}, "'airflow_key' in its metadata"),
    ],
)
def test_what_contradicts_is_refused(name, body, words):
    with pytest.raises(RunsConfigError, match=words) as caught:
        prepared(name, body=body)
    assert "Nothing was sent." in caught.value.message
    assert caught.value.conn_id == "c"


@each
@pytest.mark.parametrize("body", [None, "text", ["list"]])
def test_a_body_that_is_none_is_refused(name, body):
    kind = next(kind for kind in BACKENDS if kind.form.conn_type == name)
    with pytest.raises(RunsConfigError, match="not the JSON object of the call"):
        backend_of(kind).prepared(Start(body))


@pytest.mark.parametrize(("field", "value"), [("background", False), ("store", False)])
def test_a_response_must_go_on_by_itself_and_be_kept(field, value):
    assert prepared("runs_responses").sent[field] is True
    assert prepared("runs_responses", body={field: True}).sent[field] is True
    with pytest.raises(RunsConfigError, match=f"{field}.*needs True"):
        prepared("runs_responses", body={field: value})


def test_a_response_has_no_thread():
    with pytest.raises(RunsConfigError, match="no threads: leave thread_id out"):
        prepared("runs_responses", thread_id="thread_1")


def test_langgraph_makes_a_thread_that_follows_from_the_key():
    one, again = prepared("runs_langgraph"), prepared("runs_langgraph")
    assert one.thread_id == again.thread_id
    assert UUID(one.thread_id).version == 5
    assert one.on_own_thread
    assert one.sent["if_not_exists"] == "create"
    assert one.sent["multitask_strategy"] == "reject"


@pytest.mark.parametrize("changes", [{"key": "etl/r1/other"}, {"number": 2}])
def test_another_start_has_another_thread(changes):
    assert prepared("runs_langgraph").thread_id != prepared("runs_langgraph", **changes).thread_id


def test_a_thread_of_its_own_must_be_made():
    with pytest.raises(RunsConfigError, match="if_not_exists"):
        prepared("runs_langgraph", body={"if_not_exists": "reject"})


def test_a_thread_of_the_users_is_used_as_the_user_says():
    thread = "0190d5b2-0000-7000-8000-00000000000a"
    start = prepared("runs_langgraph", thread_id=thread, body={"if_not_exists": "reject"})
    assert start.thread_id == thread
    assert start.sent["if_not_exists"] == "reject"
    assert "multitask_strategy" not in start.sent
    assert prepared("runs_langgraph", thread_id=thread).sent["if_not_exists"] == "create"


@pytest.mark.parametrize("thread_id", ["", "None", "a/b"])
@pytest.mark.parametrize("name", ["runs_assistants", "runs_foundry", "runs_langgraph"])
def test_a_thread_that_a_template_failed_to_give_is_refused(name, thread_id):
    with pytest.raises(RunsConfigError, match="thread_id"):
        prepared(name, thread_id=thread_id)


@pytest.mark.parametrize(
    ("extra", "thread_id", "strategy", "again", "own"),
    [
        ("runs_langgraph", None, None, True, True),
        ("runs_langgraph", None, "enqueue", False, True),
        ("runs_langgraph", "thread-1", None, False, False),
        ("runs_langgraph", "thread-1", "reject", False, False),
    ],
)
def test_langgraph_may_be_asked_again_only_where_it_refuses_a_second_run(
    extra, thread_id, strategy, again, own
):
    kind = next(kind for kind in BACKENDS if kind.form.conn_type == extra)
    backend = backend_of(kind)
    body = {"multitask_strategy": strategy} if strategy else {}
    start = backend.prepared(start_of(backend, thread_id=thread_id, body=body))
    assert backend.may_start_again(start) is again
    assert backend.has_own_place(start) is own
    call = next(backend.start(start))
    assert call.repeatable is again


@pytest.mark.parametrize(
    ("where", "in_body", "in_headers"),
    [("none", None, {}), ("request_id", "resp_", {}), ("x-agent-response-id", None, "caresp_")],
)
def test_a_response_may_get_its_id_from_here(where, in_body, in_headers):
    kind = next(kind for kind in BACKENDS if kind.form.conn_type == "runs_responses")
    backend = backend_of(kind, client_ids=where)
    start = backend.prepared(start_of(backend))
    call = next(backend.start(start))
    sent = call.json.get("request_id")
    assert (sent or "")[:5] == (in_body or "")
    assert call.headers.get("x-agent-response-id", "")[:7] == (in_headers or "")
    knows_id = where != "none"
    assert call.repeatable is backend.finds(start) is backend.has_own_place(start) is knows_id


def test_foundrys_id_has_the_length_that_its_servers_want():
    kind = next(kind for kind in BACKENDS if kind.form.conn_type == "runs_responses")
    backend = backend_of(kind, client_ids="x-agent-response-id")
    name = next(backend.start(backend.prepared(start_of(backend)))).headers["x-agent-response-id"]
    assert len(name) == len("caresp_") + 18 + 32
    assert name.removeprefix("caresp_").isalnum()


@pytest.mark.parametrize(
    ("record", "number", "is_it"),
    [
        ({"metadata": OURS}, 1, True),
        ({"metadata": OURS}, None, True),
        ({"metadata": OURS}, 2, False),
        ({"metadata": {**OURS, "airflow_key": "etl/r1/ask[1]"}}, 1, False),
        ({"metadata": {"team": "data"}}, 1, False),
        ({"metadata": None}, 1, False),
        ({"metadata": ["airflow_key"]}, 1, False),
        ({}, 1, False),
        ("text", 1, False),
        (None, 1, False),
    ],
)
def test_a_run_is_known_by_its_marks(record, number, is_it):
    assert Start({}, key="etl/r1/ask", number=number).is_mark_of(record) is is_it


@each
def test_it_can_be_prepared_again_with_another_number(name):
    kind = next(kind for kind in BACKENDS if kind.form.conn_type == name)
    backend = backend_of(kind)
    first = backend.prepared(start_of(backend))
    second = backend.prepared(replace(first, number=2))
    assert second.sent["metadata"]["airflow_start"] == "2"
    assert first.sent["metadata"]["airflow_start"] == "1"


@pytest.mark.parametrize("value", [[], {}, ["x"]])
def test_a_field_of_any_type_is_refused_with_our_words(value):
    with pytest.raises(RunsConfigError, match="needs True: leave 'store' out"):
        prepared("runs_responses", body={"store": value})
