"""The retry flow and the calls, with scripted answers and a clock that stands still."""

from __future__ import annotations

import traceback
from email.utils import formatdate

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_runs.errors import (
    RunNotFound,
    RunsAPIError,
    RunsAuthError,
    RunsError,
    RunsRateLimited,
    RunsResponseError,
    RunsServiceGone,
    RunsTransportError,
)
from airflow_provider_runs.flows.calls import MAX_BACKOFF, get_run, probe
from airflow_provider_runs.flows.cancel import cancel_run
from airflow_provider_runs.flows.lists import list_runs
from airflow_provider_runs.models import RunRef

REF = RunRef("run_1", "thread_1")


def test_a_run_is_fetched_with_the_key_in_the_header(player, backend, run_is):
    run = player.run(get_run(backend, REF), run_is("queued"))
    (request,) = player.requests
    assert (run.id, run.status) == ("run_1", "queued")
    assert request.method == "GET"
    assert request.url == "https://gateway.test/v1/threads/thread_1/runs/run_1"
    assert request.headers["authorization"] == "Bearer sk-secret-key"
    assert request.headers["openai-beta"] == "assistants=v2"


@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503, 504, 529])
def test_an_answer_that_may_pass_is_asked_for_again(player, backend, run_is, refusal, status):
    assert player.run(get_run(backend, REF), refusal(status), run_is("queued")).status == "queued"
    assert player.sent == ["GET", "GET"]


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, RunsAPIError),
        (401, RunsAuthError),
        (403, RunsAuthError),
        (404, RunNotFound),
        (422, RunsAPIError),
    ],
)
def test_an_answer_that_will_not_pass_is_an_error_at_once(player, backend, refusal, status, kind):
    answer = refusal(status, "Not like this, run_1.", x_request_id="req_7")
    with pytest.raises(RunsAPIError) as caught:
        player.run(get_run(backend, REF), answer)
    error = caught.value
    assert type(error) is kind
    assert (error.status_code, error.request_id, error.transient) == (status, "req_7", False)
    assert (error.conn_id, error.run_id, error.thread_id) == ("runs_default", "run_1", "thread_1")
    for words in (
        "run_1",
        "thread_1",
        "runs_default",
        "Not like this",
        "req_7",
    ):
        assert words in error.message
    assert player.sent == ["GET"]


@pytest.mark.parametrize(
    "lost",
    [
        httpx.ConnectError("refused"),
        httpx.ConnectTimeout("slow"),
        httpx.ReadTimeout("slow"),
        httpx.ReadError("reset"),
        httpx.RemoteProtocolError("cut"),
        httpx.ProxyError("no"),
    ],
)
def test_a_lost_answer_is_asked_for_again_and_named_in_the_end(player, make_backend, run_is, lost):
    backend = make_backend(max_retries=2)
    assert player.run(get_run(backend, REF), lost, lost, run_is("queued")).status == "queued"
    with pytest.raises(RunsTransportError, match=str(lost)) as caught:
        player.run(get_run(backend, REF), lost)
    assert caught.value.transient
    assert player.sent == ["GET"] * 6


def test_a_request_that_can_never_be_sent_is_not_tried_again(player, backend):
    with pytest.raises(RunsTransportError):
        player.run(get_run(backend, REF), httpx.LocalProtocolError("Illegal header value"))
    assert player.sent == ["GET"]


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b'{"id": "run_', b"[]", b"null", b'{"object": "thread"}']
)
def test_a_garbage_answer_is_asked_for_again_and_never_a_run(
    player, make_backend, run_is, answer, body
):
    backend = make_backend(max_retries=1)
    assert player.run(get_run(backend, REF), answer(200, body), run_is("failed")).is_final
    with pytest.raises(RunsResponseError, match="cannot be understood"):
        player.run(get_run(backend, REF), answer(200, body))


