"""Whatever passes between a wait and its server, its verdict is the truth.

A scripted server has one run, and disturbances that all pass within the grace. Time passes only
when the wait sleeps.
"""

from __future__ import annotations

import json
import logging
import time
from dataclasses import dataclass, field

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_runs.backends.wire import Answer
from airflow_provider_runs.errors import CancelRefused, RunTimeout
from airflow_provider_runs.flows.follow import look_once, wait_for
from airflow_provider_runs.flows.wait import Wait
from airflow_provider_runs.models import RunRef

NOW = 1_800_000_000.0
SILENT = logging.getLogger("runs.silent")
SILENT.disabled = True
FINAL = ["cancelled", "failed", "completed", "incomplete", "expired"]


def answer(status, body):
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Answer(status, httpx.Headers(), content)


def run_is(status, run_id="run_1"):
    return answer(200, {"id": run_id, "thread_id": "thread_1", "status": status})


#: Answers to any request that say nothing true of the run.
FAULTS = {
    "404": answer(404, {"error": {"message": "No run found with id 'run_1'."}}),
    "404 of a router": answer(404, {"detail": "Not Found"}),
    "401": answer(401, {"error": {"message": "Incorrect API key provided."}}),
    "403": answer(403, b"<html>blocked</html>"),
    "400": answer(400, {"error": {"message": "Bad request"}}),
    "429": answer(429, {"error": {"message": "Slow down"}}),
    "500": answer(500, b""),
    "501": answer(501, {"error": {"message": "Not implemented"}}),
    "lost": httpx.ReadError("reset"),
    "down": httpx.ConnectError("refused"),
    "page": answer(200, b"<!doctype html><title>Sign in</title>"),
    "cut": answer(200, b'{"id": "run_1", "status": "comp'),
    "list": answer(200, []),
    "other id": run_is("completed", "run_2"),
    "no status": answer(200, {"id": "run_1"}),
}
#: With which of them a wait may begin: of a key that never worked it is believed at once.
AT_FIRST = sorted(FAULTS.keys() - {"401", "403"})


@dataclass
class Server:
    """One run that ends by itself at some time, or some seconds after a cancel took effect."""

    faults: list[tuple[float, float, str]]
    ends_at: float
    ends: str
    #: What happens to each request for a cancel, in order; the last one stays.
    cancels: list[str] = field(default_factory=lambda: ["accepted"])
    cancelled_at: float | None = None
    asked: int = 0

    def status(self):
        now = time.time() - NOW
        if self.cancelled_at is not None and now >= self.cancelled_at + 2:
            return "cancelled"
        if now >= self.ends_at and (self.cancelled_at is None or self.ends_at < self.cancelled_at):
            return self.ends
        return "in_progress" if self.cancelled_at is None else "cancelling"

    def reply(self, request):
        now = time.time() - NOW
        fault = next((name for at, long, name in self.faults if at <= now < at + long), None)
        if request.method == "GET":
            return FAULTS[fault] if fault else run_is(self.status())
        return self.reply_to_cancel(fault)

    def reply_to_cancel(self, fault):
        how = self.cancels[min(self.asked, len(self.cancels) - 1)]
        self.asked += 1
        if fault:
            return FAULTS[fault]
        if self.status() != "in_progress":
            return answer(400, {"error": {"message": f"Cannot cancel: {self.status()}"}})
        if how in {"accepted", "500 after effect", "lost after effect", "page after effect"}:
            self.cancelled_at = time.time() - NOW
        return {
            "accepted": lambda: run_is(self.status()),
            "lost by the server": lambda: run_is("in_progress"),
            "500 after effect": lambda: FAULTS["500"],
            "lost after effect": lambda: FAULTS["lost"],
            "page after effect": lambda: FAULTS["page"],
            "refused": lambda: answer(409, {"error": {"message": "Busy"}}),
        }.get(how, lambda: FAULTS[how])()


@st.composite
def disturbances(draw):
    """Faults one after the other, each shorter than the grace, with good answers in between."""
    faults, at = [], 0.0
    if draw(st.booleans()):
        faults.append((0.0, draw(st.floats(0.1, 9)), draw(st.sampled_from(AT_FIRST))))
        at = 10.0
    for _ in range(draw(st.integers(0, 6))):
        at += draw(st.floats(15, 40))
        long = draw(st.floats(0.5, 28))
        faults.append((at, long, draw(st.sampled_from(sorted(FAULTS)))))
        at += long
    return faults


class Scene:
    def __init__(self, player, clock, backend):
        self.player, self.clock, self.backend = player, clock, backend

    def play(self, flow_of, server):
        self.clock.move_to(NOW)
        self.player.requests.clear()
        self.player.sleeps.clear()
        flow = flow_of(self.backend)
        return self.player.run(flow, lambda: server.reply(self.player.requests[-1]))


@pytest.fixture
def scene(player, clock, make_backend):
    return Scene(player, clock, make_backend(max_retries=0))


def wait(timeout=3600.0, **changes):
    return Wait(RunRef("run_1", "thread_1"), NOW, NOW + timeout, 5.0, **changes)


many = settings(
    max_examples=300,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@given(disturbances(), st.floats(0, 300), st.sampled_from(FINAL))
@many
def test_a_wait_ends_with_the_true_end_and_cancels_nothing(scene, faults, ends_at, ends):
    server = Server(faults, ends_at, ends)
    run = scene.play(lambda b: wait_for(b, wait(), SILENT), server)
    assert run.status == ends == server.status()
    assert "POST" not in scene.player.sent


@given(disturbances())
@many
def test_a_run_that_goes_on_is_never_gone_nor_final(scene, faults):
    server = Server(faults, 1e9, "completed")
    with pytest.raises(RunTimeout):
        scene.play(lambda b: wait_for(b, wait(300), SILENT), server)
    assert "POST" not in scene.player.sent


HOW = ["accepted", "lost by the server", "500 after effect", "lost after effect", "refused"]
WRONG = ["page after effect", *sorted(FAULTS.keys() - {"404 of a router", "down", "no status"})]


@given(
    disturbances(),
    st.lists(st.sampled_from([*HOW, *WRONG]), max_size=5),
    st.floats(20, 900),
    st.sampled_from(FINAL),
)
@many
def test_a_cancel_is_delivered_and_confirmed(scene, faults, cancels, ends_at, ends):
    server = Server(faults, ends_at, ends, [*cancels, "accepted"])
    run = scene.play(lambda b: wait_for(b, wait(cancel=True), SILENT), server)
    assert run.status == server.status()
    assert run.is_final


@given(disturbances(), st.sampled_from(["refused", "500", "lost", "page", "lost by the server"]))
@many
def test_a_cancel_that_is_never_delivered_is_never_a_success(scene, faults, how):
    server = Server(faults, 1e9, "completed", [how])
    with pytest.raises((RunTimeout, CancelRefused)):
        scene.play(lambda b: wait_for(b, wait(600, cancel=True), SILENT), server)
    assert server.status() == "in_progress"


@given(disturbances(), st.floats(0, 200), st.sampled_from(FINAL), st.floats(7, 60))
@many
def test_rescheduled_looks_tell_the_truth_too(scene, faults, ends_at, ends, pause):
    def looks(backend):
        todo = wait()
        while True:
            run, rest = yield from look_once(backend, todo, SILENT, settle=True)
            if run and run.is_final:
                return run
            assert rest.deadline == todo.deadline
            scene.clock.shift(pause)
            todo = wait(worked=True)  # all that an older Airflow lets it know

    server = Server(faults, ends_at, ends)
    assert scene.play(looks, server).status == ends == server.status()
    assert "POST" not in scene.player.sent
