"""Each cell of the table in docs/starting.md, acted out."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from airflow_provider_runs.airflow_errors import AirflowFailException
from airflow_provider_runs.errors import RunsError, StartLost
from airflow_provider_runs.testing import Fault, Responses, RunScript, RunServer
from tests.integration.starting import KEY, Instance, Store

PAGE = Path(__file__).resolve().parents[3] / "docs" / "starting.md"
SOON = RunScript(queued_for=0, runs_for=1)
ASSISTANT = {"assistant_id": "asst_1"}
AGENT = {"assistant_id": "agent", "input": {}}
MODEL = {"model": "gpt-4o", "input": "Hello"}
#: The rows: dialects, extras of the connection, bodies, and whether the thread is the user's.
ROWS = {
    "LangGraph, without `thread_id`": [("langgraph", {}, AGENT, False)],
    "LangGraph, on your thread": [("langgraph", {}, AGENT, True)],
    "Assistants, Foundry, on your thread": [
        ("assistants", {}, ASSISTANT, True),
        ("foundry", {}, ASSISTANT, True),
    ],
    "Assistants, Foundry, without `thread_id`": [
        ("assistants", {}, ASSISTANT, False),
        ("foundry", {}, ASSISTANT, False),
    ],
    "Responses with `client_ids` (vLLM, agents hosted by Foundry)": [
        (Responses(client_ids=where), {"client_ids": where}, MODEL, False)
        for where in ("request_id", "x-agent-response-id")
    ],
    "Responses without it (OpenAI, Azure)": [("responses", {}, MODEL, False)],
}


def table() -> list[tuple[str, str, str]]:
    """The table's cells, as (row, column, what it promises)."""
    lines = [line.strip("|").split("|") for line in PAGE.read_text().splitlines() if "|" in line]
    rows = [[cell.strip() for cell in line] for line in lines]
    head = next(row for row in rows if row[0] == "API and thread")
    body = [row for row in rows if row[0] in ROWS]
    return [(row[0], head[n], row[n]) for row in body for n in range(1, len(head))]


CELLS = table()


class Snapshots(Store):
    """A store that can be put back to what it held before."""

    def __init__(self):
        super().__init__()
        self.past = []

    def set(self, key, value):
        super().set(key, value)
        self.past.append(dict(self.values))

    def back_to(self, number):
        """What a worker has left that was killed after so many notes; it was some time ago."""
        self.values = dict(self.past[number - 1])
        for key, text in self.values.items():
            self.values[key] = json.dumps({**json.loads(text), "at": json.loads(text)["at"] - 600})


def outcome(instance, server, *, tries):
    """Run tries until one ends well or for good; say how, and check what never may be."""
    for _ in range(tries):
        try:
            result = instance.attempt(output=False)
        except RunsError as error:
            if not isinstance(error, AirflowFailException):
                continue
            lost = isinstance(error, StartLost) and len(server.started_runs()) == 1
            return "fails" if lost else f"fails with {error}"
        assert result["status"] == "completed"
        assert server.started_runs() == [result["id"]]
        return "one run"
    raise AssertionError("no try has ended")


def answer_is_lost(server, make):
    server.fault(Fault(drop=True, after_effect=True), method="POST", path=server.start_path)
    return outcome(make(Store()), server, tries=2)


def worker_is_killed(server, make):
    store = Snapshots()
    instance = make(store)
    instance.attempt(wait_for_termination=False)
    store.back_to(1)  # the intent is noted, the id is not
    return outcome(instance, server, tries=2)


def worker_is_killed_without_a_store(server, make):
    instance = make(None)
    instance.attempt(wait_for_termination=False)
    return outcome(instance, server, tries=2)


def two_at_once(server, make):
    instances = [make(Store()) for _ in range(4)]
    with ThreadPoolExecutor(len(instances)) as pool:
        tries = [pool.submit(each.attempt, output=False) for each in instances]
        runs = {each.result()["id"] for each in tries}
    assert set(server.started_runs()) == runs
    return "one run" if len(runs) == 1 else f"{len(runs)} runs"


SCENES = {
    "the answer to the start is lost": answer_is_lost,
    "the worker is killed, Airflow 3.3": worker_is_killed,
    "the worker is killed, Airflow 3.1 and 3.2": worker_is_killed_without_a_store,
    "two tries start at once": two_at_once,
}
PROMISES = {"one run": "one run", "the task fails": "fails", "the retry fails": "fails"}


def test_the_table_has_all_rows_and_columns():
    assert {row for row, _, _ in CELLS} == ROWS.keys()
    assert {column for _, column, _ in CELLS} == SCENES.keys()
    assert {cell for _, _, cell in CELLS} == {*PROMISES, "–"}  # noqa: RUF001 - as it is there
    assert len(CELLS) == len(ROWS) * len(SCENES)


@pytest.mark.parametrize(("row", "column", "cell"), [cell for cell in CELLS if cell[2] in PROMISES])
def test_a_cell_is_kept(row, column, cell, monkeypatch):
    for dialect, extra, body, on_users_thread in ROWS[row]:
        with RunServer(dialect=dialect, script=SOON) as server:
            connection = server.connection(max_retries=1, **extra)
            monkeypatch.setenv("AIRFLOW_CONN_RUNS_DEFAULT", connection)
            server.start_path = "/responses" if body is MODEL else "/runs"
            where = {"thread_id": server.create_thread()} if on_users_thread else {}

            def make(store, body=body, where=where):
                return Instance(store, body=body, **where)

            assert SCENES[column](server, make) == PROMISES[cell]
            assert len(server.started_runs(KEY)) == 1