@given(retries=st.integers(0, 6))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_retries_are_counted_and_their_pauses_bounded(player, make_backend, refusal, retries):
    player.requests.clear(), player.sleeps.clear()
    with pytest.raises(RunsAPIError):
        player.run(get_run(make_backend(max_retries=retries), REF), refusal(503))
    assert len(player.requests) == retries + 1
    for attempt, pause in enumerate(player.sleeps):
        assert 0 <= pause <= min(MAX_BACKOFF, 0.5 * 2**attempt)


@pytest.mark.parametrize(
    ("headers", "pause"),
    [
        ({"retry_after": "7"}, 7),
        ({"retry_after_ms": "1500"}, 1.5),
        ({"retry_after_ms": "250", "retry_after": "9"}, 0.25),
        ({"retry_after": formatdate(1_800_000_000 + 11, usegmt=True)}, 11),
        ({"retry_after": formatdate(1_800_000_000 - 60, usegmt=True)}, 0),
        ({"retry_after": "-3"}, 0),
    ],
)
def test_the_server_says_how_long_to_wait(player, backend, run_is, refusal, headers, pause):
    player.run(get_run(backend, REF), refusal(429, **headers), run_is("queued"))
    assert player.sleeps == [pytest.approx(pause)]


@pytest.mark.parametrize("value", ["soon", "", "nan", "inf"])
def test_a_senseless_retry_after_is_not_obeyed(player, backend, run_is, refusal, value):
    player.run(get_run(backend, REF), refusal(503, retry_after=value), run_is("queued"))
    assert player.sleeps[0] <= 0.5


def test_a_pause_that_would_pass_the_deadline_is_not_begun(player, backend, refusal):
    with pytest.raises(RunsRateLimited) as caught:
        player.run(get_run(backend, REF, deadline=1_800_000_030.0), refusal(429, retry_after="31"))
    assert player.sleeps == []
    assert caught.value.retry_after == 31


def test_without_a_deadline_a_call_has_the_budget_of_its_timeouts(player, make_backend, refusal):
    backend = make_backend(timeout=2.0, max_retries=4)
    with pytest.raises(RunsRateLimited):
        player.run(get_run(backend, REF), refusal(429, retry_after="4"))
    assert player.sleeps == [4, 4]  # a third would end at 12 s, after the 10 s of the budget


@pytest.mark.parametrize("code", ["insufficient_quota", "billing_not_active"])
def test_a_429_for_money_is_not_tried_again(player, backend, refusal, code):
    with pytest.raises(RunsRateLimited, match=code) as caught:
        player.run(get_run(backend, REF), refusal(429, "Pay first.", code))
    assert not caught.value.transient
    assert player.sent == ["GET"]


def test_x_should_retry_overrides_the_status(player, backend, run_is, refusal):
    with pytest.raises(RunsAPIError):
        player.run(get_run(backend, REF), refusal(503, x_should_retry="false"))
    run = player.run(get_run(backend, REF), refusal(400, x_should_retry="true"), run_is("queued"))
    assert run.status == "queued"
    assert player.sent == ["GET"] * 3


def test_each_request_is_bounded_by_timeout_and_deadline(player, make_backend, run_is):
    backend = make_backend(timeout=20.0)
    for deadline, read in ((None, 20), (1_800_000_005.0, 5), (1_799_999_999.0, 2)):
        player.run(get_run(backend, REF, deadline=deadline), run_is("queued"))
        timeouts = player.requests[-1].extensions["timeout"]
        assert timeouts == {"connect": read, "read": read, "write": read, "pool": read}


def test_a_redirect_is_an_error_that_names_the_target(player, backend, answer):
    with pytest.raises(RunsAPIError, match=r"https://elsewhere.test/") as caught:
        player.run(get_run(backend, REF), answer(307, None, location="https://elsewhere.test/"))
    assert not caught.value.transient
    assert player.sent == ["GET"]


@pytest.mark.parametrize(
    "body", [b"<html>Not Found</html>", b"", b"Not Found", {"detail": "Not Found"}]
)
def test_a_404_of_a_web_server_is_not_a_missing_run(player, backend, answer, body):
    with pytest.raises(RunsAPIError, match="base URL") as caught:
        player.run(get_run(backend, REF), answer(404, body))
    assert not isinstance(caught.value, RunNotFound)


