"""The idempotent cancel, with scripted answers and a clock that stands still."""

from __future__ import annotations

import httpx
import pytest

from airflow_provider_runs.errors import (
    CancelRefused,
    RunNotFound,
    RunsAPIError,
    RunsAuthError,
    RunsRateLimited,
    RunsResponseError,
    RunsTransportError,
)
from airflow_provider_runs.flows.cancel import cancel_run
from airflow_provider_runs.models import RunRef

REF = RunRef("run_1", "thread_1")
LOST = httpx.ReadError("reset")


def test_an_accepted_cancel_returns_the_run_of_the_answer(player, backend, run_is):
    assert player.run(cancel_run(backend, REF), run_is("cancelling")).status == "cancelling"
    assert player.sent == ["POST"]
    assert player.requests[0].url.path == "/v1/threads/thread_1/runs/run_1/cancel"
    assert player.requests[0].content == b""


GARBAGE = [
    None,
    {},
    b"accepted",
    b"<html>signed in</html>",
    b'{"id": "run_1", "status": "canc',
    [],
    {"status": 1},
    {"id": "run_2", "status": "cancelling"},
]


@pytest.mark.parametrize("body", GARBAGE)
def test_an_answer_that_is_not_of_the_api_accepts_nothing(player, backend, answer, run_is, body):
    garbage = answer(200, body)
    replies = (garbage, run_is("in_progress"), garbage, run_is("cancelling"))
    assert player.run(cancel_run(backend, REF), *replies).status == "cancelling"
    assert player.sent == ["POST", "GET", "POST", "GET"]


def test_a_cancel_that_no_answer_accepts_is_an_error(player, make_backend, answer, run_is):
    def replies():
        return answer(200, []) if player.sent[-1] == "POST" else run_is("in_progress")

    backend = make_backend(max_retries=2)
    with pytest.raises(RunsResponseError, match="requested 3 times and never accepted"):
        player.run(cancel_run(backend, REF), replies)
    assert player.sent == ["POST", "GET"] * 3


FAILURES = [400, 403, 404, 405, 408, 409, 422, 429, 500, 501, 503, LOST]
SETTLED = ["completed", "failed", "expired", "incomplete", "cancelled", "cancelling"]


@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize("state", SETTLED)
def test_no_failure_of_a_cancel_that_is_not_needed_is_an_error(
    player, backend, run_is, refusal, failure, state
):
    failure = refusal(failure) if isinstance(failure, int) else failure
    run = player.run(cancel_run(backend, REF), failure, run_is(state))
    assert run.status == state
    assert player.sent == ["POST", "GET"]


@pytest.mark.parametrize("status", [400, 404, 409, 422])
@pytest.mark.parametrize("state", ["queued", "in_progress", "requires_action", "warming_up"])
def test_a_refused_cancel_of_an_active_run_is_an_error(
    player, backend, run_is, refusal, status, state
):
    busy = refusal(status, "Run 'run_1' is busy right now.")
    with pytest.raises(CancelRefused, match="is busy right now") as caught:
        player.run(cancel_run(backend, REF), busy, run_is(state))
    assert caught.value.run["status"] == state
    assert state in caught.value.message
    assert caught.value.status_code == status
    assert player.sent == ["POST", "GET"]


@pytest.mark.parametrize(
    "routers", [(404, {"detail": "Not Found"}), (404, b"<html>"), (405, {}), (405, b"")]
)
def test_a_server_without_a_cancel_call_is_named_so(player, backend, answer, run_is, routers):
    with pytest.raises(CancelRefused, match=r"serves runs but has no cancel call: 40[45]") as at:
        player.run(cancel_run(backend, REF), answer(*routers), run_is("in_progress"))
    assert at.value.run["status"] == "in_progress"
    assert player.sent == ["POST", "GET"]


def test_a_cancel_of_a_missing_run_says_that_it_is_missing(player, backend, refusal):
    with pytest.raises(RunNotFound):
        player.run(cancel_run(backend, REF), refusal(404), refusal(404))


