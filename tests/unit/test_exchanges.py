"""What a new backend may do: judge the whole answer, make several calls, forbid to repeat one."""

from dataclasses import replace

import httpx
import pytest

from airflow_provider_runs.backends import BACKENDS, AssistantsBackend
from airflow_provider_runs.backends.base import Backend
from airflow_provider_runs.backends.wire import Call, Refusal
from airflow_provider_runs.errors import (
    CancelRefused,
    RunNotFound,
    RunsAPIError,
    RunsRateLimited,
    RunsResponseError,
    RunsTransportError,
)
from airflow_provider_runs.flows.calls import get_run, glimpse_run
from airflow_provider_runs.flows.cancel import cancel_run
from airflow_provider_runs.models import RunRef

REF = RunRef("run_1", "thread_1")


class InTheBody(AssistantsBackend):
    """An API whose errors come inside a 200."""

    def judge(self, call, answer):
        error = answer.body().get("error")
        return (
            Refusal(error["as"], error["message"], names_run=True)
            if error
            else super().judge(call, answer)
        )


class TwoCalls(AssistantsBackend):
    """An API where a look takes two calls, and a cancel looks first."""

    def look_at_run(self, ref):
        session = yield Call("get the session", "GET", "/session", ref)
        if session.body()["status"] == "running":
            return self.glimpse({"id": ref.run_id, "status": "in_progress"})
        end = yield Call("get its events", "GET", "/events", ref)
        return self.glimpse({"id": ref.run_id, "status": end.body()["reason"]})

    def cancel_run(self, ref, action=None):
        active = yield Call("get the session", "GET", "/session", ref)
        if active.body()["turn"] != ref.run_id:
            raise CancelRefused("another one is active", run_id=ref.run_id)
        return (yield from super().cancel_run(ref, action))


class Once(AssistantsBackend):
    """An API with a call that must not be sent again."""

    def get(self, ref):
        return replace(super().get(ref), repeatable=False)


class StartAndFetch(AssistantsBackend):
    """An API where a start must not be sent again, and a look follows it."""

    def fetch_run(self, ref):
        yield Call("start a run", "POST", "/start", ref, repeatable=False)
        return (yield from super().fetch_run(ref))


def of(kind: type[Backend], backend: Backend) -> Backend:
    return kind(backend.settings)


@pytest.mark.parametrize("backend", BACKENDS)
def test_an_incomplete_backend_cannot_be_made(backend, make_backend):
    class Incomplete(Backend):
        form = backend.form

    with pytest.raises(TypeError, match="abstract"):
        Incomplete(make_backend().settings)
    assert not backend.__abstractmethods__


def test_a_backend_finds_an_error_inside_a_200(player, backend, answer, run_is):
    wire = of(InTheBody, backend)
    missing = answer(200, {"error": {"as": 404, "message": "Task not found"}})
    with pytest.raises(RunNotFound, match="Task not found") as caught:
        player.run(get_run(wire, REF), missing)
    assert caught.value.status_code == 404
    busy = answer(200, {"error": {"as": 503, "message": "Busy"}})
    assert player.run(get_run(wire, REF), busy, run_is("queued")).status == "queued"


@pytest.mark.parametrize(
    ("status", "kind"), [(502, RunsAPIError), (404, RunsAPIError), (200, RunsResponseError)]
)
def test_an_answer_that_a_backend_cannot_judge_goes_by_its_status(
    player, make_backend, answer, status, kind
):
    html = answer(status, b"<html>a gateway's page</html>")
    with pytest.raises(kind, match="a gateway's page") as caught:
        player.run(get_run(of(InTheBody, make_backend(max_retries=0)), REF), html)
    assert type(caught.value) is kind
    assert caught.value.status_code == status


def test_an_exchange_may_need_no_call(player, backend, run_is):
    known = backend.read_run(run_is("queued").body())

    class Known(AssistantsBackend):
        def fetch_run(self, ref):
            return known
            yield

    assert player.run(get_run(of(Known, backend), REF)) is known
    assert player.sent == []


