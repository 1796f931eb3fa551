"""Evidence, and what a wait makes of it: with scripted answers and a clock that stands still."""

from __future__ import annotations

import logging
import time

import httpx
import pytest

from airflow_provider_runs.errors import (
    RunNotFound,
    RunsAPIError,
    RunsAuthError,
    RunsResponseError,
    RunTimeout,
)
from airflow_provider_runs.flows.evidence import NEW_RUN, PROOF, Evidence, Proof
from airflow_provider_runs.flows.follow import look_once, wait_for
from airflow_provider_runs.flows.wait import Wait
from airflow_provider_runs.models import RunRef

NOW = 1_800_000_000.0
LOG = logging.getLogger("runs.test")
LOST = httpx.ReadError("reset")
ROUTERS = {"detail": "Not Found"}


def wait(timeout=600.0, poll_interval=5.0, **changes):
    return Wait(RunRef("run_1", "thread_1"), NOW, NOW + timeout, poll_interval, **changes)


def test_proof_is_enough_answers_over_enough_time(clock):
    evidence = Evidence()
    assert [evidence.add(Proof(3, 30.0)) for _ in range(5)] == [False] * 5
    clock.shift(30)
    assert evidence.add(Proof(3, 30.0))
    evidence.clear()
    assert not evidence
    assert not evidence.add(Proof(3, 30.0))
    assert evidence


def test_a_grace_of_nothing_believes_the_first_answer():
    for proof in (PROOF, NEW_RUN):
        assert Evidence().add(proof.over(0))
        assert proof.over(5) == Proof(proof.looks, 5)


def passing(answers, seconds, then):
    """Answer like the first until so many seconds are over, then like the other one."""
    return lambda: answers if time.time() < NOW + seconds else then


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
@pytest.mark.parametrize("seen", ["in_progress", None])
def test_a_refusal_that_passes_ends_no_wait(player, backend, run_is, refusal, status, seen):
    first = [run_is("in_progress")] if seen else []
    if seen is None and status != 404:
        return  # a key that never worked is believed to be wrong
    seconds = 25 if seen else 9
    replies = [*first, passing(refusal(status), seconds, run_is("completed"))]
    assert player.run(wait_for(backend, wait(), LOG), *replies).status == "completed"


def test_a_404_of_a_gateway_that_passes_ends_no_wait(player, backend, run_is, answer):
    replies = [run_is("queued"), passing(answer(404, ROUTERS), 25, run_is("completed"))]
    assert player.run(wait_for(backend, wait(), LOG), *replies).status == "completed"


def test_a_run_that_was_seen_is_missing_after_the_grace(player, backend, run_is, refusal):
    with pytest.raises(RunNotFound, match="'in_progress' before, so it was deleted") as caught:
        player.run(wait_for(backend, wait(), LOG), run_is("in_progress"), refusal(404))
    assert caught.value.run["status"] == "in_progress"
    assert 30 <= sum(player.sleeps) < 45
    assert len(player.sent) >= 4


def test_the_grace_can_be_set(player, clock, backend, run_is, refusal):
    for grace, least, most in ((0, 0, 1.1), (120, 120, 135)):
        clock.move_to(NOW)
        player.sleeps.clear()
        with pytest.raises(RunNotFound):
            player.run(
                wait_for(backend, wait(missing_grace=grace), LOG), run_is("queued"), refusal(404)
            )
        assert least <= sum(player.sleeps) <= most


def test_a_run_that_was_never_seen_is_missing_after_ten_seconds(player, backend, refusal):
    with pytest.raises(RunNotFound) as caught:
        player.run(wait_for(backend, wait(), LOG), refusal(404))
    assert caught.value.run is None
    assert 10 <= sum(player.sleeps) < 16


def test_a_wrong_base_url_is_never_a_missing_run(player, backend, answer):
    with pytest.raises(RunsAPIError, match="says nothing about the run") as caught:
        player.run(wait_for(backend, wait(), LOG), answer(404, ROUTERS))
    assert type(caught.value) is RunsAPIError
    assert "https://gateway.test/v1, is the base URL" in caught.value.message
    assert sum(player.sleeps) < 16


@pytest.mark.parametrize("page", [b"<!DOCTYPE html><title>Sign in</title>", b'{"items": []}'])
def test_a_server_that_is_not_the_api_ends_the_wait_at_its_first_looks(
    player, make_backend, answer, page
):
    with pytest.raises(RunsResponseError) as caught:
        player.run(wait_for(make_backend(max_retries=0), wait(), LOG), answer(200, page))
    if page.startswith(b"<"):
        assert "it is a web page, not the API" in caught.value.message
    assert sum(player.sleeps) < 16


