import copy
import json
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_runs.backends import BACKENDS, AssistantsBackend, LangGraphBackend
from airflow_provider_runs.errors import RunsConfigError
from airflow_provider_runs.models import LONGEST
from airflow_provider_runs.plain_json import printable
from airflow_provider_runs.status import RunStatus
from tests.unit.backends import backend_of

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


SPELLINGS = {
    "cancelled": ["canceled", "CANCELLED", "Cancelled", " cancelled "],
    "cancelling": ["canceling", "CANCELLING"],
    "completed": ["succeeded", "success", "COMPLETED", "Completed", "complete"],
    "failed": ["error", "FAILED", "failure", "errored"],
    "expired": ["timeout", "timed_out", "Timed Out", "timed-out", "TimedOut"],
    "in_progress": ["running", "IN_PROGRESS", "in progress", "processing"],
    "queued": ["pending", "QUEUED"],
}


@pytest.mark.parametrize("kind", BACKENDS, ids=lambda kind: kind.form.conn_type)
def test_usual_spellings_are_understood_by_every_backend(kind):
    backend = backend_of(kind)
    for status, words in SPELLINGS.items():
        for word in words:
            assert backend.status_of(word) == status, word


@pytest.mark.parametrize("kind", BACKENDS, ids=lambda kind: kind.form.conn_type)
@given(word=st.text() | st.sampled_from(["stop", "stopped", "ended", "final", "ok", "done", "end"]))
def test_no_word_that_is_unknown_is_final(kind, word):
    status = backend_of(kind).status_of(word)
    if not status.is_known:
        assert status == printable(word, LONGEST)
        assert not status.is_final
    assert isinstance(status, RunStatus)
    assert not backend_of(kind).status_of("done").is_final


def test_a_connection_can_say_what_the_servers_own_words_mean():
    backend = backend_of(AssistantsBackend, final_statuses="done=completed, Aborted = cancelled")
    assert backend.status_of("done") == backend.status_of("DONE") == "completed"
    assert backend.status_of("Aborted") == "cancelled"
    assert backend.read_run({"id": "run_1", "status": "done"}).raw_status == "done"
    assert backend.glimpse({"id": "run_1", "status": "Aborted"}).is_final
    assert not backend.status_of("stop").is_final
    assert backend_of(AssistantsBackend, final_statuses={"x": "failed"}).status_of("x") == "failed"


@pytest.mark.parametrize(
    "given",
    [
        '{"all done": "completed", "完了": "Completed"}',
        {"All-Done": "completed", "完了": "completed"},
        " ALL DONE = completed , 完了=completed, ",
    ],
)
def test_such_words_may_be_given_in_several_forms(given):
    backend = backend_of(AssistantsBackend, final_statuses=given)
    for word in ("all done", "All_Done", "ALL-DONE", "完了"):
        assert backend.status_of(word) == "completed", word


@pytest.mark.parametrize("given", [{"a=b": "failed", "c,d": "failed"}, '{"a=b":"failed"}'])
def test_such_a_word_may_have_any_characters(given):
    assert backend_of(AssistantsBackend, final_statuses=given).status_of("a=b") == "failed"


@pytest.mark.parametrize("kind", BACKENDS, ids=lambda kind: kind.form.conn_type)
@pytest.mark.parametrize("word", [*sorted(ACTIVE), "Running", "PENDING"])
def test_a_word_for_a_run_that_has_not_ended_cannot_be_made_final(kind, word):
    with pytest.raises(RunsConfigError, match=r"'final_statuses' with the word .* not ended"):
        backend_of(kind, final_statuses=f"{word}=completed")


def test_a_word_for_an_end_may_be_made_another_one():
    backend = backend_of(LangGraphBackend, final_statuses="interrupted=failed")
    assert backend.status_of("Interrupted") == "failed"


@pytest.mark.parametrize(
    "wrong",
    [
        *["done", "done=", "=completed", "done=finished", "a=b=c", "x=queued"],
        *["done=completed, Done=failed", '{"done": 5}', '{"done": "completed"', {"done": None}],
    ],
)
def test_a_word_that_means_nothing_final_is_refused_by_the_fields_name(wrong):
    with pytest.raises(RunsConfigError, match="'final_statuses' that must be words"):
        backend_of(AssistantsBackend, final_statuses=wrong)