def test_a_look_may_take_two_calls(player, backend, answer):
    wire = of(TwoCalls, backend)
    assert player.run(glimpse_run(wire, REF), answer(200, {"status": "running"})).status == (
        "in_progress"
    )
    idle, end = answer(200, {"status": "idle"}), answer(200, {"reason": "completed"})
    assert player.run(glimpse_run(wire, REF), idle, end).status == "completed"
    assert [request.url.path for request in player.requests] == [
        *("/v1/session", "/v1/session", "/v1/events")
    ]


def test_a_look_of_two_calls_begins_anew_when_the_second_one_fails(player, backend, answer):
    idle, end = answer(200, {"status": "idle"}), answer(200, {"reason": "completed"})
    replies = [idle, httpx.ReadError("lost"), idle, end]
    assert player.run(glimpse_run(of(TwoCalls, backend), REF), *replies).status == "completed"
    assert [request.url.path for request in player.requests] == [
        *("/v1/session", "/v1/events", "/v1/session", "/v1/events")
    ]


def test_the_second_answer_may_make_no_sense(player, make_backend, answer):
    wire = of(TwoCalls, make_backend(max_retries=0))
    replies = [answer(200, {"status": "idle"}), answer(200, {"reason": 5})]
    with pytest.raises(RunsResponseError, match="get its events"):
        player.run(glimpse_run(wire, REF), *replies)


def test_a_cancel_may_look_first_and_refuse(player, backend, answer, run_is):
    wire = of(TwoCalls, backend)
    with pytest.raises(CancelRefused, match="another one is active"):
        player.run(cancel_run(wire, REF), answer(200, {"turn": "run_2"}))
    assert player.sent == ["GET"]
    mine = answer(200, {"turn": "run_1"})
    assert player.run(cancel_run(wire, REF), mine, run_is("cancelling")).status == "cancelling"


LOST = httpx.ReadError("lost")


@pytest.mark.parametrize("failure", [LOST, httpx.ReadTimeout("late"), 500, 503, 409, b"[cut"])
def test_a_call_that_is_not_repeatable_is_sent_once(player, backend, answer, failure):
    if isinstance(failure, int):
        failure = answer(failure, {"error": {"message": "x"}}, x_should_retry="true")
    elif isinstance(failure, bytes):
        failure = answer(200, failure)
    with pytest.raises(Exception, match="get run"):
        player.run(get_run(of(Once, backend), REF), failure)
    assert player.sent == ["GET"]


@pytest.mark.parametrize("failure", [httpx.ConnectError("no"), httpx.ConnectTimeout("no"), 429])
def test_it_is_sent_again_where_it_cannot_have_had_an_effect(
    player, backend, answer, run_is, failure
):
    if isinstance(failure, int):
        failure = answer(failure, {"error": {"message": "x"}})
    assert player.run(get_run(of(Once, backend), REF), failure, run_is("queued")).id == "run_1"
    assert player.sent == ["GET", "GET"]


def test_an_exchange_that_has_had_an_effect_does_not_begin_anew(player, backend, answer):
    with pytest.raises(RunsTransportError, match="get run"):
        player.run(get_run(of(StartAndFetch, backend), REF), answer(200, {}), LOST)
    assert player.sent == ["POST", "GET"]


def test_it_is_not_sent_again_without_a_quota(player, backend, refusal):
    with pytest.raises(RunsRateLimited):
        player.run(get_run(of(Once, backend), REF), refusal(429, code="insufficient_quota"))
    assert player.sent == ["GET"]


def test_a_lost_answer_to_any_other_call_is_asked_for_again(player, make_backend):
    with pytest.raises(RunsTransportError):
        player.run(get_run(make_backend(max_retries=2), REF), LOST)
    assert player.sent == ["GET"] * 3
