"""What refusals say of a run, as real servers, gateways, clouds and frameworks write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_runs.backends import BACKENDS
from airflow_provider_runs.backends.refusals import read_refusal, read_text
from airflow_provider_runs.backends.wire import Call
from airflow_provider_runs.models import RunRef
from tests.unit.backends import CONNECTIONS, backend_of

RUN, THREAD = "9a1f8b1c-26a3-4d6e-9d1b-7a9d3c1f0e55", "thread_7"
IDS = (RUN, THREAD)
PATH = f"/threads/{THREAD}/runs/{RUN}"

#: Each says something of a path at most, though some repeat the ids in it.
ROUTERS = {
    "Azure, wrong path": {"error": {"code": "404", "message": "Resource not found"}},
    "Azure, no deployment": {
        "error": {
            "code": "DeploymentNotFound",
            "message": "The API deployment for this resource does not exist. If you created the "
            "deployment within the last 5 minutes, please wait a moment and try again.",
        }
    },
    "API Management": {"statusCode": 404, "message": "Resource not found"},
    "Foundry": {"error": {"code": "404", "message": "Project not found"}},
    "Kong": {"message": "no Route matched with those values"},
    "Apigee": {
        "fault": {
            "faultstring": f"Unable to identify proxy for host: default and url: {PATH}",
            "detail": {"errorcode": "messaging.adaptors.http.flow.ApplicationNotFound"},
        }
    },
    "Cloud Endpoints": {"message": "The current request is not defined by this API.", "code": 404},
    "Cloud Endpoints 2": {"message": f"Request `GET {PATH}` is not defined by this API."},
    "gRPC gateway": {"code": 5, "message": "Not Found", "details": []},
    "Databricks": {
        "error_code": "ENDPOINT_NOT_FOUND",
        "message": f"No API found for 'GET {PATH}'",
    },
    "NestJS": {"message": f"Cannot GET {PATH}", "error": "Not Found", "statusCode": 404},
    "Express": f"Cannot POST {PATH}/cancel",
    "Fastify": {"message": f"Route GET:{PATH} not found", "error": "Not Found", "statusCode": 404},
    "Fastify, query": {"message": f"Route POST:{PATH}/cancel?wait=0&run_id={RUN} not found"},
    "LoopBack": {"error": {"statusCode": 404, "message": f'Endpoint "GET {PATH}" not found.'}},
    "Vercel": {"error": {"code": "404", "message": "The page could not be found"}},
    "Spring": {"timestamp": "2026-01-01", "status": 404, "error": "Not Found", "path": PATH},
    "Spring, older": {"status": 404, "error": "Not Found", "message": "No message available"},
    "Spring 6": {"title": "Not Found", "detail": f"No static resource {PATH[1:]}.", "status": 404},
    "ASP.NET": {"type": "https://tools.ietf.org/html/rfc9110#15.5.5", "title": "Not Found"},
    "ASP.NET Web API": {
        "Message": f"No HTTP resource was found that matches the request URI 'http://h{PATH}'.",
        "MessageDetail": "No type was found that matches the controller named 'threads'.",
    },
    "Laravel": {"message": f"The route {PATH[1:]} could not be found."},
    "Symfony": {"title": "An error occurred", "detail": f'No route found for "GET http://h{PATH}"'},
    "Rails": {"status": 404, "error": "Not Found"},
    "Rails, in development": {"error": f'No route matches [GET] "{PATH}"'},
    "Django": {"detail": "Not found."},
    "Phoenix": {"errors": {"detail": "Not Found"}},
    "FastAPI": {"detail": "Not Found"},
    "Starlette": {"detail": "Method Not Allowed"},
    "Flask": {
        "message": "The requested URL was not found on the server. If you entered the URL manually "
        "please check your spelling and try again."
    },
    "OpenAI": {"error": {"message": f"Invalid URL (GET {PATH})", "type": "invalid_request_error"}},
    "OpenAI, older": {"error": {"message": f"Unrecognized request URL (GET: {PATH})."}},
    "Groq": {
        "error": {
            "message": f"Unknown request URL: GET {PATH}. Please check the URL for typos, or see "
            "the docs at https://docs.test/",
            "code": "unknown_url",
        }
    },
    "Anthropic": {"type": "error", "error": {"type": "not_found_error", "message": "Not Found"}},
    "LM Studio": {"error": f"Unexpected endpoint or method. (GET {PATH})"},
    "a path in percent": {"message": f"Cannot GET %2Fthreads%2F{THREAD}%2Fruns%2F{RUN}"},
    "a code alone": {"code": "ROUTE_NOT_FOUND", "message": "Nobody listens to that"},
    "nothing": {},
    "null": None,
    "empty text": "",
    "an empty list": [],
    "a number": 404,
}
#: Each says itself that the run, or its thread, does not exist.
NAMING = {
    "OpenAI": {"error": {"message": f"No run found with id '{RUN}'.", "code": None}},
    "OpenAI, thread": {"error": {"message": f"No thread found with id '{THREAD}'."}},
    "Responses": {"error": {"message": f"Response with id '{RUN}' not found.", "param": None}},
    "SGLang": {"object": "error", "message": f"Response with id '{RUN}' not found.", "code": 404},
    "LangGraph": {"detail": f"Run with ID {RUN} not found"},
    "Aegra": {"error": "not_found", "message": f"Run '{RUN}' not found", "details": None},
    "A2A": {
        "error": {
            "code": 404,
            "status": "NOT_FOUND",
            "message": "Task not found",
            "details": [{"reason": "TASK_NOT_FOUND"}],
        }
    },
    "a code": {"error": {"code": "RunNotFound", "message": "Not found"}},
    "a code without words": {"code": "thread_not_found"},
    "upper case": {"detail": f"Run with ID {RUN.upper()} not found"},
    "no dashes": {"detail": f"Run {RUN.replace('-', '')} not found"},
    "URN": {"detail": f"urn:uuid:{RUN} is unknown"},
    "an assignment": {"message": f"unknown run (run_id={RUN})"},
    "both": {"detail": f"GET {PATH}: run {RUN} does not exist"},
    "text": f"run:{RUN} is unknown",
    "list": [{"msg": f"no run {RUN}"}],
}
#: Each comes from an API, but does not say of what.
UNNAMED = {
    "no matching runs": {"detail": "No matching runs to cancel: they have ended."},
    "no id": {"detail": "Run not found"},
    "another id": {"error": {"message": "No run found with id 'run_77'."}},
    "a longer id": {"error": {"message": f"No thread found with id '{THREAD}0'."}},
    "an id as a part": {"error": {"message": f"No thread found with id 'my-{THREAD}'."}},
    "a host": {"error": {"message": f"The upstream {THREAD}.internal has no such thing"}},
    "a model": {
        "error": {"message": "The model `gpt-x` does not exist", "code": "model_not_found"}
    },
}


@pytest.mark.parametrize("name", ROUTERS)
def test_a_router_says_nothing_of_a_run(name):
    said = read_refusal(ROUTERS[name])
    assert (said.is_api(IDS), said.names_run(IDS)) == (False, False)


@pytest.mark.parametrize("name", NAMING)
def test_an_answer_that_names_the_run_is_known(name):
    said = read_refusal(NAMING[name])
    assert (said.is_api(IDS), said.names_run(IDS)) == (True, True)


@pytest.mark.parametrize("name", UNNAMED)
def test_an_answer_of_an_api_may_name_nothing(name):
    said = read_refusal(UNNAMED[name])
    assert (said.is_api(IDS), said.names_run(IDS)) == (True, False)


@pytest.mark.parametrize("body", [*NAMING.values(), *UNNAMED.values()])
def test_an_answer_to_a_call_without_ids_names_none(body):
    assert not read_refusal(body).names_run((None, None))


@given(st.sampled_from(["'{}'", '"{}"', "({})", "[{}]", "GET:{}", "{}.", "`{}`", "<{}>"]))
def test_no_echo_of_a_path_names_a_run(quotes):
    words = f"Nothing is at {quotes.format(PATH)}"
    assert not read_refusal(words).names_run(IDS)


@pytest.mark.parametrize(
    ("thread", "words", "named"),
    [
        ("main", "Thread 'main' not found", True),
        ("main", "No thread found with id main.", True),
        ("main", "unknown thread_id=main", True),
        ("main", "No upstream is healthy in main", False),
        ("main", "The invalid 'main' cluster", False),
        ("12", "Run 12 not found", True),
        ("12", "Retried 12 times", False),
        ("run_1", "No run found with id 'run_12'.", False),
        ("run_1", "No run found with id 'run_1'.", True),
    ],
)
def test_a_word_or_number_is_an_id_only_where_it_is_called_one(thread, words, named):
    said = read_refusal({"error": {"message": words}})
    assert said.names_run((RUN, thread)) is named


@pytest.mark.parametrize(
    ("content", "words", "named"),
    [
        (f"No run found with id '{RUN}'.".encode(), f"No run found with id '{RUN}'.", True),
        (b"404 page not found", "404 page not found", False),
        (b"Not Found -\n Request ID: 01H", "Not Found - Request ID: 01H", False),
        (f"  <html>{RUN} is not here".encode(), "", False),
        (f'{{"error": {{"message": "No run {RUN}'.encode(), "", False),
        (f"\xff{RUN}".encode("latin-1"), "", False),
        (f"\0{RUN}".encode(), "", False),
        (b"", "", False),
    ],
)
def test_a_plain_text_is_the_apis_only_if_it_names_the_run(content, words, named):
    said = read_text(content)
    assert said.words == words
    assert (said.is_api(IDS), said.names_run(IDS)) == (named, named)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"error": {"message": "No.", "type": "t", "code": "c"}}, "c"),
        ({"error": {"message": "No.", "type": "t", "code": None}}, "t"),
        ({"error": {"message": "No.", "type": "t", "code": ""}}, "t"),
        ({"error": {"message": "No.", "type": "t", "code": 404}}, "t"),
        ({"error": {"message": "No.", "code": 404}}, "404"),
        ({"object": "error", "message": "No.", "type": "t", "code": 404}, "t"),
        ({"type": "about:blank", "title": "Gone"}, ""),
        ({"type": "https://problems.test/gone", "title": "Gone", "status": 410}, "410"),
        ({"fault": {"faultstring": "No.", "detail": {"errorcode": "e"}}}, "e"),
        ({"error": {"code": 404, "details": [{"reason": "TASK_NOT_FOUND"}]}}, "TASK_NOT_FOUND"),
        (None, ""),
    ],
)
def test_the_code_is_the_best_one_for_people(body, code):
    assert read_refusal(body).code == code


@pytest.mark.parametrize(
    "body",
    [
        {"error": {"message": "Pay.", "code": "insufficient_quota", "type": "requests"}},
        {"error": {"message": "Pay.", "code": None, "type": "insufficient_quota"}},
        {"error": {"message": "Pay.", "code": 429, "type": "insufficient_quota"}},
        {"error": {"message": "Pay.", "code": " INSUFFICIENT_QUOTA "}},
        {"error": "insufficient_quota", "message": "Pay."},
        {"detail": {"error": {"message": "Pay.", "code": "insufficient_quota"}}},
        {"message": "Pay.", "code": "insufficient_quota"},
        {"message": "Pay.", "type": "insufficient_quota"},
    ],
)
def test_words_of_a_quota_are_found_in_code_or_type(body):
    assert "insufficient_quota" in read_refusal(body).codes


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(
            st.text() | st.sampled_from(["error", "message", "detail", "code", "loc"]), inner
        )
    ),
)


@given(json_values, st.lists(st.none() | st.text(), min_size=2, max_size=2))
def test_any_json_can_be_read(body, ids):
    said = read_refusal(body)
    assert all(isinstance(text, str) for text in (said.words, said.code, *said.codes))
    assert said.is_api(tuple(ids)) or not said.names_run(tuple(ids))


@given(st.binary())
def test_any_bytes_can_be_read(content):
    said = read_text(content)
    assert said.words.isprintable()
    assert not said.is_api(IDS)


@pytest.fixture(params=BACKENDS, ids=lambda kind: kind.form.conn_type)
def backend(request):
    return backend_of(request.param)


def calls_for(backend, run):
    """The calls about a run that has ids such as those in the tables."""
    ref = RunRef(run, None if backend.form.conn_type == "runs_responses" else THREAD)
    return backend.get(ref), backend.cancel(ref)


@pytest.mark.parametrize(
    ("bodies", "verdict"),
    [(ROUTERS, (False, False)), (NAMING, (True, True)), (UNNAMED, (True, False))],
    ids=["routers", "naming", "unnamed"],
)
def test_every_backend_judges_them_alike(backend, answer, bodies, verdict):
    for call in calls_for(backend, RUN):
        for name, body in bodies.items():
            if name == "OpenAI, thread" and call.ref.thread_id is None:
                continue
            refusal = backend.judge(call, answer(404, body))
            assert (refusal.is_ours, refusal.names_run) == verdict, name


@pytest.mark.parametrize("content", [b"", b"<html>Not here", b"404 page not found", b'{"error'])
@pytest.mark.parametrize("status", [404, 405])
def test_what_is_no_json_is_no_api(backend, answer, status, content):
    for call in calls_for(backend, RUN):
        refusal = backend.judge(call, answer(status, content))
        assert (refusal.is_ours, refusal.names_run) == (False, False)


def test_the_thread_of_a_list_is_named_too(backend, answer):
    if backend.form.conn_type == "runs_responses":
        return  # it has no lists
    call = backend.list_runs(THREAD, None)
    named = {"error": {"message": f"No thread found with id '{THREAD}'."}}
    assert backend.judge(call, answer(404, named)).names_run
    assert not backend.judge(call, answer(404, {"detail": f"Cannot GET {call.path}"})).names_run


def test_the_words_of_a_probe_name_no_run(backend, answer):
    call = backend.probe()
    assert isinstance(call, Call)
    assert not backend.judge(call, answer(404, NAMING["OpenAI"])).names_run


def test_each_backend_is_in_these_tests():
    assert set(CONNECTIONS) == {backend.form.conn_type for backend in BACKENDS}
