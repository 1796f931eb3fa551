"""Our models against the ``Run`` type of the published ``openai`` SDK (seen in 3.54)."""

import types
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_runs import models
from airflow_provider_runs.models import Run
from tests.unit.backends import WHOLE, can_be_logged

pytest.importorskip("openai")

from openai.types.beta import threads
from openai.types.beta.assistant_response_format_option import AssistantResponseFormatOption
from openai.types.beta.assistant_tool import AssistantTool
from openai.types.beta.assistant_tool_choice import AssistantToolChoice
from openai.types.beta.assistant_tool_choice_function import AssistantToolChoiceFunction
from openai.types.beta.file_search_tool import FileSearch
from openai.types.beta.threads import RequiredActionFunctionToolCall, run
from openai.types.shared import FunctionDefinition
from openai.types.shared.response_format_json_schema import JSONSchema
from pydantic import BaseModel

UNIONS = (Union, types.UnionType)

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text(WHOLE),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(WHOLE), inner, max_size=2),
    max_leaves=5,
)
finite = st.floats(allow_nan=False, allow_infinity=False)
#: With the numbers as text and the like that the SDK's type takes too.
LEAVES: dict[Any, tuple[st.SearchStrategy, st.SearchStrategy]] = {
    str: (st.text(WHOLE), st.nothing()),
    bool: (st.booleans(), st.sampled_from(["true", "no", 0, 1])),
    int: (
        st.integers(-(2**63), 2**64 - 1),
        st.integers(-(2**63), 2**63 - 1).map(str) | st.integers(-(2**50), 2**50).map(float),
    ),
    float: (finite, finite.map(str) | st.integers(-9, 9)),
    object: (json_values, st.nothing()),
}


def payloads_of(kind: Any, *, lax: bool) -> st.SearchStrategy:  # noqa: PLR0911 - one per type
    """What a type of the SDK takes, read off its own annotations."""
    if kind in LEAVES:
        strict, loose = LEAVES[kind]
        return strict | loose if lax else strict
    if kind is type(None):
        return st.none()
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        lax = lax and kind is not FileSearch  # which we keep as it comes
        fields = {
            field.alias or name: (field.is_required(), payloads_of(field.annotation, lax=lax))
            for name, field in kind.model_fields.items()
        }
        return st.fixed_dictionaries(
            {name: part for name, (required, part) in fields.items() if required},
            optional={name: part for name, (required, part) in fields.items() if not required},
        )
    origin, args = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return payloads_of(args[0], lax=lax)
    if origin is Literal:
        return st.sampled_from(args)
    if origin in UNIONS:
        return st.one_of(*(payloads_of(arg, lax=lax) for arg in args))
    if origin is list:
        return st.lists(payloads_of(args[0], lax=lax), max_size=3)
    assert origin is dict, f"the SDK uses a type this test does not know: {kind!r}"
    return st.dictionaries(st.text(WHOLE), payloads_of(args[1], lax=lax), max_size=3)


def names(*kinds: Any) -> set[str]:
    """The fields of one or several types, as they are called on the wire."""
    found: set[str] = set()
    for kind in kinds:
        origin = get_origin(kind)
        if origin is Annotated or origin in UNIONS:
            found |= names(*get_args(kind)[: 1 if origin is Annotated else None])
        elif isinstance(kind, type) and issubclass(kind, BaseModel):
            found |= {field.alias or name for name, field in kind.model_fields.items()}
    return found


many = settings(max_examples=200)


@many
@given(payloads_of(threads.Run, lax=True).filter(can_be_logged))
def test_what_the_sdk_accepts_we_accept_and_read_alike(payload):
    theirs = threads.Run.model_validate(payload).model_dump(exclude_unset=True, by_alias=True)
    ours = Run.model_validate(payload).model_dump(exclude_unset=True, by_alias=True)
    assert ours.pop("raw_status") == payload["status"]
    assert ours == theirs


@many
@given(payloads_of(threads.Run, lax=False).filter(can_be_logged))
def test_what_we_emit_of_a_documented_run_the_sdk_accepts_and_reads_alike(payload):
    emitted = Run.model_validate(payload).to_json()
    theirs = threads.Run.model_validate(emitted).model_dump(exclude_none=True, by_alias=True)
    assert theirs.pop("raw_status") == payload["status"]
    assert theirs == threads.Run.model_validate(payload).model_dump(
        exclude_none=True, by_alias=True
    )


def test_the_fields_of_a_run_are_those_of_the_sdk():
    assert names(Run) - {"raw_status"} == names(threads.Run)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (models.RequiredAction, run.RequiredAction),
        (models.SubmitToolOutputs, run.RequiredActionSubmitToolOutputs),
        (models.ToolCall, RequiredActionFunctionToolCall),
        (models.FunctionCall, RequiredActionFunctionToolCall.model_fields["function"].annotation),
        (models.LastError, run.LastError),
        (models.IncompleteDetails, run.IncompleteDetails),
        (models.Usage, run.Usage),
        (models.TruncationStrategy, run.TruncationStrategy),
        (models.ToolChoice, AssistantToolChoice),
        (models.FunctionName, AssistantToolChoiceFunction),
        (models.ResponseFormat, AssistantResponseFormatOption),
        (models.JSONSchemaFormat, JSONSchema),
        (models.Tool, AssistantTool),
        (models.FunctionDefinition, FunctionDefinition),
    ],
)
def test_the_fields_of_each_part_are_those_of_the_sdk(ours, theirs):
    assert names(ours) == names(theirs)


def test_the_statuses_are_those_of_the_sdk():
    assert set(get_args(threads.RunStatus)) == set(models.RunStatus)
