"""What is read from refusals, as real servers, gateways, clouds and frameworks write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_runs.backends import BACKENDS
from airflow_provider_runs.backends.refusals import is_general, names, read_refusal
from tests.unit.backends import CONNECTIONS, backend_of

RUN, THREAD = "9a1f8b1c-26a3-4d6e-9d1b-7a9d3c1f0e55", "thread_7"
PATH = f"/threads/{THREAD}/runs/{RUN}"

#: Each says something of a path at most, though some repeat the ids in it.
ROUTERS = {
    "Azure, wrong path": {"error": {"code": "404", "message": "Resource not found"}},
    "API Management": {"statusCode": 404, "message": "Resource not found"},
    "Kong": {"message": "no Route matched with those values"},
    "NestJS": {"message": f"Cannot GET {PATH}", "error": "Not Found", "statusCode": 404},
    "Express": f"Cannot POST {PATH}/cancel",
    "Fastify": {"message": f"Route GET:{PATH} not found", "error": "Not Found", "statusCode": 404},
    "Vercel": {"error": {"code": "404", "message": "The page could not be found"}},
    "gRPC gateway": {"code": 5, "message": "Not Found", "details": []},
    "Databricks": {
        "error_code": "ENDPOINT_NOT_FOUND",
        "message": f"No API found for 'GET {PATH}'",
    },
    "Spring": {"timestamp": "2026-01-01", "status": 404, "error": "Not Found", "path": PATH},
    "Spring 6": {"title": "Not Found", "detail": f"No static resource {PATH[1:]}.", "status": 404},
    "Laravel": {"message": f"The route {PATH[1:]} could not be found."},
    "OpenAI": {"error": {"message": f"Invalid URL (GET {PATH})", "type": "invalid_request_error"}},
    "OpenAI, older": {"error": {"message": f"Unrecognized request URL (GET: {PATH})."}},
    "Foundry": {"error": {"code": "404", "message": "Project not found"}},
    "FastAPI": {"detail": "Not Found"},
    "Starlette": {"detail": "Method Not Allowed"},
    "Flask": {
        "message": "The requested URL was not found on the server. If you entered the URL manually "
        "please check your spelling and try again."
    },
    "Azure, no deployment": {
        "error": {"code": "NotFound", "message": "The API deployment does not exist."}
    },
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
    "SGLang": {"object": "error", "message": f"Response with id '{RUN}' not found.", "code": 404},
    "LangGraph": {"detail": f"Run with ID {RUN} not found"},
    "upper case": {"detail": f"Run with ID {RUN.upper()} not found"},
    "no dashes": {"detail": f"Run {RUN.replace('-', '')} not found"},
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
}


def ours(body):
    return not is_general(read_refusal(body).words)


@pytest.mark.parametrize("name", ROUTERS)
def test_a_router_says_nothing_of_a_run(name):
    assert not ours(ROUTERS[name])
    assert not names(read_refusal(ROUTERS[name]).words, (RUN, THREAD))


@pytest.mark.parametrize("name", NAMING)
def test_an_answer_that_names_the_run_is_known(name):
    assert ours(NAMING[name])
    assert names(read_refusal(NAMING[name]).words, (RUN, THREAD))


@pytest.mark.parametrize("name", UNNAMED)
def test_an_answer_of_an_api_may_name_nothing(name):
    assert ours(UNNAMED[name])
    assert not names(read_refusal(UNNAMED[name]).words, (RUN, THREAD))


@given(st.sampled_from(["'{}'", '"{}"', "({})", "[{}]", "GET:{}", "{}.", "`{}`", "<{}>"]))
def test_no_echo_of_a_path_names_a_run(quotes):
    words = f"Nothing is at {quotes.format(PATH)}"
    assert not names(words, (RUN, THREAD))


@pytest.mark.parametrize(
    ("body", "words", "code"),
    [
        ({"error": {"message": "No.", "type": "t", "code": "c"}}, "No.", "c"),
        ({"error": {"message": "No.", "type": "t", "code": None}}, "No.", "t"),
        ({"error": {"message": "No.", "type": "t", "code": ""}}, "No.", "t"),
        ({"error": {"message": "No.", "type": "t", "code": 404}}, "No.", "t"),
        ({"error": {"message": "No.", "code": 404}}, "No.", "404"),
        ({"object": "error", "message": "No.", "type": "t", "code": 404}, "No.", "t"),
        ({"error": "No."}, "No.", ""),
        ({"detail": "No."}, "No.", ""),
        ({"message": "No.", "error": "Bad Request", "statusCode": 400}, "No.", ""),
        ({"message": ["a must be b", "c is long"]}, "a must be b; c is long", ""),
        ({"errors": [{"message": "No.", "code": "c"}]}, "No.", "c"),
        ({"error": [{"msg": "No."}]}, "No.", ""),
        (
            {"detail": [{"loc": ["path", "run_id"], "msg": "not a uuid", "type": "uuid_parsing"}]},
            "path.run_id: not a uuid",
            "",
        ),
        (
            {"type": "about:blank", "title": "Gone", "detail": "It ended."},
            "It ended.",
            "about:blank",
        ),
        ({"fault": {"faultstring": "No.", "detail": {"errorcode": "e"}}}, "No.", ""),
        (
            {"error": {"code": 404, "message": "No.", "details": [{"reason": "TASK_NOT_FOUND"}]}},
            "No.",
            "TASK_NOT_FOUND",
        ),
        ([{"error": {"message": "No."}}], "No.", ""),
        ("No.", "No.", ""),
        (None, "", ""),
        (5, "", ""),
    ],
)
def test_words_and_code_are_found_in_any_usual_form(body, words, code):
    said = read_refusal(body)
    assert (said.words, said.code) == (words, code)


@pytest.mark.parametrize(
    "body",
    [
        {"error": {"message": "Pay.", "code": "insufficient_quota", "type": "requests"}},
        {"error": {"message": "Pay.", "code": None, "type": "insufficient_quota"}},
        {"error": {"message": "Pay.", "code": 429, "type": "insufficient_quota"}},
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


@given(json_values)
def test_any_json_can_be_read(body):
    said = read_refusal(body)
    assert isinstance(said.words, str)
    assert isinstance(names(said.words, (RUN, None)) or is_general(said.words), bool)


@pytest.mark.parametrize("kind", BACKENDS, ids=lambda kind: kind.form.conn_type)
def test_every_backend_judges_them_alike(kind, answer):
    backend = backend_of(kind)
    ref = backend.no_run
    for call in (backend.get(ref), backend.cancel(ref)):
        for body in ROUTERS.values():
            refusal = backend.judge(call, answer(404, body))
            assert (refusal.is_ours, refusal.names_run) == (False, False), body
        named = {"error": {"message": f"{ref.run_id} does not exist"}}
        assert backend.judge(call, answer(404, named)).names_run
        page = backend.judge(call, answer(404, b"<html>Not here"))
        assert (page.is_ours, page.words) == (False, "")
    assert set(CONNECTIONS) == {backend.form.conn_type for backend in BACKENDS}
