"""The Responses API's dialect: the calls it makes and what it reads, without a server."""

import json
from types import SimpleNamespace
from urllib.parse import unquote

import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from airflow_provider_runs.backends import ResponsesBackend, backend_for
from airflow_provider_runs.backends.wire import Answer
from airflow_provider_runs.connections.settings import Settings
from airflow_provider_runs.errors import RunsConfigError
from airflow_provider_runs.models import RunRef

BASE = "https://gateway.example/base/v1"
REF = RunRef("resp_1")


def backend(extra=None, *, host=BASE, key="sk-1") -> ResponsesBackend:
    conn = SimpleNamespace(conn_id="c", host=host, port=None, schema=None, password=key)
    return ResponsesBackend(Settings.from_connection(conn, extra or {}, ResponsesBackend.form))


def test_the_type_of_a_connection_leads_here():
    assert backend_for("runs_responses") is ResponsesBackend


def test_an_empty_host_is_openais_own():
    assert backend(host=None).settings.base_url == "https://api.openai.com/v1"
    assert not backend(host=None).is_gone()  # unlike the Assistants API on the same host


@pytest.mark.parametrize(
    ("host", "mended"),
    [
        ("https://api.openai.com", "https://api.openai.com/v1"),
        ("api.openai.com", "https://api.openai.com/v1"),
        ("https://api.openai.com/v11", "https://api.openai.com/v1"),
        ("https://eu.api.openai.com", "https://eu.api.openai.com/v1"),
        ("https://me.openai.azure.com", "https://me.openai.azure.com/openai/v1"),
        ("https://ME.OpenAI.Azure.com:443/", "https://me.openai.azure.com/openai/v1"),
        ("https://me.openai.azure.com/openai", "https://me.openai.azure.com/openai/v1"),
        ("https://me.openai.azure.com/v1", "https://me.openai.azure.com/openai/v1"),
        (
            "https://me.cognitiveservices.azure.com",
            "https://me.cognitiveservices.azure.com/openai/v1",
        ),
        ("https://me.services.ai.azure.com", "https://me.services.ai.azure.com/openai/v1"),
        (
            "https://me.services.ai.azure.com/api/projects/p",
            "https://me.services.ai.azure.com/api/projects/PROJECT/openai/v1",
        ),
    ],
)
def test_a_host_without_the_path_of_this_api_is_refused_with_what_mends_it(host, mended):
    with pytest.raises(RunsConfigError, match=r"^Connection 'c' has .* host") as caught:
        backend(host=host)
    assert mended in caught.value.message
    assert "sk-1" not in caught.value.message
    assert backend(host=mended).settings.base_url == mended


@pytest.mark.parametrize(
    ("host", "extra"),
    [
        ("https://api.openai.com/v1", {}),
        ("https://me.openai.azure.com/openai/v1/", {}),
        ("https://me.openai.azure.com/openai", {"api_version": "2025-04-01-preview"}),
        ("https://me.services.ai.azure.com/openai/v1", {}),
        ("https://me.services.ai.azure.com/api/projects/p/openai/v1", {}),
        ("https://me.services.ai.azure.com/api/projects/p/applications/a/protocols/openai", {}),
        # Behind other names anything may be served anywhere.
        ("https://gateway.example", {}),
        ("https://openai.azure.com.example", {}),
        ("https://notapi.openai.com.example", {}),
        ("https://me.azure-api.net/llm", {}),
        ("http://127.0.0.1:8000", {}),
        ("http://localhost/openai.azure.com", {}),
    ],
)
def test_a_host_that_may_be_right_is_taken(host, extra):
    assert backend(extra, host=host).settings.base_url == host.rstrip("/")


@pytest.mark.parametrize(
    ("call", "method", "path", "ref", "judged", "has_ids"),
    [
        (backend().get(REF), "GET", "/responses/resp_1", REF, set(), True),
        (backend().cancel(REF), "POST", "/responses/resp_1/cancel", REF, {400, 404, 409}, True),
        (backend().probe(), "GET", "/models", None, set(), False),
    ],
)
def test_each_call_is_the_documented_one(call, method, path, ref, judged, has_ids):
    assert (call.method, call.path, call.ref) == (method, path, ref)
    assert (call.params, call.json) == ({}, None)
    assert (call.judged, call.has_ids) == (judged, has_ids)


