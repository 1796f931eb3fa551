"""LangGraph's dialect: the calls it makes and what it reads, without a server."""

import json
from types import SimpleNamespace
from urllib.parse import unquote
from uuid import UUID

import httpx
import pytest

from airflow_provider_runs.backends import LangGraphBackend, backend_for
from airflow_provider_runs.backends.wire import Answer
from airflow_provider_runs.connections.settings import Settings
from airflow_provider_runs.errors import RunsConfigError, RunsResponseError
from airflow_provider_runs.flows.calls import settle_run
from airflow_provider_runs.flows.start import get_output
from airflow_provider_runs.models import RunRef

RUN = "0190d5b2-0000-7000-8000-000000000001"
THREAD = "0190d5b2-0000-7000-8000-00000000000a"
REF = RunRef(RUN, THREAD)
PATH = f"/threads/{THREAD}/runs/{RUN}"
STARTED, ENDED = "2026-11-22T10:00:00.250000+00:00", "2026-11-22T10:01:00+00:00"
BODY = {
    "run_id": RUN,
    "thread_id": THREAD,
    "assistant_id": "fe096781-5601-53d2-b2f6-0d3403f7e9ca",
    "created_at": STARTED,
    "updated_at": ENDED,
    "status": "running",
    "metadata": {"team": "data"},
    "kwargs": {"config": {"configurable": {"x-api-key": "lsv2-secret"}}},
    "multitask_strategy": "enqueue",
}


def backend(extra=None, *, host="https://agents.test", key="lsv2-key"):
    conn = SimpleNamespace(conn_id="c", host=host, port=None, schema=None, password=key)
    return LangGraphBackend(Settings.from_connection(conn, extra or {}, LangGraphBackend.form))


def test_the_type_of_a_connection_leads_here():
    assert backend_for("runs_langgraph") is LangGraphBackend


@pytest.mark.parametrize(
    ("call", "method", "path", "params", "json", "has_ids"),
    [
        (backend().get(REF), "GET", PATH, {}, None, True),
        (backend().list_runs(THREAD, None), "GET", f"/threads/{THREAD}/runs",
         {"limit": 100, "offset": 0}, None, True),
        (backend().list_runs(THREAD, "200"), "GET", f"/threads/{THREAD}/runs",
         {"limit": 100, "offset": 200}, None, True),
        (backend().busy_threads("100"), "POST", "/threads/search", {},
         {"status": "busy", "limit": 100, "offset": 100}, False),
        (backend().probe(), "POST", "/assistants/search", {}, {"limit": 1}, False),
        (backend().landmark(), "GET", "/ok", {}, None, False),
    ],
)  # fmt: skip
def test_each_call_is_the_documented_one(call, method, path, params, json, has_ids):
    assert (call.method, call.path, call.params) == (method, path, params)
    assert (call.json, call.has_ids) == (json, has_ids)


@pytest.mark.parametrize(
    ("connection", "wanted", "sent"),
    [
        (None, None, "interrupt"),
        ("rollback", None, "rollback"),
        ("rollback", "interrupt", "interrupt"),
        ("interrupt", "rollback", "rollback"),
    ],
)
def test_a_cancel_always_sends_wait_and_action(connection, wanted, sent):
    ours = backend({"cancel_action": connection})
    call = ours.cancel(REF, wanted)
    assert (call.method, call.path) == ("POST", f"{PATH}/cancel")
    assert call.params == {"wait": 0, "action": sent}
    assert ours.cancel_action(wanted) == sent
    assert call.judged == {400, 404, 409}


def test_an_unknown_action_is_refused_here_as_the_server_would_take_it_for_interrupt():
    with pytest.raises(RunsConfigError, match="'interrupt', 'rollback', not 'delete'"):
        backend().cancel(REF, "delete")
    with pytest.raises(RunsConfigError, match="'cancel_action' that must be one of 'interrupt'"):
        backend({"cancel_action": "delete"})


@pytest.mark.parametrize("bad", ["run_1", "run/1", "", None, "None", RUN + "0", [RUN], 5])
def test_run_ids_that_are_no_uuids_are_refused_before_the_call(bad):
    for call in (backend().get, backend().cancel):
        with pytest.raises(RunsConfigError, match=r"run_id .*Nothing was sent.*'c'"):
            call(RunRef(bad, THREAD))


