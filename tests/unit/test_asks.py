"""When a wait asks again to cancel its run: with scripted answers and a clock that stands still."""

from __future__ import annotations

import logging
import time
from itertools import pairwise

import httpx
import pytest

from airflow_provider_runs.errors import (
    CancelRefused,
    RunsAuthError,
    RunsServiceGone,
    RunTimeout,
)
from airflow_provider_runs.flows.asks import LONGEST_PAUSE, LONGEST_REPEAT
from airflow_provider_runs.flows.follow import look_once, wait_for
from airflow_provider_runs.flows.wait import Wait
from airflow_provider_runs.models import RunRef

NOW = 1_800_000_000.0
LOG = logging.getLogger("runs.test")
LOST = httpx.ReadError("reset")


def wait(timeout=600.0, poll_interval=5.0, **changes):
    return Wait(
        RunRef("run_1", "thread_1"), NOW, NOW + timeout, poll_interval, cancel=True, **changes
    )


@pytest.fixture
def asked_at(player):
    """Return a function that answers: a POST as told, noting its time, and a GET as told."""
    times = []

    def make(to_cancel, to_look):
        def reply():
            if player.sent[-1] == "POST":
                times.append(time.time() - NOW)
                return to_cancel(len(times)) if callable(to_cancel) else to_cancel
            return to_look() if callable(to_look) else to_look

        return reply

    make.times = times
    return make


@pytest.mark.parametrize("failure", [500, 501, 503, 408, 429, 409, 400, 422, LOST, b"<html>"])
def test_the_pauses_between_two_requests_grow_whatever_is_answered(
    player, backend, run_is, refusal, answer, asked_at, failure
):
    if isinstance(failure, bytes):
        failure = answer(200, failure)
    elif isinstance(failure, int):
        failure = refusal(failure)
    with pytest.raises((RunTimeout, CancelRefused)) as caught:
        player.run(wait_for(backend, wait(), LOG), asked_at(failure, run_is("in_progress")))
    pauses = [b - a for a, b in pairwise(asked_at.times)]
    assert 10 < len(asked_at.times) < 20
    assert all(b > a * 0.6 for a, b in pairwise(pauses))
    assert max(pauses) <= LONGEST_PAUSE + 5
    assert ("POST", "POST") not in pairwise(player.sent)
    assert f"requested {len(asked_at.times)} times since 2027-01-15 08:00:00 UTC" in (
        caught.value.message
    )


@pytest.mark.parametrize("failure", [500, 501, 408, 400, 404, LOST])
@pytest.mark.parametrize("state", ["completed", "cancelled"])
def test_a_run_that_is_seen_final_settles_it(player, backend, run_is, refusal, failure, state):
    failure = refusal(failure) if isinstance(failure, int) else failure
    assert player.run(wait_for(backend, wait(), LOG), failure, run_is(state)).status == state
    assert player.sent == ["POST", "GET"]


def test_a_run_that_is_seen_cancelling_is_not_asked_for_again(player, backend, run_is, refusal):
    replies = [refusal(500), *[run_is("cancelling")] * 40, run_is("cancelled")]
    assert player.run(wait_for(backend, wait(), LOG), *replies).status == "cancelled"
    assert player.sent.count("POST") == 1


def test_a_cancel_that_was_accepted_and_lost_is_sent_again(player, backend, run_is, asked_at):
    def to_cancel(number):
        return run_is("cancelling" if number == 3 else "in_progress")

    def to_look():
        return run_is("cancelled" if len(asked_at.times) == 3 else "in_progress")

    run = player.run(wait_for(backend, wait(), LOG), asked_at(to_cancel, to_look))
    assert run.status == "cancelled"
    first, second, third = asked_at.times
    assert first == 0
    assert 30 <= second < 36
    assert 60 <= third - second < 66


def test_a_cancel_that_is_lost_until_the_deadline_says_when_and_how_often(
    player, backend, run_is, asked_at
):
    with pytest.raises(RunTimeout) as caught:
        player.run(
            wait_for(backend, wait(1800), LOG),
            asked_at(run_is("in_progress"), run_is("in_progress")),
        )
    words = f"'in_progress'. The cancel was requested {len(asked_at.times)} times since "
    assert f"{words}2027-01-15 08:00:00 UTC and accepted" in caught.value.message
    assert 8 <= len(asked_at.times) <= 9
    assert asked_at.times[-1] - asked_at.times[-2] <= LONGEST_REPEAT + 5
    assert "cancel it" not in caught.value.message


