"""What we read of a response against the ``Response`` type of the published ``openai`` SDK."""

from types import SimpleNamespace
from typing import Any, Union, get_args

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_runs.backends import ResponsesBackend
from airflow_provider_runs.connections.settings import Settings
from airflow_provider_runs.models import Run, RunRef, RunStatus

pytest.importorskip("openai")

from openai.types import responses
from openai.types.responses import Response, response_input_item

from tests.unit.backends import can_be_logged
from tests.unit.test_openai_oracle import payloads_of

CONN = SimpleNamespace(conn_id="c", host="https://h", port=None, schema=None, password="sk-oracle")
BACKEND = ResponsesBackend(Settings.from_connection(CONN, {}, ResponsesBackend.form))
WORDS = get_args(get_args(Response.model_fields["status"].annotation)[0])

#: A few members of the SDK's unions that have dozens.
OUTPUT = Union[  # noqa: UP007 - as the SDK writes them
    responses.ResponseOutputMessage,
    responses.ResponseFunctionToolCall,
    responses.ResponseReasoningItem,
]
INPUT = Union[responses.EasyInputMessage, response_input_item.FunctionCallOutput]  # noqa: UP007
TOOL = Union[  # noqa: UP007
    responses.FunctionTool, responses.FileSearchTool, responses.WebSearchTool
]
FEW: dict[str, Any] = {
    "output": list[OUTPUT],
    "instructions": Union[str, list[INPUT], None],  # noqa: UP007
    "tools": list[TOOL],
}
#: Fields that we read too, so that text for a number means the same to both.
READ = {"temperature", "top_p", "max_output_tokens", "parallel_tool_calls"}
times = st.floats(0, 1e11) | st.integers(0, 10**11)
OWN: dict[str, st.SearchStrategy] = {
    "created_at": times,
    "completed_at": times | st.none(),
    "status": st.sampled_from(WORDS),  # without one nothing is a run to us
}
fields = {
    name: (
        field.is_required() or name == "status",
        OWN[name]
        if name in OWN
        else payloads_of(FEW.get(name, field.annotation), lax=name in READ),
    )
    for name, field in Response.model_fields.items()
}
payloads = st.fixed_dictionaries(
    {name: values for name, (required, values) in fields.items() if required},
    optional={name: values for name, (required, values) in fields.items() if not required},
)
many = settings(
    max_examples=100,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)

#: What the SDK calls what we call otherwise.
THEIRS = {"last_error": "error", "max_completion_tokens": "max_output_tokens"}
THEIRS_IN_USAGE = {"prompt_tokens": "input_tokens", "completion_tokens": "output_tokens"}


def renamed(run: dict[str, Any]) -> dict[str, Any]:
    """A run's fields by the names of the SDK."""
    renamed = {THEIRS.get(name, name): value for name, value in run.items()}
    if renamed.get("usage"):
        usage = renamed["usage"].items()
        renamed["usage"] = {THEIRS_IN_USAGE.get(name, name): value for name, value in usage}
    return {name: value for name, value in renamed.items() if name != "raw_status"}


def bare(value: Any) -> Any:
    """A value without its nothings: which of them are written out says nothing."""
    if isinstance(value, dict):
        return {name: bare(part) for name, part in value.items() if part is not None}
    return [bare(part) for part in value] if isinstance(value, list) else value


def whole(payload: dict[str, Any]) -> dict[str, Any]:
    """A payload without the fractions of seconds, which we drop."""
    return {
        name: int(value) if name.endswith("_at") and value is not None else value
        for name, value in payload.items()
    }


def read_by_sdk(payload: dict[str, Any], **how: bool) -> dict[str, Any]:
    return Response.model_validate(payload).model_dump(by_alias=True, **how)


@many
@given(payloads.filter(can_be_logged))
def test_what_the_sdk_accepts_we_accept_and_read_alike(payload):
    theirs = read_by_sdk(payload, exclude_unset=True)
    run = BACKEND.read_run(payload)
    assert run.status == run.raw_status == payload["status"]
    ours = run.model_dump(exclude_unset=True, by_alias=True, warnings=False)
    assert renamed(ours) == whole(theirs)


@many
@given(payloads.filter(can_be_logged))
def test_what_we_emit_the_sdk_accepts_and_nothing_of_it_is_lost(payload):
    emitted = BACKEND.read_run(payload).to_json()
    theirs = read_by_sdk(renamed(emitted), warnings=False)
    assert bare(theirs) == bare(whole(read_by_sdk(payload)))
    assert Run.model_validate(emitted).to_json() == emitted


def test_the_statuses_of_the_sdk_are_known_and_final_where_they_are_ends():
    assert all(RunStatus.of(word).is_known for word in WORDS)
    assert {word for word in WORDS if not RunStatus.of(word).is_final} == {"queued", "in_progress"}


def test_what_is_renamed_is_what_the_sdk_has():
    assert set(THEIRS.values()) <= set(Response.model_fields)
    assert not set(THEIRS) & set(Response.model_fields)
    assert set(THEIRS_IN_USAGE.values()) <= set(responses.ResponseUsage.model_fields)
    assert not set(THEIRS_IN_USAGE) & set(responses.ResponseUsage.model_fields)


@many
@given(payloads.filter(can_be_logged))
def test_the_output_is_what_the_sdk_reads(payload):
    run = BACKEND.read_run(payload)
    exchange = BACKEND.output(RunRef(run.id), run)
    with pytest.raises(StopIteration) as ended:  # no call is needed: the response holds it
        next(exchange)
    output = ended.value.value
    theirs = Response.model_validate(payload)
    assert output["output_text"] == theirs.output_text
    assert bare(output["output"]) == bare(
        [each.model_dump(by_alias=True) for each in theirs.output]
    )