@pytest.mark.parametrize("bad", ["thread/1", "..", "", None, "None", {}])
def test_thread_ids_that_are_no_segment_of_a_path_are_refused_before_the_call(bad):
    for call in (
        lambda: backend().get(RunRef(RUN, bad)),
        lambda: backend().cancel(RunRef(RUN, bad)),
        lambda: backend().list_runs(bad, None),
    ):
        with pytest.raises(RunsConfigError, match=r"thread_id .*Nothing was sent.*'c'"):
            call()


@pytest.mark.parametrize("thread_id", ["test-thread-123", "7", "the thread of today", "run_1"])
def test_a_thread_id_may_be_any_text(thread_id):
    path = backend().get(RunRef(RUN, thread_id)).path
    assert unquote(path) == f"/threads/{thread_id}/runs/{RUN}"


@pytest.mark.parametrize("nothing", [None, "", "None"])
def test_a_stateless_run_is_told_where_its_thread_is(nothing):
    with pytest.raises(RunsConfigError, match=r"has a thread too.*its thread_id") as caught:
        backend().get(RunRef(RUN, nothing))
    assert "thread 'None'" not in caught.value.message


@pytest.mark.parametrize(
    "spell",
    [str, str.upper, lambda text: text.replace("-", ""), lambda text: f"{{{text}}}", UUID],
    ids=["as it is", "upper case", "no dashes", "braces", "UUID"],
)
def test_uuids_are_sent_and_compared_in_one_spelling(spell):
    made, ref = backend(), RunRef(spell(RUN), spell(THREAD))
    assert made.get(ref).path == f"/threads/{THREAD}/runs/{RUN}"
    assert made.same_run(RUN, {}, ref)
    assert made.same_run(RUN.upper(), {}, ref)
    assert not made.same_run(THREAD, {}, ref)


@pytest.mark.parametrize(
    ("extra", "key", "headers"),
    [
        ({}, "k", {"x-api-key": "k"}),
        ({"key_header": "bearer"}, "k", {"Authorization": "Bearer k"}),
        ({}, "", {}),
    ],
)
def test_the_key_goes_into_its_header(extra, key, headers):
    assert backend(extra, key=key).headers() == headers


def test_extra_headers_are_sent_too():
    sent = backend({"headers": {"x-tenant": "data", "X-Api-Key": "other"}}).all_headers()
    assert sent["x-tenant"] == "data"
    assert sent["X-Api-Key"] == "other"
    assert "x-api-key" not in sent


def test_there_is_no_usual_host():
    with pytest.raises(RunsConfigError, match="no host"):
        backend(host="")


@pytest.mark.parametrize(
    ("word", "status", "ended"),
    [
        ("pending", "queued", None),
        ("running", "in_progress", None),
        ("success", "completed", "completed_at"),
        ("error", "failed", "failed_at"),
        ("timeout", "expired", None),
        ("interrupted", "cancelled", "cancelled_at"),
        ("cancelled", "cancelled", "cancelled_at"),
        ("SUCCESS", "completed", "completed_at"),
        ("Canceled", "cancelled", "cancelled_at"),
        ("dreaming", "dreaming", None),
    ],
)
def test_statuses_are_mapped_and_the_raw_word_is_kept(word, status, ended):
    run = backend().read_run({**BODY, "status": word})
    assert (run.status, run.raw_status) == (status, word)
    assert run.is_final == (status in {"completed", "failed", "expired", "cancelled"})
    times = {name: getattr(run, name) for name in ("completed_at", "failed_at", "cancelled_at")}
    assert {name for name, at in times.items() if at} == ({ended} if ended else set())
    assert set(times.values()) <= {None, 1795341660}


def test_a_run_is_read_without_what_it_was_started_with():
    run = backend().read_run(BODY)
    assert (run.id, run.thread_id, run.created_at) == (RUN, THREAD, 1795341600)
    assert run.metadata == {"team": "data"}
    assert run.model_extra["multitask_strategy"] == "enqueue"
    assert "secret" not in str(run.to_json())


@pytest.mark.parametrize("body", [None, [], "x", 5, {}, {"run_id": RUN}, {"status": "running"}])
def test_what_is_no_run_is_a_value_error(body):
    with pytest.raises(ValueError, match=r"."):
        backend().read_run(body)


