"""What the flows do for the dialects beyond Assistants: rollback, landmarks, expired records."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from types import SimpleNamespace

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_runs.backends import (
    BACKENDS,
    AssistantsBackend,
    LangGraphBackend,
    ResponsesBackend,
)
from airflow_provider_runs.backends.wire import Answer
from airflow_provider_runs.connections.settings import Settings
from airflow_provider_runs.errors import (
    CancelRefused,
    RunNotFound,
    RunsAPIError,
    RunsConfigError,
    RunsResponseError,
    RunTimeout,
)
from airflow_provider_runs.flows.calls import get_run
from airflow_provider_runs.flows.cancel import cancel_run
from airflow_provider_runs.flows.follow import look_once, wait_for
from airflow_provider_runs.flows.lists import busy_threads, glimpse_runs, list_runs
from airflow_provider_runs.flows.wait import Wait
from airflow_provider_runs.models import RunRef
from tests.unit.backends import backend_of

NOW = 1_800_000_000.0
LOG = logging.getLogger("runs.test")
RUN, THREAD = "0190d5b2-0000-7000-8000-000000000001", "0190d5b2-0000-7000-8000-00000000000a"
REF = RunRef(RUN, THREAD)


def make(kind, **extra):
    extra = {"max_retries": 0, **extra}
    conn = SimpleNamespace(
        conn_id="c", host="https://server.test", port=None, schema=None, password="sk-secret"
    )
    return kind(Settings.from_connection(conn, extra, kind.form))


def wait(timeout=600.0, **changes):
    return Wait(RunRef(RUN, THREAD), NOW, NOW + timeout, 5.0, **changes)


@pytest.fixture
def langgraph():
    return make(LangGraphBackend)


@pytest.fixture
def is_now(answer):
    """Return a function that makes the answer for a LangGraph run in some status."""
    return lambda word: answer(200, {"run_id": RUN, "thread_id": THREAD, "status": word})


@pytest.fixture
def gone(answer):
    return answer(404, {"detail": f"Run with ID {RUN} not found"})


# -- cancel: whatever the answer, the run is fetched


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (202, b""),
        (204, b""),
        (200, {}),
        (200, {"run_id": RUN, "thread_id": THREAD, "status": "success"}),
        (200, b"<html>accepted</html>"),
        (200, {"run_id": THREAD, "status": "success"}),
        (500, b""),
        (501, {"error": "not implemented"}),
        (404, {"detail": "Run not found or not running"}),
        (404, b"no such run"),
        (409, {"error": "conflict", "message": "already"}),
    ],
)
def test_the_status_of_the_run_decides_and_not_the_answer(
    player, langgraph, answer, is_now, status, body
):
    run = player.run(cancel_run(langgraph, REF), answer(status, body), is_now("interrupted"))
    assert (run.status, run.raw_status) == ("cancelled", "interrupted")
    assert player.sent == ["POST", "GET"]
    assert dict(player.requests[0].url.params) == {"wait": "0", "action": "interrupt"}


def test_a_refusal_of_an_active_run_is_one(player, langgraph, gone, is_now):
    with pytest.raises(CancelRefused, match="still 'queued'"):
        player.run(cancel_run(langgraph, REF), gone, is_now("pending"))


def test_a_run_that_neither_call_knows_is_missing(player, langgraph, gone):
    with pytest.raises(RunNotFound):
        player.run(cancel_run(langgraph, REF), gone, gone)


def test_an_api_without_actions_refuses_one(player, backend):
    with pytest.raises(RunsConfigError, match=r"cancel_action 'rollback'.*Nothing was sent"):
        player.run(cancel_run(backend, REF, action="rollback"))
    assert player.requests == []


# -- rollback: absence is the end


def test_after_a_rollback_the_missing_run_is_cancelled(player, answer, is_now, gone):
    backend = make(LangGraphBackend, cancel_action="rollback")
    run = player.run(cancel_run(backend, REF), is_now("running"), answer(202), gone)
    assert (run.status, run.raw_status, run.id) == ("cancelled", "rolled back", RUN)
    assert player.sent[:3] == ["GET", "POST", "GET"]
    assert player.sent.count("POST") == 1
    assert player.requests[1].url.params["action"] == "rollback"


def test_a_rollback_that_another_caller_was_faster_with_is_one_too(player, langgraph, is_now, gone):
    run = player.run(cancel_run(langgraph, REF, action="rollback"), is_now("running"), gone, gone)
    assert run.status == "cancelled"


def test_a_run_that_has_ended_is_not_deleted(player, langgraph, is_now):
    run = player.run(cancel_run(langgraph, REF, action="rollback"), is_now("success"))
    assert run.status == "completed"
    assert player.sent == ["GET"]


def test_a_run_that_was_never_there_is_missing_and_not_rolled_back(player, langgraph, gone):
    with pytest.raises(RunNotFound):
        player.run(cancel_run(langgraph, REF, action="rollback"), gone)
    with pytest.raises(RunNotFound):
        player.run(wait_for(langgraph, wait(cancel=True, cancel_action="rollback"), LOG), gone)


def test_a_rollback_is_waited_for_until_the_run_is_gone(player, langgraph, answer, is_now, gone):
    todo = wait(cancel=True, cancel_action="rollback")
    running = is_now("running")
    replies = (running, answer(202), running, running, gone)
    run = player.run(wait_for(langgraph, todo, LOG), *replies)
    assert (run.status, run.raw_status) == ("cancelled", "rolled back")
    assert player.sent[:5] == ["GET", "POST", "GET", "GET", "GET"]
    assert player.sent.count("POST") == 1


def test_a_rollback_is_not_believed_on_one_404(player, langgraph, answer, is_now, gone):
    todo = wait(cancel=True, cancel_action="rollback")
    running = is_now("running")
    replies = (running, answer(202), running, gone, running, is_now("success"))
    assert player.run(wait_for(langgraph, todo, LOG), *replies).status == "completed"


def test_the_rest_of_a_rollback_can_be_waited_for_elsewhere(
    player, langgraph, answer, is_now, gone
):
    todo = wait(cancel=True, cancel_action="rollback")
    running = is_now("running")
    run, rest = player.run(look_once(langgraph, todo, LOG), running, answer(202), running)
    assert (run.status, rest.asked_at, rest.cancel_action) == ("in_progress", NOW, "rollback")
    again = Wait.from_json(rest.to_json())
    assert player.run(wait_for(langgraph, again, LOG), gone).raw_status == "rolled back"


def test_a_rollback_whose_look_failed_is_still_known_to_have_seen_the_run(
    player, langgraph, answer, is_now, gone
):
    todo = wait(cancel=True, cancel_action="rollback")
    lost = httpx.ReadError("lost")
    run, rest = player.run(look_once(langgraph, todo, LOG), is_now("running"), answer(202), lost)
    assert (run, rest.asked_at, rest.seen) == (None, NOW, "in_progress")
    assert player.run(wait_for(langgraph, rest, LOG), gone).raw_status == "rolled back"


def test_a_rollback_whose_answer_was_lost_needs_evidence(player, langgraph, is_now, gone):
    todo = wait(cancel=True, cancel_action="rollback")
    replies = (is_now("running"), httpx.ReadError("lost"), gone)
    assert player.run(wait_for(langgraph, todo, LOG), *replies).raw_status == "rolled back"
    assert sum(player.sleeps) >= 30


def test_a_connection_that_rolls_back_does_not_make_watchers_take_absence_for_an_end(
    player, is_now, gone
):
    backend = make(LangGraphBackend, cancel_action="rollback")
    with pytest.raises(RunNotFound, match="'in_progress' before"):
        player.run(wait_for(backend, wait(), LOG), is_now("running"), gone)


def test_a_run_that_vanishes_after_an_interrupt_is_missing(player, langgraph, answer, is_now, gone):
    todo = wait(cancel=True)
    with pytest.raises(RunNotFound, match="'in_progress' before, so it was deleted"):
        player.run(wait_for(langgraph, todo, LOG), answer(202), is_now("running"), gone)


# -- a missing run or a wrong base URL?


@pytest.mark.parametrize("body", [b"Run not found", b"", {}, {"detail": "Not Found"}])
def test_a_landmark_tells_a_missing_run_where_the_body_does_not(player, langgraph, answer, body):
    with pytest.raises(
        RunNotFound, match="It does serve this API, so it is the run or the thread"
    ) as caught:
        player.run(get_run(langgraph, REF), answer(404, body), answer(200, {"ok": True}))
    assert player.requests[1].url.path == "/ok"
    assert (caught.value.run_id, caught.value.status_code) == (RUN, 404)
    replies = answer(404, body), answer(200, {"ok": True})
    with pytest.raises(RunNotFound):
        player.run(next(iter(list_runs(langgraph, THREAD))), *replies)


@pytest.mark.parametrize("body", [b"<html>hello</html>", None])
def test_without_a_landmark_it_is_a_wrong_base_url(player, langgraph, answer, body):
    landmark = answer(200, body) if body else answer(404, b"not here")
    with pytest.raises(RunsAPIError, match="is the base URL of this API") as caught:
        player.run(get_run(langgraph, REF), answer(404, b"not here"), landmark)
    assert type(caught.value) is RunsAPIError


def test_a_missing_run_needs_no_landmark_where_the_server_says_so(player, langgraph, gone):
    with pytest.raises(RunNotFound):
        player.run(get_run(langgraph, REF), gone)
    assert player.sent == ["GET"]


def test_a_landmark_makes_no_missing_run_of_a_gateways_404(player, backend, answer):
    kong = answer(404, {"message": "no Route matched with those values"})
    with pytest.raises(RunsAPIError) as caught:
        player.run(get_run(backend, RunRef("run_1", "thread_1")), kong, answer(200, {"data": []}))
    assert type(caught.value) is RunsAPIError
    assert player.sent == ["GET"]


def test_a_landmark_tells_whose_vague_words_they_are(player, make_backend, answer, run_is):
    vague = answer(404, {"error": {"message": "This conversation is over."}})
    backend = make_backend(max_retries=0)
    assistants = answer(200, {"object": "list", "data": []})
    ref = RunRef("run_1", "thread_1")
    with pytest.raises(RunNotFound, match="It does serve this API"):
        player.run(get_run(backend, ref), vague, assistants)
    for other in (answer(200, b"<html>"), answer(401), answer(200, {"ok": True}), run_is("queued")):
        with pytest.raises(RunsAPIError) as caught:
            player.run(get_run(backend, ref), vague, other)
        assert type(caught.value) is RunsAPIError


# -- threads


def test_busy_threads_are_listed_page_by_page(player, langgraph, answer):
    pages = [[{"thread_id": f"t{n}"} for n in range(100)], [{"thread_id": "t100"}]]
    names = []
    for flow in busy_threads(langgraph):
        names += player.run(flow, answer(200, pages.pop(0)))
    assert names == [f"t{n}" for n in range(101)]
    assert [r.url.path for r in player.requests] == ["/threads/search"] * 2
    body = json.loads(player.requests[1].read())
    assert body == {"status": "busy", "limit": 100, "offset": 100}


def test_other_apis_cannot_list_threads(player, backend):
    with pytest.raises(RunsConfigError, match="cannot list threads"):
        player.run(next(iter(busy_threads(backend))))


def test_a_run_that_two_pages_hold_is_listed_once(player, langgraph, answer):
    def page(*numbers):
        return answer(200, [{"run_id": f"r{n}", "status": "running"} for n in numbers])

    replies = [page(*range(100)), page(99, 100)]
    runs = []
    for flow in list_runs(langgraph, THREAD):
        runs += player.run(flow, replies.pop(0))
    assert [run.id for run in runs] == [f"r{n}" for n in range(101)]


# -- Responses


RESPONSE = Wait(RunRef("resp_1"), NOW, NOW + 600, 5.0)


@pytest.fixture
def responses():
    return make(ResponsesBackend)


@pytest.fixture
def response_is(answer):
    return lambda status, **fields: answer(200, {"id": "resp_1", "status": status, **fields})


@pytest.fixture
def forgotten(refusal):
    return refusal(404, "Response with id 'resp_1' not found.")


def test_a_response_that_was_alive_and_is_gone_has_expired(
    player, responses, response_is, forgotten
):
    with pytest.raises(RunNotFound, match="'in_progress' before, so its record has expired") as at:
        player.run(wait_for(responses, RESPONSE, LOG), response_is("in_progress"), forgotten)
    assert at.value.run["status"] == "in_progress"


def test_a_response_that_was_never_seen_is_missing(player, responses, forgotten):
    with pytest.raises(RunNotFound) as caught:
        player.run(wait_for(responses, RESPONSE, LOG), forgotten)
    assert "expired" not in caught.value.message


def test_a_cancel_refused_while_it_runs_is_asked_for_until_the_deadline(
    player, responses, response_is, refusal
):
    todo = Wait(RunRef("resp_1"), NOW, NOW + 20, 5.0, cancel=True)

    def replies():
        refused = player.sent[-1] == "POST"
        return refusal(409, "Busy just now.") if refused else response_is("in_progress")

    with pytest.raises(CancelRefused, match=r"requested \d times since .* none was accepted") as at:
        player.run(wait_for(responses, todo, LOG), replies)
    assert "Busy just now" in at.value.message
    assert 4 <= player.sent.count("POST") <= 6
    assert sum(player.sleeps) == pytest.approx(20)


def test_the_first_final_status_counts(player, responses, response_is):
    todo = Wait(RunRef("resp_1"), NOW, NOW + 20, 5.0, cancel=True)
    replies = response_is("cancelled"), response_is("completed")
    assert player.run(wait_for(responses, todo, LOG), *replies).status == "cancelled"
    assert player.sent == ["POST"]


def test_a_deadline_is_a_timeout_here_too(player, responses, response_is):
    with pytest.raises(RunTimeout, match="'in_progress'"):
        player.run(wait_for(responses, RESPONSE, LOG), response_is("in_progress"))


def test_a_gateway_may_give_another_id_for_the_same_response(player, responses, answer):
    def other(status, **fields):
        other.count += 1
        body = {"id": f"resp_other_{other.count}", "object": "response", "status": status}
        return answer(200, {**body, **fields})

    other.count = 0
    replies = (other("in_progress"), other("in_progress"), other("completed", output=[]))
    run = player.run(wait_for(responses, RESPONSE, LOG), *replies)
    assert (run.id, run.status) == ("resp_1", "completed")
    cancelled = player.run(cancel_run(responses, RunRef("resp_1")), other("cancelled"))
    assert (cancelled.id, cancelled.status) == ("resp_1", "cancelled")
    deleted = answer(200, {"id": "resp_9", "object": "response.deleted", "status": "completed"})
    with pytest.raises(RunsResponseError, match="it is another object"):
        player.run(get_run(responses, RunRef("resp_1")), deleted)


# -- odd records -----------------------------------------------------------------------------------

ODD = [None, {}, 5, {"id": "run_2", "status": None}, {"id": "run_3", "status": ["x"]}]


def test_one_odd_record_hides_no_other(player, backend, answer, caplog):
    good = [{"id": "run_1", "status": "in_progress"}, {"id": "run_4", "status": "queued"}]
    body = {"data": [good[0], *ODD, good[1]], "has_more": False}
    (page,) = list_runs(backend, "thread_1")
    with caplog.at_level(logging.WARNING):
        runs = player.run(page, answer(200, body))
    assert [run.id for run in runs] == ["run_1", "run_4"]
    (line,) = caplog.messages
    assert line == (
        "5 of 7 records in the runs of thread 'thread_1' cannot be read, and are skipped. "
        "The first: it is not a run (id None)"
    )
    seen = player.run(next(iter(glimpse_runs(backend, "thread_1", 20))), answer(200, body))
    assert [run.id for run in seen] == ["run_1", "run_4"]


def test_the_next_page_is_asked_for_by_the_last_id_that_is_known(player, backend, answer):
    body = {"data": [{"id": "run_1", "status": "queued"}, *ODD[:3]], "has_more": True}
    pages = list_runs(backend, "thread_1")
    for _ in range(2):
        player.run(next(pages), answer(200, body))
    assert player.requests[1].url.params["after"] == "run_1"


def test_an_odd_record_is_handed_on_with_its_id_and_what_is_wrong_with_it(player, backend, answer):
    long = "run_\ud83d" + "x" * 10_000
    body = {"data": [{"id": long, "status": None}, {"id": 7}, {"status": "queued"}]}
    found = []
    (page,) = list_runs(backend, "thread_1", skipped=found.append)
    assert player.run(page, answer(200, body)) == []
    assert [record.id for record in found] == [f"run_?{'x' * 194}…", "7", None]
    assert "status" in found[0].why


def test_odd_threads_are_skipped_and_handed_on(player, langgraph, answer, caplog):
    found = []
    (page,) = busy_threads(langgraph, skipped=found.append)
    body = [{"thread_id": "t"}, None, {"status": "busy"}, {"thread_id": 5}]
    assert player.run(page, answer(200, body)) == ["t", "5"]
    assert [record.why for record in found] == ["it is not a thread, as it has no 'thread_id'"] * 2
    assert "2 of 4 records in the list of busy threads cannot be read" in caplog.text


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda parts: st.lists(parts, max_size=3) | st.dictionaries(st.text(), parts, max_size=3),
    max_leaves=8,
)
RECORDS = (
    st.dictionaries(
        st.sampled_from(
            ["id", "run_id", "status", "created_at", "updated_at", "usage", "metadata"]
        ),
        JSON,
    )
    | JSON
)


@pytest.mark.parametrize("kind", [each for each in BACKENDS if each is not ResponsesBackend])
@given(records=st.lists(RECORDS, max_size=8), place=st.integers(0, 8))
def test_no_record_whatever_it_is_hides_a_good_one(kind, records, place):
    backend = backend_of(kind)
    records[place:place] = [{backend.id_field: "the good one", "status": "queued"}]
    body = records if kind is LangGraphBackend else {"data": records, "has_more": False}
    content = json.dumps(body).encode()
    for flow in (next(list_runs(backend, "t")), next(glimpse_runs(backend, "t", 100))):
        next(flow)
        with pytest.raises(StopIteration) as end:
            flow.send(Answer(200, httpx.Headers(), content))
        assert "the good one" in {run.id for run in end.value.value}


def test_a_page_of_far_more_runs_than_were_asked_for_is_not_read(player, backend, answer):
    body = {"data": [{"id": f"run_{number}", "status": "queued"} for number in range(1001)]}
    (page,) = list_runs(backend, "thread_1")
    with pytest.raises(RunsResponseError, match="more than 1000 items"):
        player.run(page, answer(200, body))


class Unsendable(AssistantsBackend):
    """A backend whose call holds what no body can."""

    def get(self, ref):
        return replace(super().get(ref), json={"when": object()})


def test_a_request_that_cannot_be_built_is_a_wrong_argument(player, backend):
    with pytest.raises(RunsConfigError, match=r"cannot be built.*Nothing was sent") as caught:
        player.run(get_run(Unsendable(backend.settings), RunRef("run_1", "thread_1")))
    assert player.requests == []
    assert caught.value.run_id == "run_1"