def test_a_call_says_what_it_is_about():
    assert backend().get(REF).what == "get run 'resp_1'"
    assert backend().cancel(REF).what == "cancel run 'resp_1'"


def test_there_is_only_one_way_to_cancel():
    assert backend().cancel_action(None) is None
    with pytest.raises(RunsConfigError, match=r"cancel_action 'interrupt'.*leave it out"):
        backend().cancel_action("interrupt")


# -- ids ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("nothing", [None, "", "None"])
def test_no_thread_is_none_also_out_of_a_template(nothing):
    assert backend().get(RunRef("resp_1", nothing)).path == "/responses/resp_1"
    assert backend().cancel(RunRef("resp_1", nothing)).path == "/responses/resp_1/cancel"


@pytest.mark.parametrize("thread_id", ["thread_1", " ", "none", "5", ["thread_1"], {}])
@pytest.mark.parametrize("name", ["get", "cancel"])
def test_a_thread_is_refused_with_what_to_do(name, thread_id):
    with pytest.raises(RunsConfigError, match="has no threads") as caught:
        getattr(backend(), name)(RunRef("resp_1", thread_id))
    error = caught.value
    assert f"thread_id is {thread_id!r}; leave it out and give the response's id" in error.message
    assert (
        "Nothing was sent. (Runs: OpenAI Responses (background), connection 'c')" in error.message
    )
    assert (error.conn_id, error.run_id, error.thread_id) == ("c", "resp_1", thread_id)


@pytest.mark.parametrize("cursor", [None, "resp_1"])
def test_that_nothing_can_be_listed_is_said_plainly(cursor):
    with pytest.raises(RunsConfigError, match="cannot list responses; name each one by its id"):
        backend().list_runs("thread_1", cursor)
    with pytest.raises(RunsConfigError, match="cannot list threads"):
        backend().busy_threads(cursor)


sharp = st.text(st.sampled_from("./%\\?#&=;:@+~ \t\n\0\x7f\u2028\u200b2eEfF5cCé\ud800"), max_size=8)
ids = st.text(st.characters(exclude_categories=())) | sharp | st.sampled_from(["None", "..", "%2e"])


def attempt(make):
    try:
        return make(), None
    except RunsConfigError as refusal:
        return None, refusal


@given(ids)
@example("%2e%2e")
@example(".")
@example("a b")
@example("ü")
def test_an_id_is_refused_or_one_segment_of_the_url(run_id):
    made, ref = backend(), RunRef(run_id)
    calls, error = attempt(lambda: [made.get(ref), made.cancel(ref)])
    if calls is None:
        assert (error.run_id, error.conn_id) == (run_id, "c")
        assert "Nothing was sent" in error.message
        return
    for call, end in zip(calls, ([], ["cancel"]), strict=True):
        url = httpx.Request(call.method, made.settings.base_url + call.path).url
        path = url.raw_path.decode("ascii").partition("?")[0]
        segments = [unquote(part) for part in path.split("/")]
        assert segments == ["", "base", "v1", "responses", run_id, *end]
        assert (url.host, url.query, url.fragment) == ("gateway.example", b"", "")


@pytest.mark.parametrize(
    "bad", [None, "", "  ", "None", False, {"id": 1}, b"resp_1", ".", "..", "a/../b", "a/b"]
)
def test_an_id_that_could_reach_another_path_is_refused_by_name(bad):
    with pytest.raises(RunsConfigError, match=r"^run_id "):
        backend().get(RunRef(bad))


# -- headers and query ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("extra", "key", "headers"),
    [
        ({}, "sk-1", {"Authorization": "Bearer sk-1"}),
        ({}, "", {}),
        ({"key_header": "api-key"}, "sk-1", {"api-key": "sk-1"}),
        ({"key_header": "api-key"}, "", {}),
        (
            {"organization": "org", "project": "proj"},
            "",
            {"OpenAI-Organization": "org", "OpenAI-Project": "proj"},
        ),
    ],
)
def test_the_headers_are_what_the_connection_says(extra, key, headers):
    assert backend(extra, key=key).headers() == headers
    assert backend(extra, key=key).credential is None