def cancelled_with(content):
    answer = Answer(200, httpx.Headers(), content)
    return backend().read_cancel(answer, RunRef(RUN, THREAD))


@pytest.mark.parametrize("content", [b"", b" \n", b"{}", json.dumps(BODY).encode()])
def test_no_answer_to_a_cancel_is_taken_for_the_run(content):
    assert cancelled_with(content) is None


@pytest.mark.parametrize(
    "content",
    [
        b"<html>",
        b"[]",
        b"null",
        b'{"run_id": "',
        b'{"ok": true}',
        b'{"run_id": "x", "status": "y"}',
    ],
)
def test_an_answer_to_a_cancel_that_is_not_of_this_api_accepts_nothing(content):
    with pytest.raises(ValueError, match=r"."):
        cancelled_with(content)


@pytest.mark.parametrize(("count", "cursor", "following"), [(0, None, None), (99, None, None),
    (100, None, "100"), (100, "100", "200"), (3, "200", None)])  # fmt: skip
def test_pages_go_on_until_one_is_not_full(count, cursor, following):
    page = backend().read_page([BODY] * count, cursor)
    assert (len(page.items), page.cursor) == (count, following)
    page = backend().read_threads([{"thread_id": THREAD}] * count, cursor)
    assert (len(page.items), page.cursor) == (count, following)


@pytest.mark.parametrize("body", [None, {}, {"data": []}, "x", 5])
def test_what_is_no_page_is_a_value_error(body):
    for read in (backend().read_page, backend().read_threads):
        with pytest.raises(ValueError, match="not a list"):
            read(body, None)


@pytest.mark.parametrize(
    ("given", "name"), [(THREAD, THREAD), ("t", "t"), (5, "5"), ("cut \ud83d", "cut ?")]
)
def test_a_thread_has_an_id(given, name):
    assert backend().read_thread({"thread_id": given}) == name


@pytest.mark.parametrize("body", [None, [], {}, {"thread_id": ""}, {"thread_id": None}, "x"])
def test_what_is_no_thread_is_a_value_error(body):
    with pytest.raises(ValueError, match="not a thread, as it has no 'thread_id'"):
        backend().read_thread(body)


# -- how a run ended -------------------------------------------------------------------------------

SEEN = {"run_id": RUN, "thread_id": THREAD, "updated_at": ENDED}
LATER = "2026-11-22T10:01:05+00:00"


@pytest.fixture
def settled(player, answer):
    """Return a function that settles a run, with the answers of its thread and its newest run."""

    def settled(word, thread=None, newest=None, *, asked=False):
        made = backend({"max_retries": 0})
        run = made.read_run({**SEEN, "status": word})
        flow = settle_run(made, RunRef(RUN, THREAD), run, asked=asked, deadline=1_800_000_600.0)
        replies = answer(500) if thread is None else answer(200, thread)
        return player.run(flow, replies, answer(200, [{"run_id": newest or RUN}]))

    return settled


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        ({"error": "ValueError", "message": "boom"}, "ValueError", "boom"),
        ({"type": "ValueError", "message": "boom"}, "ValueError", "boom"),
        ("ValueError('boom')", None, "ValueError('boom')"),
        ("cut \ud83d", None, "cut ?"),
    ],
)
def test_why_a_run_failed_is_asked_of_its_thread(player, settled, error, code, message):
    run = settled("error", {"thread_id": THREAD, "status": "error", "error": error})
    json.dumps(run.to_json(), ensure_ascii=False).encode()  # as the triggerer does
    assert (run.status, run.last_error.code, run.last_error.message) == ("failed", code, message)
    assert [request.url.path for request in player.requests] == [f"/threads/{THREAD}"]


@pytest.mark.parametrize("thread", [None, {}, {"error": None}, {"error": {}}, [], "x"])
def test_a_reason_that_cannot_be_had_leaves_the_run_as_it_is(settled, thread):
    run = settled("error", thread)
    assert (run.status, run.last_error) == ("failed", None)


FAILURE = {"status": "error", "error": {"error": "ValueError", "message": "boom"}}


