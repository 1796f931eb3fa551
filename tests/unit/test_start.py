"""The flow of a start, with scripted answers and a clock that stands still."""

from __future__ import annotations

import json
import logging
from dataclasses import replace

import httpx
import pytest

from airflow_provider_runs.backends import LangGraphBackend, ResponsesBackend
from airflow_provider_runs.backends.starts import Start
from airflow_provider_runs.errors import (
    RunNotFound,
    RunsAPIError,
    RunsAuthError,
    RunsConfigError,
    RunsError,
    RunsRateLimited,
    RunsResponseError,
    RunsServiceGone,
    RunsTransportError,
    StartLost,
)
from airflow_provider_runs.flows.start import (
    SEARCH_GRACE,
    PlaceTakenError,
    find_started,
    may_have_started,
    send,
    start_run,
)
from tests.unit.backends import backend_of
from tests.unit.conftest import NOW

log = logging.getLogger(__name__)
MARKS = {"airflow_key": "k", "airflow_start": "1", "airflow_try": "3"}
ASSISTANT, AGENT = {"assistant_id": "asst_1"}, {"assistant_id": "agent", "input": {}}
OWN = {"thread_id": "thread_1", "status": "queued", "metadata": MARKS}
RUN = "0190d5b2-0000-7000-8000-000000000001"


@pytest.fixture
def start(backend):
    """A start on a thread of the user's."""
    return backend.prepared(Start(ASSISTANT, "thread_1", "k"))


@pytest.fixture
def graph():
    return backend_of(LangGraphBackend)


@pytest.fixture
def own(graph):
    """A start on a LangGraph thread of its own, which may be sent again."""
    return graph.prepared(Start(AGENT, key="k"))


@pytest.fixture
def runs(answer):
    """Return a function that makes the list of a thread's runs."""

    def runs(*records):
        return answer(200, {"object": "list", "data": list(records), "has_more": False})

    return runs


def lost():
    return httpx.ReadError("gone")


def test_a_start_is_one_request(player, backend, start, run_is):
    run = player.run(send(backend, start, log), run_is("queued"))
    (request,) = player.requests
    assert (run.id, request.method) == ("run_1", "POST")
    assert request.url.path == "/v1/threads/thread_1/runs"


@pytest.mark.parametrize("said", [{}, {"thread_id": None}, {"thread_id": "another"}])
def test_a_run_is_on_the_thread_that_it_was_started_on(player, backend, start, answer, said):
    told = answer(200, {"id": "run_1", "status": "queued", **said})
    assert player.run(send(backend, start, log), told).thread_id == "thread_1"


@pytest.mark.parametrize(
    "failure",
    [lost, lambda: httpx.ReadTimeout("slow"), lambda: httpx.RemoteProtocolError("cut")],
)
def test_after_a_lost_answer_the_run_is_searched_and_found(player, backend, start, runs, failure):
    found = {"id": "run_7", **OWN}
    other = {"id": "run_8", "status": "queued", "metadata": {"airflow_key": "another"}}
    run = player.run(send(backend, start, log), failure(), runs(other, found))
    assert run.id == "run_7"
    assert player.sent == ["POST", "GET"]


@pytest.mark.parametrize("status", [500, 502, 503, 504, 529, 408])
def test_after_an_error_of_the_server_too(player, backend, start, runs, refusal, status):
    run = player.run(send(backend, start, log), refusal(status), runs({"id": "run_7", **OWN}))
    assert run.id == "run_7"


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b"[]", b"{}", b'{"id": "run_1"}', b'{"id": "a/b", "status": "queued"}'],
)
def test_and_after_an_answer_that_is_no_run(player, backend, start, runs, answer, body):
    run = player.run(send(backend, start, log), answer(200, body), runs({"id": "run_7", **OWN}))
    assert run.id == "run_7"


def test_a_run_that_is_shown_late_is_found(player, backend, start, runs):
    empty = runs()
    run = player.run(send(backend, start, log), lost(), *[empty] * 4, runs({"id": "run_7", **OWN}))
    assert run.id == "run_7"
    assert player.sent == ["POST", *["GET"] * 5]


def test_a_run_that_is_not_found_is_lost_where_a_second_could_begin(player, backend, start, runs):
    with pytest.raises(StartLost) as caught:
        player.run(send(backend, start, log), lost(), runs())
    assert sum(player.sleeps) >= SEARCH_GRACE
    assert player.sent.count("POST") == 1
    words = caught.value.message
    assert words.startswith("It is not known whether a run was started: The connection was lost")
    assert "'airflow_key' 'k' in its metadata" in words
    assert words.endswith("(start a run on thread 'thread_1', connection 'runs_default')")


