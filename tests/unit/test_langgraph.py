"""LangGraph's dialect: the calls it makes and what it reads, without a server."""

import json
from types import SimpleNamespace

import httpx
import pytest

from airflow_provider_runs.backends import LangGraphBackend, backend_for
from airflow_provider_runs.backends.wire import Answer
from airflow_provider_runs.connections.settings import Settings
from airflow_provider_runs.errors import RunsConfigError
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


@pytest.mark.parametrize("bad", ["run_1", "thread/1", "", None, "None", RUN + "0"])
def test_ids_that_are_no_uuids_are_refused_before_the_call(bad):
    for call in (
        lambda: backend().get(RunRef(bad, THREAD)),
        lambda: backend().cancel(RunRef(RUN, bad)),
        lambda: backend().list_runs(bad, None),
    ):
        with pytest.raises(RunsConfigError, match=r"(run|thread)_id .*Nothing was sent.*'c'"):
            call()


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
        ("cancelled", "cancelled", None),
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
    assert (page.items, page.cursor) == ([THREAD] * count, following)


@pytest.mark.parametrize("body", [None, {}, {"data": []}, "x", [1], [BODY, None]])
def test_what_is_no_page_is_a_value_error(body):
    for read in (backend().read_page, backend().read_threads):
        with pytest.raises(ValueError, match="not a list"):
            read(body, None)
