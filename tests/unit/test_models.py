import json
import pickle
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from airflow_provider_runs.models import Glimpse, Run, RunRef, RunStatus
from airflow_provider_runs.run_ref import as_uuid, canonical, same_id
from airflow_provider_runs.summary import SUMMARY
from airflow_provider_runs.tasks.events import RunEvent
from tests.unit.backends import WHOLE

#: The Run object of the Assistants API, v2.
FIELDS = (
    *("id", "object", "created_at", "thread_id", "assistant_id", "status", "required_action"),
    *("last_error", "expires_at", "started_at", "cancelled_at", "failed_at", "completed_at"),
    *("incomplete_details", "model", "instructions", "tools", "metadata", "usage"),
    *("temperature", "top_p", "max_prompt_tokens", "max_completion_tokens"),
    *("truncation_strategy", "response_format", "tool_choice", "parallel_tool_calls"),
)
TIMES = ("created_at", "expires_at", "started_at", "cancelled_at", "failed_at", "completed_at")
OPTIONAL = sorted(set(FIELDS) - {"id", "status"})

FULL = {
    "id": "run_1",
    "object": "thread.run",
    "created_at": 1,
    "thread_id": "thread_1",
    "assistant_id": "asst_1",
    "status": "requires_action",
    "required_action": {
        "type": "submit_tool_outputs",
        "submit_tool_outputs": {
            "tool_calls": [
                {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
            ]
        },
    },
    "last_error": {"code": "server_error", "message": "boom"},
    "expires_at": 2,
    "started_at": 3,
    "cancelled_at": 4,
    "failed_at": 5,
    "completed_at": 6,
    "incomplete_details": {"reason": "max_prompt_tokens"},
    "model": "m",
    "instructions": "i",
    "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}],
    "metadata": {"k": "v"},
    "usage": {"completion_tokens": 1, "prompt_tokens": 2, "total_tokens": 3},
    "temperature": 0.5,
    "top_p": 1.0,
    "max_prompt_tokens": 7,
    "max_completion_tokens": 8,
    "truncation_strategy": {"type": "last_messages", "last_messages": 9},
    "response_format": {"type": "json_schema", "json_schema": {"name": "s", "schema": {"a": 1}}},
    "tool_choice": {"type": "function", "function": {"name": "f"}},
    "parallel_tool_calls": True,
}

#: Without texts that a number's field takes for NaN or infinity: neither is JSON.
texts = st.text(WHOLE).filter(
    lambda text: not text.lower().strip("+- \t\n").startswith(("nan", "inf"))
)
#: Words that can be logged as they are.
words = st.text(st.characters(exclude_categories=("C", "Z")))
texts |= st.sampled_from(["5", "-1.5", "true", "2026-01-02T03:04:05Z", "T"])
leaves = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | texts
leaves |= st.floats(allow_nan=False, allow_infinity=False)
json_values = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3)
)
extras = st.dictionaries(
    texts.filter(lambda name: name not in {*FIELDS, "raw_status"}), json_values
)
payloads = st.builds(
    lambda extra, fields: {**extra, **fields},
    extras,
    st.fixed_dictionaries(
        {
            "id": st.text(WHOLE),
            "status": st.sampled_from(list(RunStatus)).map(str) | words,
        },
        optional={name: json_values | st.just(FULL[name]) for name in OPTIONAL},
    ),
)


def run(**fields) -> Run:
    return Run.model_validate({"id": "run_1", "status": "queued", **fields})


def test_a_run_has_the_27_documented_fields_and_the_raw_status():
    assert len(FIELDS) == 27
    assert set(Run.model_fields) == {*FIELDS, "raw_status"}