def test_where_none_can_begin_it_is_started_again(player, graph, own, answer):
    record = {"run_id": RUN, "thread_id": own.thread_id, "status": "pending", "metadata": MARKS}

    def reply():
        if player.sent[-1] == "GET":
            return answer(200, [])
        return lost() if player.sent.count("POST") == 1 else answer(200, record)

    assert player.run(send(graph, own, log), reply).id == RUN
    assert sum(player.sleeps) >= SEARCH_GRACE
    assert player.sent[0] == player.sent[-1] == "POST"
    assert player.sent.count("POST") == 2


def test_it_is_not_started_again_for_ever(player, answer):
    graph = backend_of(LangGraphBackend, max_retries=1)
    own = graph.prepared(Start(AGENT, key="k"))

    def reply():
        return lost() if player.sent[-1] == "POST" else answer(200, [])

    with pytest.raises(StartLost):
        player.run(send(graph, own, log, deadline=NOW + 3600), reply)
    assert player.sent.count("POST") == 2


def test_a_search_that_fails_starts_nothing(player, backend, start, refusal):
    with pytest.raises(StartLost, match="The search for it failed") as caught:
        player.run(send(backend, start, log), lost(), refusal(500))
    assert player.sent.count("POST") == 1
    assert caught.value.__cause__ is None


def test_a_run_that_cannot_be_searched_is_lost_at_once(player):
    responses = backend_of(ResponsesBackend)
    start = responses.prepared(Start({"model": "m", "input": "x"}, key="k"))
    with pytest.raises(StartLost):
        player.run(send(responses, start, log), lost())
    assert player.sent == ["POST"]


def test_nothing_that_was_not_sent_is_searched_for(player, backend, start, run_is):
    refused = httpx.ConnectError("refused")
    run = player.run(send(backend, start, log), refused, httpx.ProxyError("no"), run_is("queued"))
    assert run.id == "run_1"
    assert player.sent == ["POST"] * 3


def test_a_host_that_stays_away_is_an_error_of_ours(player, backend, start):
    with pytest.raises(RunsTransportError, match="The host cannot be reached"):
        player.run(send(backend, start, log), httpx.ConnectError("refused"))
    assert player.sent == ["POST"] * 4


def test_a_rate_limit_is_waited_for(player, backend, start, refusal, run_is):
    run = player.run(send(backend, start, log), refusal(429, retry_after="7"), run_is("queued"))
    assert run.id == "run_1"
    assert player.sleeps == [7]


def test_no_quota_is_not_waited_for(player, backend, start, refusal):
    with pytest.raises(RunsRateLimited):
        player.run(send(backend, start, log), refusal(429, code="insufficient_quota"))
    assert player.sent == ["POST"]


def test_that_the_server_would_take_it_again_does_not_mean_that_it_has_started_nothing(
    player, backend, start, refusal, runs
):
    again = refusal(503, x_should_retry="true")
    run = player.run(send(backend, start, log), again, runs({"id": "run_7", **OWN}))
    assert run.id == "run_7"
    assert player.sent == ["POST", "GET"]


@pytest.mark.parametrize(
    ("first", "kind"),
    [
        ((401,), RunsAuthError),
        ((403,), RunsAuthError),
        ((404, "No thread found with id 'thread_1'."), RunNotFound),
        ((404, "no Route matched with those values"), RunsAPIError),
    ],
)
def test_a_refusal_that_may_pass_is_asked_again(
    player, backend, start, refusal, run_is, first, kind
):
    assert player.run(send(backend, start, log), refusal(*first), run_is("queued")).id == "run_1"
    player.requests.clear()
    with pytest.raises(RunsAPIError) as caught:
        player.run(send(backend, start, log), refusal(*first))
    assert type(caught.value) is kind
    assert player.sent == ["POST"] * 3


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (400, "Thread thread_1 already has an active run run_0."),
        (422, "assistant_id is missing"),
        (404, "The model 'gpt-9' does not exist or you do not have access to it."),
        (413, None),
    ],
)
def test_any_other_refusal_has_started_nothing(
    player, backend, start, refusal, runs, status, message
):
    with pytest.raises(RunsAPIError) as caught:
        player.run(send(backend, start, log), refusal(status, message), runs())
    assert player.sent == (["POST", "GET"] if status == 400 else ["POST"])
    assert not may_have_started(caught.value)
    assert (message or "No").rstrip(".") in caught.value.message


def test_a_thread_may_be_taken_by_this_very_start(player, backend, start, refusal, runs):
    taken = refusal(400, "Thread thread_1 already has an active run run_7.")
    run = player.run(send(backend, start, log), taken, runs({"id": "run_7", **OWN}))
    assert run.id == "run_7"