@pytest.mark.parametrize(
    ("extra", "params"), [({}, {}), ({"api_version": "preview"}, {"api-version": "preview"})]
)
def test_the_api_version_is_a_query_of_every_call(extra, params):
    assert backend(extra).params() == params


def test_the_beta_header_is_no_field_here():
    with pytest.raises(RunsConfigError, match="unknown extra fields: 'beta'"):
        backend({"beta": "assistants=v2"})


# -- what is read ---------------------------------------------------------------------------------

BODY = {
    "id": "resp_1",
    "object": "response",
    "created_at": 1700000000.75,
    "completed_at": 1700000060.5,
    "status": "incomplete",
    "background": True,
    "model": "gpt-6-sol",
    "instructions": "Be brief.",
    "error": {"code": "server_error", "message": "The model had a problem."},
    "incomplete_details": {"reason": "max_output_tokens"},
    "max_output_tokens": 500,
    "metadata": {"team": "data"},
    "output": [{"type": "message", "content": []}],
    "previous_response_id": None,
    "usage": {
        "input_tokens": 10,
        "input_tokens_details": {"cached_tokens": 4},
        "output_tokens": 20,
        "output_tokens_details": {"reasoning_tokens": 5},
        "total_tokens": 30,
    },
}


def read_cancel(body):
    content = json.dumps(body).encode()
    return backend().read_cancel(Answer(200, httpx.Headers(), content), RunRef("resp_1"))


@pytest.mark.parametrize("read", [lambda body: backend().read_run(body), read_cancel])
def test_a_response_is_read_as_a_run(read):
    run = read(BODY)
    assert (run.id, run.status, run.raw_status) == ("resp_1", "incomplete", "incomplete")
    assert (run.created_at, run.completed_at) == (1700000000, 1700000060)
    assert (run.model, run.instructions, run.thread_id) == ("gpt-6-sol", "Be brief.", None)
    assert (run.last_error.code, run.last_error.message) == (
        "server_error",
        "The model had a problem.",
    )
    assert run.incomplete_details.reason == "max_output_tokens"
    assert run.max_completion_tokens == 500
    assert run.metadata == {"team": "data"}
    usage = run.usage
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (10, 20, 30)


def test_what_a_run_does_not_have_is_kept():
    run = backend().read_run(BODY)
    for name in ("background", "output", "previous_response_id"):
        assert run.model_extra[name] == BODY[name]
    assert run.usage.model_extra["input_tokens_details"] == {"cached_tokens": 4}
    assert not {"error", "max_output_tokens"} & set(run.model_extra)


def test_reading_leaves_the_body_alone():
    body = {**BODY, "usage": dict(BODY["usage"])}
    backend().read_run(body)
    assert body == BODY


@pytest.mark.parametrize("nothing", [{}, {"error": None, "usage": None, "max_output_tokens": None}])
def test_what_is_not_there_or_null_is_none(nothing):
    run = backend().read_run({"id": "resp_1", "status": "queued", **nothing})
    assert (run.last_error, run.usage, run.max_completion_tokens) == (None, None, None)


@pytest.mark.parametrize("strange", ["lots", 5, [1]])
def test_a_usage_or_error_of_another_kind_is_kept_as_it_came(strange):
    run = backend().read_run({"id": "r", "status": "queued", "usage": strange, "error": strange})
    assert (run.usage, run.last_error) == (strange, strange)


@pytest.mark.parametrize(
    ("word", "final"),
    [
        *[(word, False) for word in ("queued", "in_progress", "pausing")],
        *[(word, True) for word in ("completed", "failed", "cancelled", "incomplete")],
    ],
)
def test_the_statuses_are_ours_and_a_new_word_is_not_final(word, final):
    run = backend().read_run({"id": "resp_1", "status": word})
    assert (run.status, run.raw_status, run.is_final) == (word, word, final)


@pytest.mark.parametrize("body", [None, [], "x", 5, {}, {"id": "r"}, {"error": {"message": "m"}}])
def test_what_is_no_response_is_a_value_error(body):
    with pytest.raises(ValueError, match=r"not a run|validation error"):
        backend().read_run(body)


def test_a_record_that_vanished_is_told_as_expired():
    assert "its record has expired" in backend().vanished