def test_a_documented_run_is_typed_to_its_innermost_parts():
    full = Run.model_validate(FULL)
    assert full.required_action.submit_tool_outputs.tool_calls[0].function.arguments == "{}"
    assert full.last_error.message == "boom"
    assert full.incomplete_details.reason == "max_prompt_tokens"
    assert full.tools[0].function.parameters == {"type": "object"}
    assert full.usage.total_tokens == 3
    assert full.truncation_strategy.last_messages == 9
    assert full.response_format.json_schema.schema_ == {"a": 1}
    assert full.tool_choice.function.name == "f"
    assert full.model_dump(exclude_unset=True, by_alias=True) == {
        **FULL,
        "raw_status": FULL["status"],
    }


@given(payloads)
def test_every_run_with_a_textual_id_and_status_is_read_and_survives_json(payload):
    first = Run.model_validate(payload)
    text = json.dumps(first.to_json(), allow_nan=False)
    assert Run.model_validate(json.loads(text)) == first
    assert pickle.loads(pickle.dumps(first)) == first
    assert (first.id, first.raw_status, first.status) == (
        payload["id"],
        payload["status"],
        payload["status"],
    )
    assert set(payload) <= set(first.to_json())


@given(words.filter(lambda word: word not in set(RunStatus)))
def test_an_unknown_status_is_kept_and_not_final(word):
    odd = run(status=word)
    assert (odd.raw_status, odd.status.is_known, odd.is_final) == (word, False, False)


def test_a_backend_may_give_the_raw_word_beside_the_mapped_status():
    mapped = run(status="completed", raw_status="success")
    assert (mapped.status, mapped.raw_status) == (RunStatus.COMPLETED, "success")
    assert Run.model_validate(mapped.to_json()) == mapped


def test_a_summary_is_a_run_with_some_of_its_fields():
    whole = run(
        thread_id="t",
        created_at=5,
        usage={"total_tokens": 7},
        last_error={"code": "c"},
        instructions="Be brief.",
        metadata={"a": "b"},
        x_gateway=1,
    )
    short = whole.summary()
    assert {name for name, value in short.to_json().items() if value is not None} == {
        *("id", "status", "raw_status", "thread_id", "created_at", "usage", "last_error")
    }
    assert all(getattr(short, name) == getattr(whole, name) for name in SUMMARY)
    assert Run.model_validate(short.to_json()) == short == short.summary()


@pytest.mark.parametrize("name", OPTIONAL)
@pytest.mark.parametrize("value", [None, "text", 1.5, -1, True, [], [None], {}, {"x": [{}]}])
def test_no_optional_field_can_lose_a_run(name, value):
    odd = run(**{name: value})
    assert Run.model_validate(odd.to_json()) == odd


@pytest.mark.parametrize("name", TIMES)
@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (1767323045, 1767323045),
        (1767323045.75, 1767323045),
        ("1767323045", 1767323045),
        ("2026-01-02T03:04:05Z", 1767323045),
        ("2026-01-02T03:04:05.9+00:00", 1767323045),
        ("2026-01-02T05:04:05+02:00", 1767323045),
        ("yesTerday", "yesTerday"),
    ],
)
def test_times_are_epoch_seconds_where_they_can_be_read(name, value, seconds):
    assert getattr(run(**{name: value}), name) == seconds


@pytest.mark.parametrize(
    "body",
    [None, [], "run_1", 5, {}, {"id": "r"}, {"status": "queued"}]
    + [{"id": "r", "status": bad} for bad in (None, 5, [], {})]
    + [{"id": bad, "status": "queued"} for bad in (None, 5, [], {})],
)
def test_what_has_no_textual_id_and_status_is_no_run(body):
    with pytest.raises(ValidationError):
        Run.model_validate(body)


def test_fields_a_server_adds_are_kept():
    assert run(x_gateway={"a": [1]}).model_extra == {"x_gateway": {"a": [1]}}


@pytest.mark.parametrize(
    ("ref", "words"),
    [(RunRef("r"), "run 'r'"), (RunRef("r", "t"), "run 'r' on thread 't'")],
)
def test_a_ref_names_run_and_thread(ref, words):
    assert str(ref) == words
    assert ref == RunRef(ref.run_id, ref.thread_id)