def test_a_page_that_stands_between_two_looks_ends_no_wait(player, make_backend, answer, run_is):
    page = passing(answer(200, b"<html>maintenance"), 300, run_is("completed"))
    backend = make_backend(max_retries=0)
    assert player.run(wait_for(backend, wait(), LOG), run_is("queued"), page).is_final


def test_a_key_that_never_worked_is_refused_at_once(player, backend, refusal):
    with pytest.raises(RunsAuthError) as caught:
        player.run(wait_for(backend, wait(), LOG), refusal(401))
    assert caught.value.run is None
    assert player.sent == ["GET"]


def test_a_key_that_worked_is_refused_after_three_looks_and_half_a_minute(
    player, backend, refusal, run_is
):
    with pytest.raises(RunsAuthError, match="401, the key was refused") as caught:
        player.run(wait_for(backend, wait(), LOG), run_is("queued"), refusal(401))
    assert caught.value.run["status"] == "queued"
    assert 30 <= sum(player.sleeps) < 45
    assert len(player.sent) >= 4
    assert player.refreshes == len(player.sent) - 1


def test_a_new_key_in_the_connection_is_used(player, make_backend, refusal, run_is):
    player.refreshed = make_backend(key="sk-new")
    replies = (refusal(401), run_is("in_progress"), run_is("completed"))
    assert player.run(wait_for(make_backend(), wait(), LOG), *replies).is_final
    keys = [request.headers["authorization"] for request in player.requests]
    assert keys == ["Bearer sk-secret-key", "Bearer sk-new", "Bearer sk-new"]


def test_rare_polls_are_frequent_while_an_answer_is_in_doubt(player, backend, run_is, refusal):
    todo = wait(86_400, poll_interval=1800, first_interval=1800)
    with pytest.raises(RunNotFound):
        player.run(wait_for(backend, todo, LOG), run_is("queued"), refusal(404))
    assert sum(player.sleeps) - 1800 < 45
    player.sleeps.clear()
    replies = (run_is("queued"), refusal(404), run_is("queued"), run_is("completed"))
    player.run(
        wait_for(backend, wait(86_400 * 2, poll_interval=1800, first_interval=1800), LOG), *replies
    )
    assert player.sleeps[0] == player.sleeps[2] == 1800
    assert player.sleeps[1] <= 1


def test_evidence_of_other_failures_does_not_add_up(player, backend, run_is, refusal, answer):
    one_by_one = [refusal(404), refusal(401), answer(404, ROUTERS), refusal(400)]
    replies = [run_is("queued"), *one_by_one, *one_by_one, run_is("completed")]
    assert player.run(wait_for(backend, wait(), LOG), *replies).is_final


def test_a_doubtful_answer_is_said_once(player, backend, run_is, refusal, caplog):
    replies = [run_is("queued"), *[refusal(404)] * 4, run_is("queued"), run_is("completed")]
    with caplog.at_level(logging.INFO, "runs.test"):
        player.run(wait_for(backend, wait(), LOG), *replies)
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 4
    assert said[1].startswith("One answer proves nothing: still waiting. 404: “No run found")
    assert said[2].endswith("can be read again")


def test_a_deadline_before_the_proof_is_a_timeout(player, backend, refusal):
    with pytest.raises(RunTimeout, match=r"never seen.*The last look failed: 404: “No run found"):
        player.run(wait_for(backend, wait(4), LOG), refusal(404))


def test_a_look_leaves_the_evidence_to_the_wait_that_follows(player, backend, refusal):
    assert player.run(look_once(backend, wait(), LOG), refusal(404)) == (None, wait())
    assert player.sleeps == []


@pytest.mark.parametrize("worked", [False, True])
def test_a_look_that_settles_stays_while_an_answer_is_in_doubt(
    player, backend, refusal, run_is, worked
):
    todo = wait(worked=worked)
    flow = look_once(backend, todo, LOG, settle=True)
    run, _ = player.run(flow, refusal(404), refusal(404), run_is("in_progress"))
    assert run.status == "in_progress"
    with pytest.raises(RunNotFound):
        player.run(look_once(backend, todo, LOG, settle=True), refusal(404))
    assert (sum(player.sleeps) > 30) is worked


def test_a_look_that_settles_does_not_stay_for_an_outage(player, make_backend):
    backend = make_backend(max_retries=0)
    assert player.run(look_once(backend, wait(), LOG, settle=True), LOST) == (None, wait())
    assert player.sleeps == []
