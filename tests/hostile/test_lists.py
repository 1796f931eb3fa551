"""A list of runs ends, whatever a server says of its pages."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from uuid import UUID

import msgspec
import pytest

from airflow_provider_runs.errors import RunsError
from tests.hostile.answers import THREAD_ID, answer
from tests.hostile.asking import Call, Outcome
from tests.hostile.wire import End, RawServer, Step

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.hostile.reporting import Report

#: Requests that one list may take at most; the servers here end it a little later.
MOST = 1100
LIST = Call("list_runs", (THREAD_ID,), patience=45)
THREAD = str(UUID(int=7))


class Pages:
    """Serves pages, each made by a function of its number; the last one says that it is."""

    def __init__(self, page: Callable[[int], Any], last: Any) -> None:
        self._page = page
        self._last = last
        self.served = 0

    def __call__(self, _: bytes) -> list[Step]:
        self.served += 1
        body = self._page(self.served) if self.served <= MOST + 50 else self._last
        return [answer(json.dumps(body).encode()), End.NEXT]


def run(name: Any) -> dict[str, Any]:
    return {"id": name, "thread_id": THREAD_ID, "status": "completed"}


def page(*names: Any, **fields: Any) -> dict[str, Any]:
    return {"object": "list", "data": [run(name) for name in names], "has_more": True, **fields}


HALF = "run_\ud83d"
ASSISTANTS: dict[str, Callable[[int], Any]] = {
    "the same page": lambda _: page("run_1"),
    "new ids": lambda number: page(f"run_{number}"),
    "two pages in turn": lambda number: page(f"run_{number % 2}"),
    "the same runs and new cursors": lambda number: page("run_1", last_id=f"run_{number}"),
    "empty pages": lambda number: page(last_id=f"run_{number}"),
    "nothing that can be read": lambda number: page(None, 1.5, last_id=f"x_{number}"),
    "items that are no runs": lambda number: page(last_id=f"x_{number}") | {"data": [1, "a", None]},
    "a cursor of half a character": lambda _: page("run_1", last_id=HALF),
    "an id of half a character": lambda _: page(HALF),
    "a cursor of 100 KB": lambda _: page("run_1", last_id="x" * 100_000),
    "an id of 100 KB": lambda _: page("x" * 100_000),
    "a cursor that is a number": lambda _: page("run_1", last_id=10**25),
    "a cursor that is an array": lambda _: page("run_1", last_id=["run_1"]),
    "a cursor with line breaks": lambda _: page("run_1", last_id="a\r\nHost: evil\r\n\r\n"),
    "a cursor that is a path": lambda _: page("run_1", last_id="../../assistants?x=&y#z"),
    "a cursor with NULs": lambda _: page("run_1", last_id="\x00" * 10),
    "a has_more that is a text": lambda _: page("run_1", has_more="false"),
    "data that is an object": lambda _: page() | {"data": {"run_1": run("run_1")}},
    "data that is null": lambda _: page() | {"data": None},
    "an array": lambda _: [run("run_1")],
}
AT_A_TIME = 100


def uuid_runs(number: int, count: int = AT_A_TIME) -> list[dict[str, Any]]:
    first = number * count + 1
    names = (str(UUID(int=each)) for each in range(first, first + count))
    return [{"run_id": name, "thread_id": THREAD, "status": "success"} for name in names]


LANGGRAPH: dict[str, Callable[[int], Any]] = {
    "the same page": lambda _: uuid_runs(0),
    "new ids": uuid_runs,
    "nothing that can be read": lambda _: [{"run_id": 1.5, "status": []}] * AT_A_TIME,
    "items that are no runs": lambda _: [None] * AT_A_TIME,
    "more than was asked for": lambda _: uuid_runs(0, AT_A_TIME + 20),
    "an object": lambda _: {"runs": uuid_runs(0)},
}


def check(outcome: Outcome, pages: Pages, server: RawServer) -> None:
    """Check that a list has ended in time, in an error of ours or in runs that are listed once."""
    assert outcome.seconds < LIST.patience, outcome.words
    assert pages.served <= MOST
    for request in server.requests:
        assert request.lower().count(b"\r\nhost:") == 1
        assert request.startswith(b"GET /threads/")
    if outcome.error is not None:
        assert isinstance(outcome.error, RunsError), outcome.words
        msgspec.json.encode(outcome.error.to_json())
    else:
        names = [run.id for run in outcome.value]
        assert len(names) == len(set(names))
        msgspec.json.encode([run.to_json() for run in outcome.value])


@pytest.mark.parametrize("name", ASSISTANTS)
def test_a_list_of_assistants_runs_ends(
    name: str, ask: Callable[..., Outcome], report: Report
) -> None:
    report.tried()
    pages = Pages(ASSISTANTS[name], {"data": [], "has_more": False})
    with RawServer(pages) as server:
        outcome = ask(server.url, LIST, timeout=20)
    check(outcome, pages, server)
    report.held()


@pytest.mark.parametrize("name", LANGGRAPH)
def test_a_list_of_langgraph_runs_ends(
    name: str, ask: Callable[..., Outcome], report: Report
) -> None:
    report.tried()
    pages = Pages(LANGGRAPH[name], [])
    call = Call("list_runs", (THREAD,), patience=LIST.patience)
    with RawServer(pages) as server:
        outcome = ask(server.url, call, conn_type="runs_langgraph", timeout=20)
    check(outcome, pages, server)
    report.held()


def test_a_server_that_ignores_the_offset_lists_each_run_once(
    ask: Callable[..., Outcome], report: Report
) -> None:
    report.tried()
    pages = Pages(lambda _: uuid_runs(0), [])
    call = Call("list_runs", (THREAD,), patience=LIST.patience)
    with RawServer(pages) as server:
        outcome = ask(server.url, call, conn_type="runs_langgraph", timeout=20)
    assert pages.served <= 3
    assert outcome.error is not None or len(outcome.value) == AT_A_TIME
    report.held()
