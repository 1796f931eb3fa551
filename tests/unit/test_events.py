import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_runs import errors
from airflow_provider_runs.errors import RunsError, RunsResponseError
from airflow_provider_runs.models import Run, RunStatus
from airflow_provider_runs.summary import SUMMARY, summary_of
from airflow_provider_runs.tasks.events import Outcome, RunEvent, SweepEvent
from tests.unit.backends import WHOLE

NAMES = [name for name in errors.__all__ if name != "located"]
CLASSES = [getattr(errors, name) for name in NAMES]
#: The statuses that end a wait; in `requires_action` somebody else has to act.
ENDS = [status for status in RunStatus if status.is_final or status == "requires_action"]
OTHERS = [*(status for status in RunStatus if status not in ENDS), "paused", ""]


def run(status: str, **fields) -> Run:
    return Run.model_validate({"id": "run_1", "status": status, **fields})


def event(status: str = "completed", **changes) -> dict:
    outcome = "requires_action" if status == "requires_action" else "final"
    sound = {"version": 1, "outcome": outcome, "run": run(status).to_json(), "error": None}
    return {**sound, **changes}


ERROR = RunsError("boom").to_json()
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(WHOLE),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(WHOLE), inner, max_size=3),
)
some_runs = st.builds(
    lambda status, extra: {**extra, "id": "run_1", "status": status},
    st.sampled_from([*RunStatus, "paused"]).map(str) | json_values,
    st.dictionaries(st.text(WHOLE), json_values, max_size=3),
)
some_errors = st.builds(
    lambda kind, message, extra: {**extra, "type": kind, "message": message},
    st.sampled_from(NAMES) | json_values,
    st.text(WHOLE),
    st.dictionaries(st.sampled_from(["run", "run_id", "colour"]), json_values, max_size=2),
)
likely_events = st.fixed_dictionaries(
    {"outcome": st.sampled_from(list(Outcome)).map(str) | json_values},
    optional={
        "version": st.sampled_from([1, 2, "1", None]),
        "run": st.none() | some_runs | json_values,
        "error": st.none() | some_errors | json_values,
        "more": json_values,
    },
)


@pytest.mark.parametrize("status", ENDS)
def test_the_summary_of_a_run_survives_the_journey(status):
    sent = run(status, thread_id="t", metadata={"a": [1]}, usage={"total_tokens": 7}, odd={"b": 1})
    data = json.loads(json.dumps(RunEvent.of(sent).to_json()))
    assert data["outcome"] == ("final" if sent.is_final else "requires_action")
    assert set(data["run"]) == set(SUMMARY)
    assert RunEvent.read(data, "run_1") == sent.summary()


#: What people and models write. No text that a server may send elsewhere holds it.
WORDS = "Ms Example's diagnosis"
SAID = {"instructions": WORDS, "output": [{"text": WORDS}]}
written = st.recursive(
    st.just(WORDS) | st.text(WHOLE) | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(WHOLE), inner, max_size=3),
)
whole_runs = st.builds(
    lambda status, known, odd: {**odd, **known, **SAID, "id": "run_1", "status": status},
    st.sampled_from(ENDS).map(str),
    st.fixed_dictionaries(
        {}, optional={name: written for name in Run.model_fields if name not in SUMMARY}
    ),
    st.dictionaries(st.text(WHOLE).filter(lambda name: name not in SUMMARY), written, max_size=3),
)


@given(whole_runs, st.sampled_from(CLASSES))
def test_no_event_holds_what_people_or_a_model_wrote(body, kind):
    whole = Run.model_validate(body)
    assert WORDS in json.dumps(whole.to_json())
    failed = kind("Timed out.", run=whole.to_json())
    events = [
        RunEvent.of(whole),
        RunEvent(outcome=RunEvent.of(whole).outcome, run=whole),
        RunEvent.of(failed),
        SweepEvent.of(failed),
    ]
    for told in events:
        assert WORDS not in json.dumps(told.to_json())
    assert events[0].to_json() == events[1].to_json()


def test_an_event_that_is_refused_is_not_repeated():
    for data in (event(run=run("queued", instructions=WORDS).to_json()), WORDS, [WORDS]):
        with pytest.raises(RunsResponseError) as caught:
            RunEvent.read(data, "run_1")
        assert WORDS not in caught.value.message


@given(
    st.sampled_from(CLASSES),
    st.text(WHOLE),
    st.none() | st.text(WHOLE),
    st.none() | st.integers(100, 599),
    st.none() | st.dictionaries(st.text(WHOLE), json_values),
)
def test_an_error_survives_the_journey(kind, message, run_id, status_code, seen):
    sent = kind(message, run_id=run_id, status_code=status_code, run=seen, transient=True)
    data = json.loads(json.dumps(RunEvent.of(sent).to_json()))
    assert (data["version"], data["outcome"], data["run"]) == (1, "error", None)
    with pytest.raises(RunsError) as caught:
        RunEvent.read(data, "run_1")
    assert type(caught.value) is kind
    assert vars(caught.value) == vars(sent.replacing(run=seen and summary_of(seen)))


@pytest.mark.parametrize("status", OTHERS)
def test_no_event_can_be_made_of_a_run_that_has_not_ended(status):
    with pytest.raises(ValueError, match="has not ended"):
        RunEvent.of(run(status))


@pytest.mark.parametrize("outcome", list(Outcome))
@pytest.mark.parametrize("status", OTHERS)
def test_a_run_that_has_not_ended_is_never_read(outcome, status):
    with pytest.raises(RunsResponseError):
        RunEvent.read(event(outcome=str(outcome), run=run(status).to_json()), "run_1")


JUNK = [
    *(None, [], {}, "text", b"bytes", 5, True, object(), [event()], json.dumps(event())),
    *(event(version=version) for version in (0, 2, "1", None, [])),
    *(event(outcome=outcome) for outcome in ("requires_action", "error", "done", None, 5, {})),
    *(event(run=seen) for seen in (None, {}, [], "run_1", {"id": "r"}, {"status": "completed"})),
    event(run={"id": 5, "status": "completed"}),
    event(run={"id": "r", "status": None}),
    event(run=run("completed", id="run_2").to_json()),
    event("requires_action", outcome="final"),
    event(error=ERROR),
    event(run=None, error=ERROR),
    event(outcome="error", error=ERROR),
    event(outcome="error", run=None, error={"type": "RunFailed"}),
    event(outcome="error", run=None, error={"message": "m", "colour": "red"}),
    event(outcome="error", run=None, error={"type": ["RunFailed"], "message": "m"}),
    event(outcome="error", run=None, error="boom"),
    event(more=1),
    {"status": "success", "run_id": "r"},
]


@pytest.mark.parametrize("data", JUNK)
def test_junk_is_a_response_error_that_says_what_to_do(data):
    with pytest.raises(RunsResponseError, match="Clear the task"):
        RunEvent.read(data, "run_1")


def test_a_carried_error_of_an_unknown_type_is_the_base_error():
    data = event(outcome="error", run=None, error={**ERROR, "type": "RunsNewError"})
    with pytest.raises(RunsError, match="boom") as caught:
        RunEvent.read(data, "run_1")
    assert type(caught.value) is RunsError


@given(likely_events | json_values)
def test_whatever_arrives_is_an_ended_run_or_an_error_of_ours(data):
    try:
        read = RunEvent.read(data, "run_1")
    except RunsError:
        return
    assert data["outcome"] == ("final" if read.is_final else read.status)
    assert read.status == data["run"]["status"]
    assert read.status in ENDS
