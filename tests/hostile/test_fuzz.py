"""No answer makes a call raise anything but a ``RunsError``, or stores what nobody can read.

Whatever comes out is encoded as Airflow's triggerer encodes it: there it would otherwise end the
process with all of its triggers.
"""

from __future__ import annotations

import json
import os
import time
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
import time_machine

from airflow_provider_runs.backends import BACKENDS
from airflow_provider_runs.backends.starts import Start
from airflow_provider_runs.errors import RunsError
from airflow_provider_runs.flows import calls, lists
from airflow_provider_runs.flows.cancel import cancel_run
from airflow_provider_runs.flows.follow import look_once, wait_for
from airflow_provider_runs.flows.start import get_output, start_run
from airflow_provider_runs.flows.wait import Wait
from airflow_provider_runs.models import Glimpse, Run, RunRef
from airflow_provider_runs.tasks.events import RunEvent
from tests.hostile.fuzzing import Fuzzer
from tests.hostile.player import play
from tests.unit.backends import backend_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_runs.backends import Backend
    from tests.hostile.reporting import Report

REFS = {
    "runs_langgraph": RunRef(
        "0b5e4a3c-1111-4222-8333-444455556666", "0b5e4a3c-1111-4222-8333-444455556666"
    ),
    "runs_responses": RunRef("resp_1"),
}
ANSWERS = {"quick": 1_500, "full": 100_000}[os.environ.get("HOSTILE", "quick")]


class Nobody:
    """A log that checks its lines."""

    def info(self, event: str, /, *args: object) -> None:
        line = event % args
        assert len(line) < 3000, line[:200]
        assert line.isprintable(), line

    warning = info


def wait_of(ref: RunRef, **changes: Any) -> Wait:
    now = time.time()
    return Wait(ref, now, now + 20, 5.0, **changes)


def start_of(ref: RunRef) -> Start:
    return Start({}, ref.thread_id, "k")


ENDED = Run(id="run_1", status="completed", raw_status="completed")
FLOWS: list[Callable[[Backend, RunRef], Any]] = [
    calls.get_run,
    calls.get_run,
    calls.glimpse_run,
    lambda backend, ref: next(lists.list_runs(backend, ref.thread_id or "thread_1")),
    lambda backend, ref: next(lists.glimpse_runs(backend, ref.thread_id or "thread_1", 20)),
    lambda backend, _: next(lists.busy_threads(backend)),
    lambda backend, _: calls.probe(backend),
    cancel_run,
    lambda backend, ref: look_once(backend, wait_of(ref), Nobody()),
    lambda backend, ref: wait_for(backend, wait_of(ref, stop_on_requires_action=True), Nobody()),
    lambda backend, ref: wait_for(backend, wait_of(ref, cancel=True), Nobody()),
    lambda backend, ref: start_run(backend, start_of(ref), Nobody(), search=True),
    lambda backend, _: start_run(backend, Start({}, key="k"), Nobody(), search=False),
    lambda backend, ref: get_output(backend, ref, ENDED),
]


@pytest.fixture
def encode() -> Callable[[Any], Any]:
    """Return a function that sends an event as the triggerer does."""
    comms = pytest.importorskip("airflow.sdk.execution_time.comms")

    def encode(event: Any) -> None:
        comms._RequestFrame(id=1, body={"events": [(1, event)]}).as_bytes()
        json.dumps(event, allow_nan=False, ensure_ascii=False).encode()
        # PostgreSQL takes no NUL; a backslash that is one itself is escaped.
        assert "\\u0000" not in json.dumps(event).replace("\\\\", "")

    return encode


@pytest.mark.parametrize("kind", BACKENDS, ids=lambda kind: kind.form.conn_type)
def test_nothing_but_our_errors_comes_out_and_all_of_it_can_be_stored(kind, encode, report: Report):
    backend, random = backend_of(kind), Random(kind.form.conn_type)
    ref = REFS.get(kind.form.conn_type, RunRef("run_1", "thread_1"))
    fuzzer, answered, ends = Fuzzer(random), 0, dict[str, int]()

    def answer():
        nonlocal answered
        answered += 1
        return fuzzer.answer()

    with time_machine.travel(1_800_000_000, tick=False) as clock:
        while answered < ANSWERS:
            flow = random.choice(FLOWS)(backend, ref)
            try:
                end = play(flow, answer, clock)
            except RunsError as error:
                _check_error(error, encode)
                name = type(error).__name__
            else:
                _check(end, encode)
                name = type(end).__name__
            ends[name] = ends.get(name, 0) + 1
    report.tried(answered)
    report.held(answered)
    assert {"RunsResponseError", "RunsAPIError", "RunFailed", "Run"} & ends.keys()


def _check(end: Any, encode: Callable[[Any], Any]) -> None:
    if isinstance(end, (list, tuple)):
        for each in end:
            _check(each, encode)
    elif isinstance(end, Glimpse):
        try:
            whole = end.read()
        except ValueError:
            return
        assert (whole.status, whole.raw_status) == (end.status, end.raw_status)
        _check(whole, encode)
    elif isinstance(end, Run):
        encode(end.to_json())
        assert end.raw_status.isprintable()
        assert len(end.raw_status) <= 100
        if end.status.may_end_wait:
            encode(event := RunEvent.of(end).to_json())
            assert len(json.dumps(event)) < 64_000
            assert RunEvent.read(event, end.id).status == end.status
    elif isinstance(end, Wait):
        encode(end.to_json())
    elif isinstance(end, dict):
        encode(end)
    else:
        assert end is None or isinstance(end, (bool, str, int, float)), end


def _check_error(error: RunsError, encode: Callable[[Any], Any]) -> None:
    encode(event := RunEvent.of(error).to_json())
    assert len(json.dumps(event)) < 64_000
    assert error.message.isprintable(), error.message
    assert len(error.message) < 3000
    seen: BaseException | None = error
    while seen is not None:
        assert isinstance(seen, RunsError), repr(seen)
        seen = seen.__cause__ or seen.__context__