def test_a_busy_thread_may_be_busy_with_this_very_start(player, graph, own, answer):
    busy = answer(409, {"detail": "Thread is already running a task."})
    record = {"run_id": RUN, "thread_id": own.thread_id, "status": "running", "metadata": MARKS}
    assert player.run(send(graph, own, log), busy, answer(200, [record])).id == RUN


def test_or_with_a_run_of_another_body(player, graph, own, answer):
    marked = graph.prepared(replace(own, marks={"airflow_fingerprint": "mine"}))
    busy = answer(409, {"detail": "Thread is already running a task."})
    marks = {**MARKS, "airflow_fingerprint": "another"}
    record = {"run_id": RUN, "status": "running", "metadata": marks}
    with pytest.raises(PlaceTakenError, match="already running") as caught:
        player.run(send(graph, marked, log), busy, answer(200, [record]))
    assert caught.value.found.run.id == RUN


def test_what_a_server_makes_of_the_marks_is_no_other_run(player, backend, start, run_is):
    marked = backend.prepared(replace(start, marks={"airflow_fingerprint": "mine"}))
    told = run_is("queued", metadata={"airflow_fingerprint": "MI***"})
    assert player.run(send(backend, marked, log), told).id == "run_1"
    assert player.sent == ["POST"]


def test_or_with_another_run(player, graph, own, answer):
    busy = answer(409, {"detail": "Thread is already running a task."})
    other = {"run_id": RUN, "status": "running", "metadata": {}}
    with pytest.raises(RunsAPIError, match="already running"):
        player.run(send(graph, own, log), busy, answer(200, [other]))
    assert player.sent.count("POST") == 1


def test_after_a_lost_answer_a_place_that_is_taken_is_in_doubt(player, graph, own, answer):
    """A retry must search, too: the run is there, and the list does not show it yet."""

    def reply():
        if player.sent[-1] == "GET":
            return answer(200, [])
        return lost() if player.sent.count("POST") == 1 else answer(409, {"detail": "Busy."})

    with pytest.raises(StartLost, match="409"):
        player.run(send(graph, own, log), reply)
    assert player.sent.count("POST") == 2


# -- searching -------------------------------------------------------------------------------------


def test_what_is_not_found_twice_long_after_is_not_there(player, backend, start, runs):
    assert player.run(find_started(backend, start, since=NOW - 600), runs()) is None
    assert player.sent == ["GET", "GET"]


def test_a_thread_that_does_not_exist_has_no_runs(player, backend, start, refusal):
    gone = refusal(404, "No thread found with id 'thread_1'.")
    assert player.run(find_started(backend, start, since=0), gone) is None


@pytest.mark.parametrize("status", [401, 500, 404])
def test_a_search_that_fails_is_an_error(player, backend, start, refusal, status):
    router = "no Route matched with those values"
    with pytest.raises(RunsError) as caught:
        player.run(find_started(backend, start, since=0), refusal(status, router))
    assert caught.value.status_code == status


def test_a_run_with_the_marks_that_cannot_be_read_is_not_overlooked(player, backend, start, runs):
    odd = {"id": "run_7", "metadata": MARKS}
    with pytest.raises(RunsResponseError):
        player.run(find_started(backend, start, since=0), runs(odd))


def test_it_is_searched_on_all_pages(player, backend, start, answer, runs):
    first = answer(
        200, {"data": [{"id": f"run_{n}", "status": "x"} for n in range(3)], "has_more": True}
    )
    found = player.run(find_started(backend, start, since=0), first, runs({"id": "run_7", **OWN}))
    assert (found.run.id, found.number, found.attempt) == ("run_7", 1, 3)
    assert player.requests[1].url.params["after"] == "run_2"


def test_the_newest_of_the_keys_runs_is_found(player, backend, start, runs):
    second = {**OWN, "metadata": {**MARKS, "airflow_start": "2", "airflow_fingerprint": "f"}}
    listed = runs({"id": "run_9", **second}, {"id": "run_7", **OWN})
    found = player.run(find_started(backend, replace(start, number=None), since=0), listed)
    assert (found.run.id, found.number, found.fingerprint) == ("run_9", 2, "f")


def test_each_number_of_a_key_has_its_own_thread_to_search(player, graph, own, answer):
    record = {"run_id": RUN, "status": "error", "metadata": MARKS}
    threads = {}

    def reply():
        thread = player.requests[-1].url.path.split("/")[2]
        number = threads.setdefault(thread, len(threads) + 1)
        marks = {**MARKS, "airflow_start": str(number)}
        return answer(200, [{**record, "metadata": marks}] if number <= 2 else [])

    found = player.run(find_started(graph, replace(own, number=None), since=0), reply)
    assert found.number == 2
    assert found.run.thread_id == list(threads)[1]
    assert len(threads) == 3


