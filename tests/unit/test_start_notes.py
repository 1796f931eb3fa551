"""What a task notes of its start: whose run it is, and what outlives a try."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from airflow_provider_runs.errors import RunsError
from airflow_provider_runs.tasks.start_notes import Note, Notes, Who, fingerprint_of


def who(*, retries=2, **changes):
    fields = {"dag_id": "etl", "run_id": "manual__1", "task_id": "ask", "map_index": -1}
    given = {**fields, "try_number": 1, "max_tries": retries, **changes}
    ti = SimpleNamespace(**given, task=SimpleNamespace(retries=retries))
    return Who.of({"ti": ti})


def test_the_key_can_be_read_by_people():
    assert who().key == "etl/manual__1/ask"
    assert who(map_index=3).key == "etl/manual__1/ask[3]"
    assert who(try_number=2).key == who().key


@pytest.mark.parametrize("field", ["dag_id", "run_id", "task_id"])
def test_a_long_key_fits_into_metadata_and_differs_from_others(field):
    one, other = (who(**{field: "x" * 400 + end}).key for end in "ab")
    assert one != other
    assert len(one) <= 300


def test_a_key_is_printable():
    assert who(run_id="a\nb\ud800").key.isprintable()
    assert who(run_id="a\nb").key != who(run_id="a b").key


@pytest.mark.parametrize(
    ("attempt", "max_tries", "cleared_at"),
    [
        (1, 2, 0),  # the first try
        (2, 2, 0),  # a retry
        (2, 3, 1),  # cleared after the first try
        (5, 5, 3),  # a retry after that
        (2, 1, 0),  # somebody has raised `retries` since
    ],
)
def test_a_cleared_task_is_told_from_one_that_is_retried(attempt, max_tries, cleared_at):
    asked = who(try_number=attempt, max_tries=max_tries)
    assert (asked.attempt, asked.cleared_at) == (attempt, cleared_at)
    assert asked.is_first_try is (attempt == 1)


class Store:
    def __init__(self, **values):
        self.values = values

    def get(self, key):
        return self.values.get(key)

    def set(self, key, value):
        self.values[key] = json.loads(json.dumps(value))


class Broken:
    def get(self, key):
        raise RuntimeError("sk-secret")

    def set(self, key, value):
        raise RuntimeError("sk-secret")


NOTE = Note("k", "f", 1, 1, 1800000000.5, "thread_1", True)


def test_a_note_is_read_as_it_was_written():
    notes = Notes({"task_state_store": Store()}, "c")
    notes.write(NOTE)
    assert notes.read("k") == NOTE
    assert notes.last
    notes.write(NOTE.now(run_id="run_1"))
    assert notes.read("k").run_id == "run_1"


def test_the_note_of_another_is_none():
    notes = Notes({"task_state_store": Store()}, "c")
    notes.write(NOTE)
    assert notes.read("another") is None


def test_without_a_store_nothing_lasts():
    notes = Notes({}, "c")
    notes.write(NOTE)
    assert notes.read("k") is None
    assert not notes.last


@pytest.mark.parametrize("use", [lambda notes: notes.read("k"), lambda notes: notes.write(NOTE)])
def test_a_store_that_fails_is_an_error_that_says_what_to_do(use):
    with pytest.raises(RunsError, match="a later try could start a second run") as caught:
        use(Notes({"task_state_store": Broken()}, "c"))
    assert "RuntimeError" in caught.value.message
    assert "sk-secret" not in caught.value.message
    assert caught.value.message.endswith("(connection 'c')")


def test_a_note_of_a_later_version_loads():
    store = Store(**{"airflow_provider_runs.start": {"key": "k", "new": 1, "fingerprint": "f"}})
    with pytest.raises(RunsError, match="could not be read"):
        Notes({"task_state_store": store}, "c").read("k")
    store.values["airflow_provider_runs.start"] |= {"number": 1, "attempt": 1, "at": 0.0}
    assert Notes({"task_state_store": store}, "c").read("k") == Note("k", "f", 1, 1, 0.0)


def test_a_fingerprint_tells_what_is_asked_for():
    same = {fingerprint_of("c", "t", body) for body in ({"a": 1, "b": 2}, {"b": 2, "a": 1})}
    assert [len(each) for each in same] == [16]
    others = {
        fingerprint_of("c", "t", {"a": 1}),
        fingerprint_of("c", None, {"a": 1, "b": 2}),
        fingerprint_of("d", "t", {"a": 1, "b": 2}),
    }
    assert len(others | same) == 4


def test_a_fingerprint_may_have_names_that_are_no_text():
    """A DAG's author may write them; what cannot be sent at all is refused before the start."""
    assert fingerprint_of({1: 2, "a": 3}) == fingerprint_of({"a": 3, "1": 2})
    assert fingerprint_of({(1, 2): 3})