def test_what_a_worker_asked_for_counts_in_the_triggerer(player, backend, run_is, asked_at):
    _, rest = player.run(look_once(backend, wait(), LOG), run_is("in_progress"))
    assert (rest.asked_at, rest.asks) == (NOW, 1)
    again = Wait.from_json(rest.to_json())
    player.requests.clear()

    def to_look():
        return run_is("cancelled" if asked_at.times else "in_progress")

    replies = asked_at(run_is("cancelling"), to_look)
    assert player.run(wait_for(backend, again, LOG), replies).status == "cancelled"
    (second,) = asked_at.times
    assert 30 <= second < 36


@pytest.mark.parametrize("status", [404, 405])
def test_a_server_without_a_cancel_call_is_named_at_once(
    player, backend, run_is, answer, asked_at, status
):
    routers = answer(status, {"detail": "Not Found" if status == 404 else "Method Not Allowed"})
    with pytest.raises(CancelRefused, match="serves runs but has no cancel call") as caught:
        player.run(wait_for(backend, wait(), LOG), asked_at(routers, run_is("in_progress")))
    assert caught.value.run["status"] == "in_progress"
    assert player.sent == ["POST", "GET", "POST", "GET"]
    assert sum(player.sleeps) <= 2


def test_one_404_of_a_gateway_is_no_proof_that_there_is_no_cancel_call(
    player, backend, run_is, answer
):
    routers = answer(404, {"message": "no Route matched with those values"})
    replies = [routers, run_is("queued"), run_is("cancelling"), run_is("cancelled")]
    assert player.run(wait_for(backend, wait(), LOG), *replies).status == "cancelled"


def test_a_key_that_may_read_but_not_cancel_is_refused_after_half_a_minute(
    player, backend, run_is, refusal, asked_at
):
    with pytest.raises(RunsAuthError, match="may read the run, but not cancel it") as caught:
        player.run(wait_for(backend, wait(), LOG), asked_at(refusal(403), run_is("in_progress")))
    assert caught.value.run["status"] == "in_progress"
    assert 30 <= asked_at.times[-1] < 70
    assert len(asked_at.times) >= 3


def test_a_host_that_is_gone_ends_the_wait_at_once(player, make_backend, refusal):
    backend = make_backend(base_url="https://api.openai.com/v1")
    with pytest.raises(RunsServiceGone):
        player.run(wait_for(backend, wait(), LOG), refusal(404))


def test_a_retry_after_is_respected(player, backend, run_is, refusal, asked_at):
    with pytest.raises(RunTimeout):
        player.run(
            wait_for(backend, wait(100), LOG),
            asked_at(refusal(429, retry_after="40"), run_is("in_progress")),
        )
    assert all(b - a >= 40 for a, b in pairwise(asked_at.times))


def test_a_failed_request_is_said_once(player, backend, run_is, refusal, caplog):
    replies = [refusal(500), run_is("queued"), refusal(500), run_is("queued"), run_is("cancelling")]
    with caplog.at_level(logging.WARNING, "runs.test"):
        player.run(wait_for(backend, wait(), LOG), *replies, run_is("cancelled"))
    (record,) = caplog.records
    assert "will be sent again. 500" in record.getMessage()


def test_a_garbage_answer_to_a_cancel_accepts_nothing(player, backend, run_is, answer):
    replies = [answer(200, b"<html>"), run_is("queued"), run_is("cancelling"), run_is("cancelled")]
    assert player.run(wait_for(backend, wait(), LOG), *replies).status == "cancelled"
    assert player.sent == ["POST", "GET", "POST", "GET"]


def test_an_answer_that_contradicts_earlier_ones_clears_them(
    player, backend, run_is, refusal, answer, asked_at
):
    routers = answer(404, {"detail": "Not Found"})
    said = [routers, refusal(409), refusal(503), routers, refusal(401), refusal(409), refusal(401)]

    def to_cancel(number):
        return said[number - 1] if number <= len(said) else run_is("cancelling")

    def to_look():
        return run_is("cancelled" if len(asked_at.times) > len(said) else "in_progress")

    todo = wait(3600)
    assert player.run(wait_for(backend, todo, LOG), asked_at(to_cancel, to_look)).is_final


def test_a_key_that_is_refused_for_a_cancel_is_looked_up_again(
    player, make_backend, run_is, refusal
):
    player.refreshed = make_backend(key="sk-new")
    replies = [refusal(401), run_is("queued"), run_is("cancelling"), run_is("cancelled")]
    assert player.run(wait_for(make_backend(), wait(), LOG), *replies).status == "cancelled"
    keys = [request.headers["authorization"] for request in player.requests]
    assert keys == ["Bearer sk-secret-key", *["Bearer sk-new"] * 3]
    assert player.refreshes == 1
