import copy
import json
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_runs.status import RunStatus

FINAL = {"cancelled", "failed", "completed", "incomplete", "expired"}
ACTIVE = {"queued", "in_progress", "requires_action", "cancelling"}
KNOWN = sorted(FINAL | ACTIVE)

words = st.text(st.characters(exclude_categories=()))
unknown_words = words.filter(lambda word: word not in KNOWN)


def test_there_are_nine_statuses():
    assert sorted(RunStatus) == KNOWN
    assert len(KNOWN) == 9


@pytest.mark.parametrize("word", KNOWN)
def test_a_run_has_ended_only_in_the_five_final_statuses(word):
    status = RunStatus(word)
    assert status.is_final is (word in FINAL)
    assert status.is_known
    assert RunStatus.of(word) is status


@given(unknown_words)
def test_a_word_nobody_documented_is_neither_known_nor_final(word):
    status = RunStatus.of(word)
    assert isinstance(status, RunStatus)
    assert not status.is_known
    assert not status.is_final
    assert status not in set(RunStatus)


@pytest.mark.parametrize("word", ["Completed", "COMPLETED", " completed", "UNKNOWN", "", "done"])
def test_a_word_that_resembles_a_status_is_none(word):
    assert not RunStatus.of(word).is_known
    assert not RunStatus.of(word).is_final


@given(words)
def test_a_status_is_its_word(word):
    status = RunStatus.of(word)
    assert (status, str(status), status.value, f"{status}") == (word, word, word, word)
    assert hash(status) == hash(word)
    assert json.loads(json.dumps({"status": status})) == {"status": word}
    assert {status: "found"}[RunStatus.of(word)] == "found"


@given(words, words)
def test_statuses_are_equal_as_their_words_are(one, other):
    assert (RunStatus.of(one) == RunStatus.of(other)) is (one == other)


@given(words, st.integers(0, pickle.HIGHEST_PROTOCOL))
def test_a_status_survives_copies_and_pickles(word, protocol):
    status = RunStatus.of(word)
    for twin in (
        copy.copy(status),
        copy.deepcopy(status),
        pickle.loads(pickle.dumps(status, protocol)),
    ):
        assert type(twin) is RunStatus
        assert twin == status
        assert (twin.is_known, twin.is_final) == (status.is_known, status.is_final)


def test_unknown_words_do_not_become_members():
    RunStatus.of("a new word")
    assert sorted(RunStatus) == KNOWN
    with pytest.raises(ValueError, match="a new word"):
        RunStatus("a new word")
