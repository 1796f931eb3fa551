"""A server that gives a little at a time is left in time."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from airflow_provider_runs.errors import RunsError
from airflow_provider_runs.models import Run
from tests.hostile.answers import answer
from tests.hostile.asking import BOUND, SLACK, Call, Outcome, Way, call_at_once
from tests.hostile.drips import DRIPS, TLS_DRIPS
from tests.hostile.wire import RawServer, Step, plays

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.hostile.cases import Case
    from tests.hostile.reporting import Report

GET = Call()
WAIT = Call("wait_for_run", kwargs={"timeout": 1, "poll_interval": 0.5})
#: Seconds for which the servers that ask their clients to wait are waited for, and their bound.
PATIENT = 2.0


def problem(outcome: Outcome, bound: float) -> str | None:
    """Return what is wrong with how a call has ended."""
    if outcome.seconds > bound + SLACK:
        return outcome.words
    ended_well = isinstance(outcome.value, Run) and outcome.value.status == "in_progress"
    return None if isinstance(outcome.error, RunsError) or ended_well else outcome.words


def check(names: list[str], outcomes: list[Outcome], bound: float, report: Report) -> None:
    """Check all outcomes, and name those that are wrong."""
    report.tried(len(names))
    for outcome in outcomes:
        report.took(outcome.seconds, bound)
    found = {
        name: words
        for name, outcome in zip(names, outcomes, strict=True)
        if (words := problem(outcome, bound))
    }
    report.held(len(names) - len(found))
    assert not found, "\n".join(f"{name}: {words}" for name, words in found.items())


@pytest.mark.parametrize("call", [GET, WAIT], ids=lambda call: call.name)
def test_a_server_that_drips_is_left_in_time(
    call: Call, way: Way, connect: Callable[..., str], report: Report
) -> None:
    def address(case: Case, server: RawServer) -> str:
        return server.url.replace("http:", "https:") if case in TLS_DRIPS else server.url

    cases = [*DRIPS, *TLS_DRIPS]
    with ExitStack() as stack:
        servers = [stack.enter_context(RawServer(plays(*each.steps), each.read)) for each in cases]
        urls = [address(*each) for each in zip(cases, servers, strict=True)]
        outcomes = call_at_once(way, [(connect(url, verify=False), call) for url in urls])
    check([each.name for each in cases], outcomes, BOUND, report)


BUSY = {
    "Retry-After": b"Retry-After: 1000000000",
    "Retry-After beyond all numbers": b"Retry-After: " + b"9" * 400,
    "Retry-After in the year 9999": b"Retry-After: Fri, 31 Dec 9999 23:59:59 GMT",
    "retry-after-ms": b"retry-after-ms: 1e18",
    "x-should-retry": b"x-should-retry: true\r\nRetry-After: 0",
    "openai-poll-after-ms": b"openai-poll-after-ms: 1e18",
}


@pytest.mark.parametrize("status", [b"429 Too Many Requests", b"503 Busy", b"200 OK"])
def test_a_server_that_asks_for_patience_is_left_in_time(
    status: bytes, way: Way, connect: Callable[..., str], report: Report
) -> None:
    steps: list[tuple[Step, ...]] = [
        (answer(None, header, status=b"HTTP/1.1 " + status),) for header in BUSY.values()
    ]
    call = Call("wait_for_run", kwargs={"timeout": PATIENT, "poll_interval": 0.5}, patience=8)
    with ExitStack() as stack:
        servers = [stack.enter_context(RawServer(plays(*each))) for each in steps]
        outcomes = call_at_once(way, [(connect(server.url), call) for server in servers])
    check(list(BUSY), outcomes, PATIENT + 2, report)


@pytest.mark.parametrize("header", BUSY.values(), ids=list(BUSY))
def test_a_call_with_retries_is_over_in_time(
    header: bytes, ask: Callable[..., Outcome], report: Report
) -> None:
    busy = answer(None, header, status=b"HTTP/1.1 429 Too Many Requests")
    with RawServer(plays(busy)) as server:
        outcome = ask(server.url, Call(patience=12), timeout=0.5, max_retries=3)
    check([header.decode()], [outcome], 0.5 * 4 + 2, report)
