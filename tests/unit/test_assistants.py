from collections.abc import Callable
from types import SimpleNamespace
from typing import TypeVar
from urllib.parse import unquote

import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError

from airflow_provider_runs import __version__
from airflow_provider_runs.backends import AssistantsBackend, backend_for
from airflow_provider_runs.connections.settings import Settings
from airflow_provider_runs.errors import RunsConfigError
from airflow_provider_runs.models import RunRef

T = TypeVar("T")

BASE = "https://gateway.example/base/v1"


def backend(extra=None, *, host=BASE, key="sk-1") -> AssistantsBackend:
    conn = SimpleNamespace(conn_id="c", host=host, port=None, schema=None, password=key)
    return AssistantsBackend(Settings.from_connection(conn, extra or {}, AssistantsBackend.form))


REF = RunRef("run_1", "thread_1")
LIST = {"limit": 100, "order": "desc"}
RUNS = "/threads/thread_1/runs"


@pytest.mark.parametrize(
    ("call", "method", "path", "params", "ref", "judged"),
    [
        (backend().get(REF), "GET", f"{RUNS}/run_1", {}, REF, set()),
        (backend().cancel(REF), "POST", f"{RUNS}/run_1/cancel", {}, REF, {400, 404, 409}),
        (backend().list_runs("thread_1", None), "GET", RUNS, LIST, None, set()),
        (backend().list_runs("thread_1", "r"), "GET", RUNS, {**LIST, "after": "r"}, None, set()),
        (backend().probe(), "GET", "/assistants", {"limit": 1}, None, set()),
    ],
)
def test_each_call_is_the_documented_one(call, method, path, params, ref, judged):
    assert (call.method, call.path, call.params, call.ref) == (method, path, params, ref)
    assert call.judged == judged


def test_a_call_says_what_it_is_about():
    assert backend().get(REF).what == "get run 'run_1' on thread 'thread_1'"
    assert backend().cancel(REF).what == "cancel run 'run_1' on thread 'thread_1'"
    assert backend().list_runs("thread_1", None).what == "list the runs of thread 'thread_1'"


BETA = {"OpenAI-Beta": "assistants=v2"}


@pytest.mark.parametrize(
    ("extra", "key", "headers"),
    [
        ({}, "sk-1", {"Authorization": "Bearer sk-1", **BETA}),
        ({}, "", BETA),
        ({"key_header": "bearer"}, "sk-1", {"Authorization": "Bearer sk-1", **BETA}),
        ({"key_header": "api-key"}, "sk-1", {"api-key": "sk-1", **BETA}),
        ({"key_header": "api-key"}, "", BETA),
        ({"beta": "assistants=v3"}, "", {"OpenAI-Beta": "assistants=v3"}),
        (
            {"organization": "org", "project": "proj"},
            "",
            {"OpenAI-Organization": "org", "OpenAI-Project": "proj", **BETA},
        ),
    ],
)
def test_the_headers_are_what_the_connection_says(extra, key, headers):
    assert backend(extra, key=key).headers() == headers
    ours = {
        "Accept": "application/json",
        "Accept-Encoding": "identity",
        "User-Agent": f"airflow-provider-runs/{__version__}",
    }
    assert backend(extra, key=key).all_headers() == {**headers, **ours}


def test_extra_headers_are_added_and_win():
    extra = {"headers": {"x-team": "data", "OpenAI-Beta": "other"}}
    sent = backend(extra).all_headers()
    assert (sent["x-team"], sent["OpenAI-Beta"]) == ("data", "other")


@pytest.mark.parametrize(
    ("extra", "params"), [({}, {}), ({"api_version": "v1"}, {"api-version": "v1"})]
)
def test_the_api_version_is_a_query_of_every_call(extra, params):
    assert backend(extra).params() == params


sharp = st.text(st.sampled_from("./%\\?#&=;:@+~ \t\n\0\x7f\u2028\u200b2eEfF5cCé\ud800"), max_size=8)
ids = st.text(st.characters(exclude_categories=())) | sharp | st.sampled_from(["None", "..", "%2e"])


def segments(url: httpx.URL) -> list[str]:
    path = url.raw_path.decode("ascii").partition("?")[0]
    return [unquote(part) for part in path.split("/")]


def attempt(make: Callable[[], T]) -> tuple[T | None, RunsConfigError | None]:
    try:
        return make(), None
    except RunsConfigError as refusal:
        return None, refusal


@given(ids, ids)
@example("%2e%2e", "%2F")
@example(".", "run_1")
@example("a b", "ü")
def test_an_id_is_refused_or_one_segment_of_the_url(run_id, thread_id):
    made, ref = backend(), RunRef(run_id, thread_id)
    calls, error = attempt(lambda: [made.get(ref), made.cancel(ref)])
    if calls is None:
        assert (error.run_id, error.thread_id, error.conn_id) == (run_id, thread_id, "c")
        assert "Nothing was sent" in error.message
        return
    start = ["", "base", "v1", "threads", thread_id, "runs", run_id]
    for call, end in zip(calls, ([], ["cancel"]), strict=True):
        url = httpx.Request(call.method, made.settings.base_url + call.path).url
        assert segments(url) == [*start, *end]
        assert (url.host, url.query, url.fragment) == ("gateway.example", b"", "")


