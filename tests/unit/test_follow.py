"""The wait, with scripted answers and a clock that stands still."""

from __future__ import annotations

import logging

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_runs.errors import (
    CancelRefused,
    RunsAuthError,
    RunsConfigError,
    RunsTransportError,
    RunTimeout,
)
from airflow_provider_runs.flows.follow import look_once, wait_for
from airflow_provider_runs.flows.progress import OUTAGE_TOLERANCE
from airflow_provider_runs.flows.wait import Wait
from airflow_provider_runs.models import RunRef

NOW = 1_800_000_000.0
LOG = logging.getLogger("runs.test")
SILENT = logging.getLogger("runs.silent")
SILENT.disabled = True
LOST = httpx.ConnectError("refused")


def wait(timeout=600.0, poll_interval=5.0, **changes):
    return Wait(RunRef("run_1", "thread_1"), NOW, NOW + timeout, poll_interval, **changes)


@pytest.mark.parametrize("state", ["completed", "failed", "cancelled", "expired", "incomplete"])
def test_the_wait_ends_with_the_first_final_status(player, backend, run_is, state):
    replies = (run_is("queued"), run_is("in_progress"), run_is(state))
    assert player.run(wait_for(backend, wait(), LOG), *replies).status == state
    assert player.sent == ["GET"] * 3


def test_a_run_that_is_final_at_once_costs_one_call(player, backend, run_is):
    player.run(wait_for(backend, wait(), LOG), run_is("completed"))
    assert (player.sent, player.sleeps) == (["GET"], [])


def test_requires_action_ends_only_a_wait_that_asks_for_it(player, backend, run_is):
    replies = (run_is("requires_action"), run_is("expired"))
    assert player.run(wait_for(backend, wait(), LOG), *replies).status == "expired"
    stops = wait(stop_on_requires_action=True)
    assert player.run(wait_for(backend, stops, LOG), *replies).status == "requires_action"


@given(
    timeout=st.floats(0.5, 200),
    poll_interval=st.floats(1, 300),
    first_interval=st.none() | st.floats(0.2, 400),
    pattern=st.lists(st.sampled_from(["queued", "cancelling", "odd", "lost", "429"]), min_size=1),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_no_wait_sleeps_past_its_deadline_or_its_interval(
    clock, player, make_backend, run_is, refusal, timeout, poll_interval, first_interval, pattern
):
    clock.move_to(NOW)
    player.requests.clear()
    player.sleeps.clear()
    replies = {"lost": LOST, "429": refusal(429, retry_after="40")}
    todo = wait(timeout, poll_interval, first_interval=first_interval)
    with pytest.raises((RunTimeout, RunsTransportError)):
        player.run(
            wait_for(make_backend(max_retries=0), todo, SILENT),
            *[replies.get(word) or run_is(word) for word in pattern],
        )
    import time

    assert sum(player.sleeps) <= timeout + 1e-3
    assert time.time() <= todo.deadline + 1e-3
    longest = max(poll_interval, 40 if "429" in pattern else 0)
    assert all(pause <= longest for pause in player.sleeps)
    assert len(player.requests) == len(player.sleeps) + 1  # it looks once more when time is up


def test_the_pauses_grow_to_the_interval_and_are_short_again_when_cancelling(
    player, backend, run_is
):
    replies = [run_is("in_progress")] * 12 + [run_is("cancelling"), run_is("cancelled")]
    player.run(wait_for(backend, wait(poll_interval=10), LOG), *replies)
    assert 0.8 <= player.sleeps[0] <= 1
    assert 8 <= player.sleeps[10] <= 10
    assert 0.8 <= player.sleeps[-1] <= 1


def test_pauses_that_begin_at_the_interval_have_one_length(player, backend, run_is):
    replies = [run_is("in_progress")] * 5 + [run_is("completed")]
    todo = wait(poll_interval=4, first_interval=4)
    player.run(wait_for(backend, todo, LOG), *replies)
    assert player.sleeps == [4] * 5


def test_retry_after_makes_the_next_pause_longer(player, make_backend, run_is, refusal):
    replies = (refusal(429, retry_after="33"), run_is("completed"))
    player.run(wait_for(make_backend(max_retries=0), wait(), LOG), *replies)
    assert player.sleeps == [33]


def test_a_run_that_ends_between_the_last_pause_and_the_deadline_is_seen(player, backend, run_is):
    assert player.run(
        wait_for(backend, wait(0.5), LOG), run_is("queued"), run_is("completed")
    ).is_final
    assert player.sleeps == [0.5]


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (
            "cancelling",
            "while the run was 'cancelling'. A cancel was accepted but has not taken effect",
        ),
        ("in_progress", "while the run was 'in_progress'. It may keep running and cost money"),
        ("moderating", "'moderating', which this provider does not know"),
    ],
)
def test_a_timeout_says_what_the_run_was_last_and_how_long_was_waited(
    player, backend, run_is, state, words
):
    with pytest.raises(RunTimeout, match="after 30 s") as caught:
        player.run(wait_for(backend, wait(30), LOG), run_is(state))
    assert words in caught.value.message
    assert "(run 'run_1' on thread 'thread_1', connection 'runs_default')" in caught.value.message
    assert caught.value.run["status"] == caught.value.run["raw_status"] == state
    assert (caught.value.run_id, caught.value.conn_id) == ("run_1", "runs_default")