@pytest.mark.parametrize("host", ["api.openai.com", "eu.api.openai.com", "x.openai.azure.com"])
def test_a_404_of_a_retired_host_is_not_a_missing_run(player, make_backend, refusal, host):
    backend = make_backend(base_url=f"https://{host}/v1")
    for call in (get_run, cancel_run):
        with pytest.raises(RunsServiceGone, match="does not serve this API, or no longer"):
            player.run(call(backend, REF), refusal(404))
    assert player.sent == ["GET", "POST"]


def test_an_echoed_key_is_not_shown(player, backend, answer, refusal):
    for reply in (
        refusal(401, "Incorrect API key provided: sk-secret-key."),
        answer(500, b"debug: Authorization=Bearer sk-secret-key"),
        answer(302, None, location="https://x.test/?key=sk-secret-key"),
        answer(200, b"sk-secret-key"),
        httpx.LocalProtocolError("Illegal header value b'Bearer sk-secret-key'"),
    ):
        with pytest.raises(RunsError) as caught:
            player.run(get_run(backend, REF), reply)
        assert "sk-secret-key" not in str(caught.value.to_json())
        assert "***" in caught.value.message


# -- list and probe --------------------------------------------------------------------------------


def test_each_page_is_asked_for_where_the_last_one_ended(player, backend, answer):
    runs = [{"id": f"run_{n}", "status": "queued"} for n in range(2)]
    first = {"object": "list", "data": runs, "last_id": "run_1", "has_more": True}
    pages = list_runs(backend, "thread_1")
    assert [run.id for run in player.run(next(pages), answer(200, first))] == ["run_0", "run_1"]
    assert player.run(next(pages), answer(200, {"data": [], "has_more": True})) == []
    assert list(pages) == []
    assert dict(player.requests[0].url.params) == {"limit": "100", "order": "desc"}
    assert player.requests[1].url.params["after"] == "run_1"


def test_a_list_that_is_none_is_an_error(player, make_backend, answer):
    page = next(list_runs(make_backend(max_retries=0), "thread_1"))
    with pytest.raises(RunsResponseError):
        player.run(page, answer(200, {"data": 3}))


def test_the_probe_needs_no_run(player, backend, answer, refusal):
    assert player.run(probe(backend), answer(200, {"data": []})) is True
    with pytest.raises(RunsAuthError) as caught:
        player.run(probe(backend), refusal(401))
    assert caught.value.run_id is None


def test_a_bare_nan_in_an_answer_is_nothing(player, backend, answer):
    body = b'{"id": "run_1", "status": "queued", "temperature": NaN, "metadata": {"x": Infinity}}'
    run = player.run(get_run(backend, REF), answer(200, body))
    assert run.temperature is None
    assert run.metadata == {"x": None}


@pytest.mark.parametrize("body", [{"error": "overloaded"}, {"detail": "overloaded"}])
def test_a_gateways_own_words_are_shown(player, make_backend, answer, body):
    with pytest.raises(RunsAPIError, match="503: “overloaded”"):
        player.run(get_run(make_backend(max_retries=0), REF), answer(503, body))


def test_an_extra_header_wins_whatever_its_spelling(player, make_backend, run_is):
    backend = make_backend(headers={"authorization": "Custom x", "accept": "application/*"})
    player.run(get_run(backend, REF), run_is("queued"))
    (request,) = player.requests
    assert request.headers.get_list("authorization") == ["Custom x"]
    assert request.headers.get_list("accept") == ["application/*"]


def test_a_secret_that_contains_another_is_hidden_whole(player, make_backend, refusal):
    backend = make_backend(headers={"x-team": "sk-secret-key-of-the-team"})
    with pytest.raises(RunsAuthError) as caught:
        player.run(get_run(backend, REF), refusal(401, "Not sk-secret-key-of-the-team."))
    assert "Not ***" in caught.value.message
    assert "team." not in caught.value.message