@pytest.mark.parametrize("raw", [None, 5, {}])
def test_a_raw_status_that_is_no_word_is_taken_from_the_status(raw):
    run = Run.model_validate({"id": "r", "status": "completed", "raw_status": raw})
    assert (run.status, run.raw_status) == ("completed", "completed")


@pytest.mark.parametrize("text", ["2026-01-01T00:00:00", "2026-01-01T00:00:00Z"])
def test_a_time_without_a_zone_is_utc(text):
    run = Run.model_validate({"id": "r", "status": "queued", "created_at": text})
    assert run.created_at == 1767225600


@pytest.mark.parametrize("text", ["nan", "inf"])
def test_a_text_is_no_number_that_json_does_not_have(text):
    run = Run.model_validate({"id": "r", "status": "queued", "temperature": text})
    assert run.temperature is text


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_what_json_has_no_number_for_is_nothing(number):
    body = {"id": "r", "status": "queued", "temperature": number, "more": {"x": [number, 1.5]}}
    run = Run.model_validate(body)
    assert run.temperature is None
    assert run.model_extra == {"more": {"x": [None, 1.5]}}


def test_what_airflow_cannot_encode_is_made_what_it_can():
    """Its triggerer would die of it, with all of its triggers."""
    cut, long = "cut \ud83d", 2**64 + 7
    body = {"id": "r", "status": "failed", "metadata": {cut: cut, "n": long, "m": -(2**63) - 1}}
    run = Run.model_validate({**body, "last_error": {"code": 5**3000, "message": cut}})
    assert run.metadata == {"cut ?": "cut ?", "n": str(long), "m": str(-(2**63) - 1)}
    event = RunEvent.of(run).to_json()
    assert json.loads(json.dumps(event, ensure_ascii=False).encode()) == event
    assert event["run"]["last_error"] == {"code": None, "message": "cut ?"}


def test_what_is_nested_too_deeply_is_left_out():
    nest: list = []
    for _ in range(5000):
        nest = [nest]
    run = Run.model_validate({"id": "r", "status": "completed", "more": nest})
    text = json.dumps(run.to_json())
    assert 90 < text.count("[") - 2 * text.count("[]") <= 100


@pytest.mark.parametrize(
    "text",
    [
        *["0x" + "a" * 30, "a_b" + "c" * 29, "+" + "1" * 31, "\uff11" * 32],
        *["a" * 20 + "-" * 12 + "a" * 12, "a" * 31, "a" * 33, "run_" + "a" * 32],
    ],
)
def test_what_only_resembles_a_uuid_is_an_id_as_it_is(text):
    # Sent in another spelling it would name something else. `uuid.UUID` takes most of them.
    assert canonical(text) == text
    assert as_uuid(text) is None


def test_ids_that_code_hands_over_in_other_types_become_text():
    ref = RunRef(UUID(int=1), 7)
    assert ref == RunRef(str(UUID(int=1)), "7")
    assert RunRef(True).run_id is True  # no id: it is refused where it is used


@given(st.uuids())
def test_a_uuid_is_the_same_id_in_every_spelling(uuid):
    spellings = [str(uuid), str(uuid).upper(), uuid.hex, f"{{{uuid}}}", uuid.urn]
    assert {canonical(each) for each in spellings} == {str(uuid)}
    assert all(same_id(one, str(uuid)) for one in spellings)
    assert not same_id(str(uuid), f"{uuid}0")


@given(st.text(WHOLE))
def test_what_is_no_uuid_is_compared_as_it_is(text):
    assert same_id(text, text)
    assert canonical(text) == text or as_uuid(text) == str(UUID(text))


def test_a_run_is_known_under_the_id_that_was_asked_for():
    run = Run.model_validate({"id": "a", "status": "queued"})
    glimpse = Glimpse("a", run.status, "queued", lambda: run)
    assert (run.under("a"), glimpse.under("a")) == (run, glimpse)
    assert (run.under("b").id, glimpse.under("b").id) == ("b", "b")
    assert glimpse.under("b").read().id == "b"