def test_a_timeout_counts_from_when_the_task_began_not_the_triggerer(player, backend, run_is):
    late = Wait(RunRef("run_1"), NOW - 3000, NOW + 10, 5.0)
    with pytest.raises(RunTimeout, match="after 3010 s"):
        player.run(
            wait_for(backend, Wait(RunRef("run_1", "thread_1"), *late_times(late)), LOG),
            run_is("queued"),
        )


def late_times(late):
    return late.started_at, late.deadline, late.poll_interval


def test_a_passing_outage_is_outlived_and_said_once(player, make_backend, run_is, caplog):
    backend = make_backend(max_retries=0)
    replies = (run_is("queued"), *[LOST] * 20, run_is("completed"))
    with caplog.at_level(logging.INFO, "runs.test"):
        assert player.run(wait_for(backend, wait(), LOG), *replies).is_final
    assert [record.levelname for record in caplog.records] == ["INFO", "WARNING", "INFO"]


def test_an_outage_past_its_limit_ends_the_wait_and_keeps_the_last_sight(
    player, make_backend, run_is
):
    backend = make_backend(max_retries=0)
    with pytest.raises(RunsTransportError) as caught:
        player.run(wait_for(backend, wait(86_400, 60), LOG), run_is("in_progress"), LOST)
    assert caught.value.run["status"] == "in_progress"
    assert OUTAGE_TOLERANCE < sum(player.sleeps) < OUTAGE_TOLERANCE + 120


def test_a_run_never_seen_times_out_with_the_last_failure(player, make_backend):
    with pytest.raises(RunTimeout, match=r"never seen.*The last look failed.*refused") as caught:
        player.run(wait_for(make_backend(max_retries=0), wait(60), LOG), LOST)
    assert caught.value.run is None


def test_a_line_is_logged_for_each_change_and_not_for_each_look(player, backend, run_is, caplog):
    states = ["queued"] * 3 + ["in_progress"] * 9 + ["odd"] * 2 + ["cancelling"] * 4 + ["cancelled"]
    with caplog.at_level(logging.INFO, "runs.test"):
        player.run(wait_for(backend, wait(), LOG), *map(run_is, states))
    told = [record.getMessage() for record in caplog.records if record.levelname == "INFO"]
    assert len(told) == 5
    assert "is in_progress (was queued)" in told[1]
    warned = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert len(warned) == 1
    assert "does not know the status 'odd'" in warned[0]


# -- cancelling and waiting ------------------------------------------------------------------------


def test_the_cancel_is_asked_for_once_when_it_is_accepted(player, backend, run_is):
    todo = wait(cancel=True)
    replies = (run_is("in_progress"), run_is("cancelling"), run_is("cancelled"))
    assert player.run(wait_for(backend, todo, LOG), *replies).status == "cancelled"
    assert player.sent == ["POST", "GET", "GET"]


def test_a_run_may_end_otherwise_after_an_accepted_cancel(player, backend, run_is):
    replies = (run_is("cancelling"), run_is("completed"))
    assert player.run(wait_for(backend, wait(cancel=True), LOG), *replies).status == "completed"


def test_a_refused_cancel_is_asked_for_again_until_it_is_accepted(player, backend, run_is, refusal):
    def replies():
        asked = player.sent.count("POST")
        if player.sent[-1] == "POST":
            return refusal(409) if asked < 3 else run_is("cancelling")
        return run_is("queued" if asked < 3 else "cancelled")

    run = player.run(wait_for(backend, wait(cancel=True), LOG), replies)
    assert run.status == "cancelled"
    assert player.sent.count("POST") == 3


def test_a_cancel_refused_until_the_deadline_is_reported_with_the_servers_words(
    player, backend, run_is, refusal
):
    def answers():
        return (
            refusal(409, "Locked by an upload.")
            if player.sent[-1] == "POST"
            else run_is("in_progress")
        )

    with pytest.raises(CancelRefused, match="Locked by an upload") as caught:
        player.run(wait_for(backend, wait(30, cancel=True), LOG), answers)
    assert caught.value.run["status"] == "in_progress"
    assert sum(player.sleeps) == pytest.approx(30)