def test_a_wrong_base_url_is_no_missing_run(player, backend, answer):
    with pytest.raises(RunsAPIError, match="base URL") as caught:
        player.run(cancel_run(backend, REF), answer(404, {"detail": "Not Found"}))
    assert type(caught.value) is RunsAPIError


def test_a_refused_key_is_an_error_of_the_cancel(player, backend, refusal, run_is):
    with pytest.raises(RunsAuthError):
        player.run(cancel_run(backend, REF), refusal(401))
    player.requests.clear()

    def replies():
        return refusal(403) if player.sent[-1] == "POST" else run_is("in_progress")

    with pytest.raises(RunsAuthError, match="requested 4 times and never accepted"):
        player.run(cancel_run(backend, REF), replies)
    assert player.sent == ["POST", "GET"] * 4


def test_a_key_that_is_refused_once_is_asked_again(player, backend, refusal, run_is):
    replies = (refusal(401), run_is("in_progress"), run_is("cancelling"))
    assert player.run(cancel_run(backend, REF), *replies).status == "cancelling"


def test_a_run_that_is_denied_for_a_while_is_cancelled(player, backend, refusal, run_is):
    gone = refusal(404)
    replies = [*[gone] * 6, run_is("cancelling")]
    run = player.run(cancel_run(backend, REF, missing_grace=30), *replies)
    assert run.status == "cancelling"
    assert player.sleeps == [1, 2, 4]
    with pytest.raises(RunNotFound):
        player.run(cancel_run(backend, REF, missing_grace=30), gone)
    assert 10 <= sum(player.sleeps) - 7 <= 16


def test_a_run_that_is_denied_after_its_cancel_was_accepted_is_looked_at_again(
    player, backend, refusal, answer, run_is
):
    class Silent(type(backend)):
        def read_cancel(self, answer, ref):
            return None

    backend = Silent(backend.settings)
    replies = [answer(202), refusal(404), run_is("cancelling")]
    run = player.run(cancel_run(backend, REF, missing_grace=30), *replies)
    assert run.status == "cancelling"
    assert player.sent == ["POST", "GET", "GET"]


def test_a_quota_that_is_used_up_is_not_asked_again(player, backend, refusal, run_is):
    with pytest.raises(RunsRateLimited):
        player.run(
            cancel_run(backend, REF),
            refusal(429, code="insufficient_quota"),
            run_is("in_progress"),
        )
    assert player.sent == ["POST", "GET"]


@pytest.mark.parametrize("failure", [LOST, 500, 501, 408, 429])
def test_between_two_requests_there_is_a_look(player, backend, run_is, refusal, failure):
    failure = refusal(failure) if isinstance(failure, int) else failure
    replies = (failure, run_is("in_progress"), failure, LOST, refusal(400), run_is("cancelling"))
    assert player.run(cancel_run(backend, REF), *replies).status == "cancelling"
    assert player.sent == ["POST", "GET"] * 3


def test_a_dead_server_is_an_error_after_the_retries(player, make_backend):
    with pytest.raises(RunsTransportError, match="requested 3 times"):
        player.run(cancel_run(make_backend(max_retries=2), REF), LOST)
    assert player.sent == ["POST", "GET"] * 3


def test_a_cancel_ends_at_its_deadline(player, backend, refusal, run_is):
    def replies():
        return refusal(429, retry_after="4") if player.sent[-1] == "POST" else run_is("queued")

    with pytest.raises(RunsRateLimited):
        player.run(cancel_run(backend, REF, deadline=1_800_000_010.0), replies)
    assert player.sleeps == [4, 4]


def test_a_server_that_wants_no_retry_gets_none(player, backend, refusal, run_is):
    with pytest.raises(RunsAPIError):
        player.run(cancel_run(backend, REF), refusal(503, x_should_retry="false"), run_is("queued"))
    assert player.sent == ["POST", "GET"]