@pytest.mark.parametrize("last", [None, "", 7])
def test_a_page_without_its_last_id_tells_it_from_its_runs(player, backend, answer, last):
    body = {"data": [{"id": "run_9", "status": "queued"}], "last_id": last, "has_more": True}
    pages = list_runs(backend, "thread_1")
    for _ in range(2):
        player.run(next(pages), answer(200, body))
    assert player.requests[1].url.params["after"] == "run_9"


@pytest.mark.parametrize("lost", [httpx.DecodingError("bad gzip"), httpx.TooManyRedirects("x")])
def test_no_error_of_the_http_client_escapes(player, make_backend, lost):
    with pytest.raises(RunsTransportError) as caught:
        player.run(get_run(make_backend(max_retries=0), REF), lost)
    assert caught.value.transient


def test_an_answer_nested_without_end_is_a_garbage_answer(player, make_backend, answer):
    with pytest.raises(RunsResponseError):
        player.run(get_run(make_backend(max_retries=0), REF), answer(200, b"[" * 100_000))


def test_a_number_too_large_for_json_is_nothing(player, backend, answer):
    body = b'{"id": "run_1", "status": "failed", "temperature": 1e999, "top_p": 0.5}'
    run = player.run(get_run(backend, REF), answer(200, body))
    assert (run.temperature, run.top_p) == (None, 0.5)


@pytest.mark.parametrize("call", [get_run, cancel_run])
def test_the_end_of_another_object_is_never_taken_for_the_runs(player, make_backend, answer, call):
    body = {"id": "batch_9", "object": "batch", "status": "completed"}
    with pytest.raises(RunsResponseError, match="cannot be understood"):
        player.run(call(make_backend(max_retries=0), REF), answer(200, body))


def test_an_echoed_key_is_not_in_the_chain_of_errors_either(player, make_backend, answer, refusal):
    backend = make_backend(max_retries=0)
    for reply in (
        answer(200, {"id": "run_1", "status": {"echo": "sk-secret-key"}}),
        answer(200, b'"sk-secret-key"'),
        refusal(400, "No.", "code of sk-secret-key", x_request_id="sk-secret-key"),
    ):
        with pytest.raises(RunsError) as caught:
            player.run(get_run(backend, REF), reply)
        assert "sk-secret-key" not in "".join(traceback.format_exception(caught.value))


def test_what_a_server_says_is_cut(player, backend, refusal):
    with pytest.raises(RunsAPIError) as caught:
        player.run(get_run(backend, REF), refusal(400, "m" * 9000, "c" * 9000))
    assert len(caught.value.message) < 1000


@pytest.mark.parametrize(
    "body",
    [
        {"message": "no Route matched with those values"},
        {"statusCode": 404, "message": "Resource not found"},
        {"error": "not found"},
    ],
)
def test_a_404_of_a_gateway_is_not_a_missing_run(player, backend, answer, body):
    with pytest.raises(RunsAPIError, match="base URL") as caught:
        player.run(cancel_run(backend, REF), answer(404, body))
    assert not isinstance(caught.value, RunNotFound)


def test_requests_say_who_sends_them(player, backend, run_is):
    player.run(get_run(backend, REF), run_is("queued"))
    assert player.requests[0].headers["user-agent"].startswith("airflow-provider-runs/")


def test_half_a_character_is_in_no_error(player, backend, answer):
    body = b'{"error": {"message": "cut \\ud83d", "type": "invalid_request_error"}}'
    with pytest.raises(RunsAPIError) as caught:
        player.run(get_run(backend, REF), answer(400, body))
    assert "cut ?" in str(caught.value)
    assert str(caught.value).encode()


def test_a_date_beyond_all_calendars_is_no_pause(player, backend, refusal, run_is):
    late = refusal(429, retry_after="Fri, 31 Dec 9999 23:59:59 -9959")
    run = player.run(get_run(backend, REF), late, run_is("queued"))
    assert run.status == "queued"