def test_a_cancel_goes_on_when_the_server_is_back(player, make_backend, run_is):
    backend = make_backend(max_retries=0)
    replies = (LOST, LOST, run_is("cancelling"), run_is("cancelled"))
    assert player.run(wait_for(backend, wait(cancel=True), LOG), *replies).status == "cancelled"
    assert player.sent == ["POST", "GET", "POST", "GET"]


# -- one look --------------------------------------------------------------------------------------


def test_one_look_returns_what_it_saw_or_nothing(player, make_backend, run_is, refusal):
    backend = make_backend(max_retries=0)
    run, rest = player.run(look_once(backend, wait(), LOG), run_is("queued"))
    assert run.status == "queued"
    assert rest == wait(seen="queued")
    assert player.run(look_once(backend, wait(), LOG), LOST) == (None, wait())
    todo = wait(cancel=True)
    run, rest = player.run(look_once(backend, todo, LOG), refusal(400), run_is("queued"))
    assert (run.status, rest.asked_at, rest.asks) == ("queued", None, 1)
    run, rest = player.run(look_once(backend, todo, LOG), run_is("cancelling"))
    assert (run.status, rest.asked_at, rest.seen) == ("cancelling", NOW, "cancelling")
    assert player.sleeps == []


def test_one_look_after_the_deadline_is_a_timeout_unless_the_run_is_final(player, backend, run_is):
    run, _ = player.run(look_once(backend, wait(0), LOG), run_is("failed"))
    assert run.is_final
    with pytest.raises(RunTimeout):
        player.run(look_once(backend, wait(0), LOG), run_is("queued"))


@pytest.mark.parametrize("interval", [0, -1, float("nan")])
def test_an_interval_must_be_more_than_nothing(interval):
    with pytest.raises(RunsConfigError, match="poll_interval"):
        wait(poll_interval=interval)


def test_a_wait_is_plain_json_and_back():
    todo = wait(cancel=True, first_interval=3.0)
    assert Wait.from_json(todo.to_json()) == todo


def test_what_ends_the_wait_is_not_said_to_be_outlived(player, backend, refusal, caplog):
    with caplog.at_level(logging.INFO, "runs.test"), pytest.raises(RunsAuthError):
        player.run(wait_for(backend, wait(), LOG), refusal(401))
    assert caplog.records == []


def test_a_server_that_wants_no_retry_of_a_call_does_not_end_the_wait(
    player, backend, run_is, refusal
):
    replies = (refusal(503, x_should_retry="false"), run_is("completed"))
    assert player.run(wait_for(backend, wait(), LOG), *replies).is_final


def test_one_look_does_not_hold_a_worker_for_a_busy_server(player, backend, refusal):
    run, rest = player.run(look_once(backend, wait(), LOG), refusal(429, retry_after="4"))
    assert (run, rest) == (None, wait())
    assert sum(player.sleeps) <= 10


def test_rare_looks_need_more_than_two_failures_to_be_an_outage(player, make_backend, run_is):
    backend = make_backend(max_retries=0)
    replies = (run_is("queued"), LOST, LOST, run_is("completed"))
    todo = wait(86_400, poll_interval=1800, first_interval=1800)
    assert player.run(wait_for(backend, todo, LOG), *replies).is_final


def test_a_refusal_tells_the_status_though_it_is_the_last_word(
    player, make_backend, run_is, refusal
):
    replies = (refusal(409), run_is("in_progress"), LOST)
    with pytest.raises(RunTimeout, match="while the run was 'in_progress'"):
        player.run(wait_for(make_backend(max_retries=0), wait(30, cancel=True), LOG), *replies)


def test_a_status_that_was_logged_before_is_not_logged_again(player, backend, run_is, caplog):
    with caplog.at_level(logging.INFO, "runs.test"):
        replies = (run_is("cancelling"), run_is("cancelled"))
        player.run(wait_for(backend, wait(seen="cancelling"), LOG), *replies)
    (record,) = caplog.records
    assert "is cancelled (was cancelling)" in record.getMessage()


def test_a_wait_without_news_says_now_and_then_that_it_is_there(player, backend, run_is, caplog):
    replies = [run_is("in_progress")] * 400 + [run_is("completed")]
    with caplog.at_level(logging.INFO, "runs.test"):
        player.run(wait_for(backend, wait(3600), LOG), *replies)
    said = [record.getMessage() for record in caplog.records][1:-1]
    assert len(said) == 3  # each ten minutes of the half an hour that it takes
    for number, words in enumerate(said, 1):
        assert "was last seen in_progress; the wait is" in words
        assert 600 * number <= float(words.split(" the wait is ")[1].split()[0]) < 600 * number + 15