@pytest.mark.parametrize(
    ("changed", "newest", "calls", "reason"),
    [
        (ENDED, THREAD, 1, "boom"),  # the run was the last to touch it: nobody else is asked
        (LATER, None, 2, "boom"),  # the thread was changed, but by no run
        (LATER, THREAD, 2, None),  # it is the reason of a later run
        (None, THREAD, 1, "boom"),
    ],
)
def test_the_reason_of_a_later_run_is_not_taken_for_its_own(
    player, settled, changed, newest, calls, reason
):
    run = settled("error", {**FAILURE, "updated_at": changed}, newest)
    assert (run.last_error.message if run.last_error else None) == reason
    assert len(player.requests) == calls


WAITING = {"status": "interrupted", "interrupts": {"task": [{"value": "May I?", "id": "i"}]}}


@pytest.mark.parametrize("word", ["interrupted", "success", "Interrupted"])
def test_a_run_that_stopped_for_a_person_requires_action(player, settled, word):
    run = settled(word, WAITING)
    assert (run.status, run.raw_status) == ("requires_action", word)
    assert run.to_json()["required_action"]["interrupts"] == [{"value": "May I?", "id": "i"}]
    assert len(player.requests) == 2


@pytest.mark.parametrize(
    ("thread", "newest"),
    [
        ({"status": "idle", "interrupts": {}}, None),
        ({"status": "interrupted", "interrupts": {}}, None),
        ({"status": "interrupted", "interrupts": {"task": []}}, None),
        ({"status": "busy", "interrupts": WAITING["interrupts"]}, None),
        (WAITING, THREAD),  # a later run has stopped there
        # Somebody cancelled this run, which was to resume the one that asked (seen, api 0.16.7).
        ({**WAITING, "error": {"error": "UserInterrupt", "message": "interrupt"}}, None),
        (None, None),
    ],
)
def test_a_run_that_did_not_is_what_it_is(settled, thread, newest):
    assert settled("interrupted", thread, newest).status == "cancelled"
    assert settled("success", thread, newest).status == "completed"


def test_a_run_that_was_to_be_cancelled_is_not_asked_about(player, settled):
    assert settled("interrupted", WAITING, asked=True).status == "cancelled"
    assert player.requests == []


# -- what a run has left


def left(values, run_id=RUN):
    """A state of the thread; a person's own change of it has no ``run_id``."""
    return {"values": values, "metadata": {"run_id": run_id} if run_id else {"source": "update"}}


@pytest.fixture
def output(player, answer):
    """Return a function that gets a run's output, with the answers to the calls one by one."""

    def output(*bodies, status="success"):
        made = backend({"max_retries": 0})
        run = made.read_run({**SEEN, "status": status})
        return player.run(get_output(made, REF, run), *(answer(200, body) for body in bodies))

    return output


def test_the_output_is_the_threads_state_where_the_run_has_written_it(player, output):
    assert output(left({"answer": 42})) == {"answer": 42}
    assert player.sent == ["GET"]


@pytest.mark.parametrize("later", [left({"answer": 1}, THREAD), left({"answer": 1}, None)])
def test_else_it_is_the_last_state_of_the_run_in_the_history(player, output, later):
    assert output(later, [left({"answer": 42})]) == {"answer": 42}
    assert json.loads(player.requests[-1].content) == {"limit": 1, "metadata": {"run_id": RUN}}


@pytest.mark.parametrize("before", [left({"answer": 1}, THREAD), left({"answer": 1}, None)])
def test_a_last_run_that_has_written_nothing_has_left_the_values_as_they_were(output, before):
    # Seen on api 0.16.7: a run whose input is null, on a thread that has finished.
    assert output(before, [], [{"run_id": RUN}]) == {"answer": 1}


@pytest.mark.parametrize(
    ("bodies", "status"),
    [
        ([left({}, THREAD), [], [{"run_id": THREAD}]], "success"),  # there was a later run
        ([left({}, THREAD), [left({}, THREAD)], [{"run_id": THREAD}]], "success"),
        ([left({}, THREAD), [], []], "success"),
        ([{"values": {}, "metadata": None}, []], "interrupted"),  # cancelled before it began
        ([left({}, THREAD), []], "error"),
        ([[], []], "success"),
    ],
)
def test_the_values_of_another_run_are_not_taken_for_its_own(player, output, bodies, status):
    with pytest.raises(RunsResponseError, match="The server has no values of this run") as caught:
        output(*bodies, status=status)
    assert (caught.value.run_id, caught.value.thread_id) == (RUN, THREAD)
    assert len(player.requests) == len(bodies)