@pytest.mark.parametrize("mark", ["", "x", "-1", None])
def test_marks_that_somebody_has_changed_are_no_error(player, backend, start, runs, mark):
    marks = {"airflow_key": "k", "airflow_start": mark, "airflow_try": mark}
    listed = runs({"id": "run_7", "status": "queued", "metadata": marks})
    found = player.run(find_started(backend, replace(start, number=None), since=0), listed)
    assert (found.run.id, found.number, found.attempt) == ("run_7", 1, None)


# -- with a key ------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", ["queued", "in_progress", "requires_action", "completed"])
def test_a_run_of_the_same_key_is_returned(player, backend, runs, status):
    there = {"id": "run_7", **OWN, "status": status}
    flow = start_run(backend, Start(ASSISTANT, "thread_1", "k"), log, search=True)
    assert player.run(flow, runs(there)).id == "run_7"
    assert player.sent == ["GET"]


@pytest.mark.parametrize("status", ["failed", "cancelled", "expired", "incomplete"])
def test_one_that_has_failed_is_followed_by_another(player, backend, runs, run_is, status):
    there = {"id": "run_7", **OWN, "status": status}
    flow = start_run(backend, Start(ASSISTANT, "thread_1", "k"), log, search=True)
    assert player.run(flow, runs(there), run_is("queued")).id == "run_1"
    assert json.loads(player.requests[-1].content)["metadata"]["airflow_start"] == "2"


ASKED = {"run_id": RUN, "thread_id": RUN, "metadata": MARKS, "updated_at": None}
ASKS = {"status": "interrupted", "interrupts": {"task": [{"value": "May I?"}]}}


@pytest.fixture
def again(player, graph, answer):
    """Return a function that starts on a thread where the key has a run that shows a status."""

    def again(status, *replies):
        flow = start_run(graph, Start(AGENT, RUN, "k"), log, search=True)
        return player.run(flow, answer(200, [{**ASKED, "status": status}]), *replies)

    return again


@pytest.mark.parametrize("word", ["interrupted", "success"])
def test_one_that_waits_for_a_person_is_active(player, again, answer, word):
    # Servers differ in the status of such a run; that it waits, only its thread tells.
    run = again(word, answer(200, ASKS), answer(200, [ASKED]))
    assert (run.id, run.status) == (RUN, "requires_action")
    assert player.sent == ["GET"] * 3


def test_if_that_cannot_be_told_nothing_is_started(player, again, refusal):
    with pytest.raises(RunsAPIError):
        again("interrupted", *[refusal(400)] * 3)
    assert "POST" not in player.sent


def test_a_run_that_has_failed_waits_for_nobody(player, again, answer):
    assert again("error", answer(200, {**ASKED, "status": "pending"})).status == "queued"
    assert player.sent == ["GET", "POST"]


def test_without_a_key_nothing_is_searched(player, backend, run_is):
    flow = start_run(backend, Start(ASSISTANT, "thread_1", "k"), log, search=False)
    assert player.run(flow, run_is("queued")).id == "run_1"
    assert player.sent == ["POST"]


def test_a_thread_is_made_first_where_there_is_none(player, backend, answer, run_is):
    flow = start_run(backend, Start(ASSISTANT, None, "k"), log, search=True)
    thread = answer(200, {"id": "thread_5", "object": "thread"})
    player.run(flow, thread, run_is("queued"))
    assert [request.url.path for request in player.requests] == [
        "/v1/threads",
        "/v1/threads/thread_5/runs",
    ]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"{}", "not a thread"),
        (b"[]", "not a thread"),
        (b'{"id": []}', "not a thread"),
        (b'{"id": ""}', "not a thread"),
        (b'{"id": "../runs"}', "its id"),
    ],
)
def test_what_is_no_thread_starts_nothing(player, make_backend, answer, body, words):
    flow = start_run(make_backend(max_retries=0), Start(ASSISTANT), log, search=False)
    with pytest.raises(RunsResponseError, match=words):
        player.run(flow, answer(200, body))
    assert len(player.requests) == 1


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (RunsTransportError("x"), True),
        (RunsResponseError("x"), True),
        (StartLost("x"), True),
        (RunsAPIError("x", status_code=502), True),
        (RunsAPIError("x", status_code=408), True),
        (RunsAPIError("x", status_code=503, should_retry=True), True),
        (RunsAPIError("x", status_code=400), False),
        (RunsAuthError("x", status_code=401), False),
        (RunNotFound("x", status_code=404), False),
        (RunsServiceGone("x", status_code=404), False),
        (RunsRateLimited("x", status_code=429), False),
        (RunsConfigError("x"), False),
    ],
)
def test_what_may_have_started_a_run(error, expected):
    assert may_have_started(error) is expected
