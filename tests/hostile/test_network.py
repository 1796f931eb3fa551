"""No answer crashes, hangs or deceives: each gives the run that it holds, or a RunsError."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from airflow_provider_runs.errors import RunsAPIError, RunsError, RunsTransportError
from airflow_provider_runs.models import Run
from tests.hostile import cases_bodies, cases_framing, cases_headers
from tests.hostile.answers import RUN_ID, answer
from tests.hostile.asking import BOUND, SLACK, Call, Outcome
from tests.hostile.cases import IS_FULL, UNKNOWN, Case
from tests.hostile.wire import BATCH, End, RawServer, in_pieces, plays

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.hostile.reporting import Report

#: What breaks a line of a log, or a terminal.
BREAKS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
#: Characters of an error's text at most.
LONGEST = 2000

CASES = [*cases_framing.CASES, *cases_headers.CASES, *cases_bodies.CASES]
#: How many bytes a server sends at a time.
SIZES = (BATCH, 1, 7) if IS_FULL else (BATCH,)
#: What may be asked for: the run, and after a 404 the list that shows which API it is.
PATHS = (b"GET /threads/thread_1/runs/run_1 ", b"GET /assistants?limit=1 ")


def check_error(error: BaseException) -> None:
    """Check that an error is one of ours, can leave the process, and fits into a log."""
    assert isinstance(error, RunsError), f"{type(error).__name__}: {error!s:.300}"
    msgspec.json.encode(error.to_json())
    assert not BREAKS.search(str(error)), f"it breaks a line: {str(error)[:500]!r}"
    assert len(str(error)) <= LONGEST
    assert "sk-x" not in str(error)


def check_run(run: Run, says: str | None) -> None:
    """Check that a run is the one asked for, has its own status, and can leave the process."""
    assert says is not None, f"it is believed to be {str(run.status)[:100]!r}"
    assert run.id == RUN_ID
    if says == UNKNOWN:
        assert not run.status.is_known
        assert not run.is_final
        assert not BREAKS.search(run.status), f"it breaks a line: {str(run.status)[:100]!r}"
    else:
        assert (run.status, run.raw_status) == (says, says)
    whole = run.to_json()
    msgspec.json.encode(whole)
    assert Run.model_validate(whole) == run
    assert fits(whole), "an integer has more than 64 bits"


def fits(value: Any) -> bool:
    """Return whether all integers fit into 64 bits."""
    if isinstance(value, dict):
        return all(map(fits, value.values()))
    if isinstance(value, list):
        return all(map(fits, value))
    return not isinstance(value, int) or -(2**63) <= value < 2**64


def check(case: Case, outcome: Outcome, requests: list[bytes]) -> None:
    """Check how a case has ended."""
    assert outcome.seconds <= BOUND + SLACK, outcome.words
    if outcome.error is not None:
        check_error(outcome.error)
        assert not case.must, outcome.words
    else:
        assert isinstance(outcome.value, Run)
        check_run(outcome.value, case.says)
    for request in requests:
        assert request.startswith((*PATHS, b"nothing")), request[:200]
        assert b"\ncookie:" not in request.lower()


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size} bytes at a time")
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_an_answer_gives_what_it_holds_or_an_error(
    case: Case, size: int, ask: Callable[..., Outcome], report: Report
) -> None:
    report.tried()
    with RawServer(plays(*in_pieces(case.steps, size)), case.read) as server:
        outcome = ask(server.url)
    report.took(outcome.seconds, BOUND)
    check(case, outcome, server.requests)
    report.held()


@pytest.mark.parametrize("case", cases_framing.REDIRECTS, ids=lambda case: case.name)
def test_a_redirect_is_never_followed(
    case: Case, ask: Callable[..., Outcome], report: Report
) -> None:
    report.tried()
    with RawServer(plays(*case.steps), case.read) as server:
        outcome = ask(server.url)
    report.took(outcome.seconds, BOUND)
    check(case, outcome, server.requests)
    assert len(server.requests) <= 1
    report.held()


def test_a_redirect_with_a_target_names_it(ask: Callable[..., Outcome], report: Report) -> None:
    report.tried()
    found = answer(None, b"Location: http://127.0.0.1:1/elsewhere", status=b"HTTP/1.1 302 Found")
    with RawServer(plays(found)) as server:
        outcome = ask(server.url)
    assert isinstance(outcome.error, RunsAPIError)
    assert "http://127.0.0.1:1/elsewhere" in str(outcome.error)
    report.held()


@pytest.mark.parametrize(
    "cookie",
    [b"a=b", b"a=b; Path=/; Max-Age=999999", b"a=b; Domain=127.0.0.1", b"=", b"a=\xff; expires=x"],
)
def test_a_cookie_is_never_sent_back(
    cookie: bytes, ask: Callable[..., Outcome], report: Report
) -> None:
    report.tried()
    with RawServer(plays(answer(None, b"Set-Cookie: " + cookie), End.NEXT)) as server:
        outcome = ask(server.url, Call(times=2))
    assert outcome.error is None, outcome.words
    assert len(server.requests) == 2
    assert not [each for each in server.requests if b"\ncookie:" in each.lower()]
    report.held()


def test_a_path_is_sent_as_it_is(ask: Callable[..., Outcome], report: Report) -> None:
    report.tried()
    with RawServer(plays(answer(None, status=b"HTTP/1.1 500 No"))) as server:
        ask(server.url, Call(args=("a;b %41+c", "\xe9~!")))
    (request,) = server.requests
    assert request.startswith(b"GET /threads/%C3%A9~%21/runs/a%3Bb%20%2541%2Bc HTTP/1.1\r\n")
    report.held()


def test_a_host_without_an_address_cannot_be_reached(
    ask: Callable[..., Outcome], report: Report
) -> None:
    report.tried()
    outcome = ask("https://no-such-host.invalid")
    assert isinstance(outcome.error, RunsTransportError), outcome.words
    report.took(outcome.seconds, BOUND)
    assert outcome.seconds <= BOUND + SLACK
    report.held()