@given(ids)
def test_a_thread_to_list_is_refused_or_one_segment_of_the_url(thread_id):
    made = backend()
    call, error = attempt(lambda: made.list_runs(thread_id, None))
    if call is None:
        assert "thread_id" in error.message
        return
    url = httpx.Request("GET", made.settings.base_url + call.path, params=call.params).url
    assert segments(url) == ["", "base", "v1", "threads", thread_id, "runs"]


@pytest.mark.parametrize(
    "bad", [None, "", "  ", "None", True, 5.5, b"run_1", ".", "..", "a/../b", "a/b"]
)
@pytest.mark.parametrize("field", ["run_id", "thread_id"])
def test_an_id_that_could_reach_another_path_is_refused_by_name(field, bad):
    ids_of_run = {"run_id": "run_1", "thread_id": "thread_1", field: bad}
    with pytest.raises(RunsConfigError, match=f"^{field} "):
        backend().get(RunRef(**ids_of_run))


@pytest.mark.parametrize("good", ["run_abc123", "3fa85f64-5717-4562-b3fc-2c963f66afa6", "a.b~c"])
def test_the_ids_servers_give_go_through_as_they_are(good):
    assert backend().get(RunRef(good, good)).path == f"/threads/{good}/runs/{good}"


def item(name: str) -> dict:
    return {"id": name, "status": "queued"}


@pytest.mark.parametrize(
    ("body", "runs", "cursor"),
    [
        ({"data": []}, [], None),
        ({"data": [], "has_more": True, "last_id": "z"}, [], None),
        ({"data": [item("a"), item("b")]}, ["a", "b"], None),
        ({"data": [item("a")], "has_more": False, "last_id": "a"}, ["a"], None),
        ({"data": [item("a"), item("b")], "has_more": True, "last_id": "b"}, ["a", "b"], "b"),
        ({"data": [item("a"), item("b")], "has_more": True}, ["a", "b"], "b"),
        ({"data": [item("a")], "has_more": True, "last_id": None}, ["a"], "a"),
        ({"data": [item("a")], "has_more": None, "last_id": "a"}, ["a"], None),
    ],
)
def test_a_page_has_its_runs_and_the_cursor_of_the_next_one(body, runs, cursor):
    page = backend().read_page(body, None)
    assert ([backend().glimpse(run).id for run in page.items], page.cursor) == (runs, cursor)


@pytest.mark.parametrize(
    "body", [None, [], "x", 5, {}, {"data": None}, {"data": {}}, {"data": [{}], "has_more": True}]
)
def test_what_is_no_page_is_a_value_error(body):
    with pytest.raises(ValueError, match=r"not a list of runs|no id to ask"):
        backend().read_page(body, None)


def test_what_is_no_run_is_a_value_error():
    assert issubclass(ValidationError, ValueError)
    for body in (None, [], "x", {"error": {"message": "m"}}):
        with pytest.raises(ValueError, match=r"not a run|validation error"):
            backend().read_run(body)


@pytest.mark.parametrize(
    ("host", "gone"),
    [
        (None, True),
        ("https://api.openai.com/v1", True),
        ("https://API.OpenAI.com:443/v1", True),
        ("https://eu.api.openai.com/v1", True),
        ("https://me.openai.azure.com/openai", True),
        ("https://notopenai.com/v1", False),
        ("https://openai.com.example/v1", False),
        ("https://api.openai.com.evil.example", False),
        ("https://gateway.example/api.openai.com", False),
        ("https://me.services.ai.azure.com/api/projects/p", False),
        ("http://localhost:1234", False),
    ],
)
def test_only_openais_own_hosts_are_gone(host, gone):
    assert backend(host=host).is_gone() is gone


@pytest.mark.parametrize(
    "host",
    [
        "https://me.services.ai.azure.com",
        "me.services.ai.azure.com",
        "https://me.services.ai.azure.com/api/projects",
        "https://me.services.ai.azure.com/openai/v1",
    ],
)
def test_a_foundry_host_without_a_project_is_refused(host):
    with pytest.raises(RunsConfigError, match=r"Foundry resource without a project") as caught:
        backend(host=host)
    assert "https://me.services.ai.azure.com/api/projects/PROJECT" in caught.value.message


def test_a_connection_type_finds_its_backend():
    assert backend_for("runs_assistants") is AssistantsBackend
    assert backend_for("openai") is None


@pytest.mark.parametrize(
    "body",
    [None, [], "x", 5, {}, {"id": "a"}, {"id": 1.5, "status": "queued"}, {"status": "queued"}],
)
def test_what_is_no_run_gives_no_glimpse(body):
    with pytest.raises(ValueError, match="not a run"):
        backend().glimpse(body)


def test_a_glimpse_reads_the_rest_when_it_is_asked_for():
    seen = backend().glimpse({"id": "run_1", "status": "dreaming", "model": "m"})
    assert (seen.id, seen.status, seen.raw_status, seen.is_final) == (
        "run_1",
        "dreaming",
        "dreaming",
        False,
    )
    assert seen.read().model == "m"
