"""What we read of a Foundry run against ``ThreadRun`` of the published ``azure-ai-agents`` SDK."""

import datetime as dt
import types
from collections.abc import Mapping
from enum import Enum
from types import SimpleNamespace
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_runs.backends import FoundryBackend
from airflow_provider_runs.connections.settings import Settings
from airflow_provider_runs.models import Run, RunStatus
from tests.unit.backends import WHOLE, can_be_logged

pytest.importorskip("azure.ai.agents")

from azure.ai.agents import _types as sdk_types
from azure.ai.agents import models as sdk
from azure.ai.agents.models import ThreadRun
from azure.ai.agents.models._models import ToolDefinition

CONN = SimpleNamespace(conn_id="c", host="https://h", port=None, schema=None, password="")
BACKEND = FoundryBackend(Settings.from_connection(CONN, {}, FoundryBackend.form))
#: Where the SDK's annotations find their names.
NAMES = {"_models": sdk, "_types": sdk_types, "datetime": dt}
Model = ToolDefinition.__base__

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text(WHOLE),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(WHOLE), inner, max_size=2),
    max_leaves=5,
)
LEAVES: dict[Any, st.SearchStrategy] = {
    str: st.text(WHOLE),
    bool: st.booleans(),
    int: st.integers(-(2**63), 2**64 - 1),
    float: st.floats(allow_nan=False, allow_infinity=False),
    dt.datetime: st.integers(0, 2**33),  # epoch seconds
    type(None): st.none(),
    Any: json_values,
}


def fields_of(kind: type) -> dict[str, Any]:
    """The types of a model's fields, by their names on the wire."""
    module = vars(__import__(kind.__module__, fromlist=["*"]))
    hints = get_type_hints(kind, {**module, **NAMES})
    rest = kind({})._attr_to_rest_field  # which its first use fills
    return {field._rest_name: hints[name] for name, field in rest.items()}


def payloads_of(kind: Any) -> st.SearchStrategy:  # noqa: PLR0911 - one per type
    """What a type of the SDK takes, read off its own annotations."""
    if kind in LEAVES:
        return LEAVES[kind]
    if isinstance(kind, type) and issubclass(kind, Enum):
        return st.sampled_from([member.value for member in kind])
    if isinstance(kind, type) and issubclass(kind, Model):
        if "__mapping__" in vars(kind):  # a base, told apart by one of its fields
            return st.one_of(*map(payloads_of, kind.__mapping__.values()))
        needed = {"id", "status"} if kind is ThreadRun else set()
        parts = {
            name: (name in needed or get_origin(hint) is Literal, payloads_of(hint))
            for name, hint in fields_of(kind).items()
        }
        return st.fixed_dictionaries(
            {name: part for name, (required, part) in parts.items() if required},
            # What its docstrings call required is null, or not there, until the run has it.
            optional={name: part | st.none() for name, (must, part) in parts.items() if not must},
        )
    origin, args = get_origin(kind), get_args(kind)
    if origin is Literal:
        return st.sampled_from([getattr(value, "value", value) for value in args])
    if origin in {Union, types.UnionType}:
        return st.one_of(*map(payloads_of, args))
    if origin is list:
        return st.lists(payloads_of(args[0]), max_size=3)
    assert origin is dict, f"the SDK uses a type this test does not know: {kind!r}"
    return st.dictionaries(st.text(WHOLE), payloads_of(args[1]), max_size=3)


payloads = payloads_of(ThreadRun)
many = settings(max_examples=100)


def plain(theirs: Any) -> Any:
    """What the SDK made of a value, with every field of its models, and nothings left out."""
    if isinstance(theirs, Model):
        named = {
            field._rest_name: getattr(theirs, name)
            for name, field in theirs._attr_to_rest_field.items()
        }
        return plain({**dict.fromkeys(theirs), **named})
    if isinstance(theirs, Mapping):
        return {name: plain(value) for name, value in theirs.items() if value is not None}
    if isinstance(theirs, list):
        return [plain(value) for value in theirs]
    if isinstance(theirs, dt.datetime):
        return int(theirs.timestamp())
    return theirs.value if isinstance(theirs, Enum) else theirs


@many
@given(payloads.filter(can_be_logged))
def test_all_fields_mean_the_same_to_both(payload):
    theirs, ours = ThreadRun(payload), BACKEND.read_run(payload)
    assert plain(theirs) == plain({"object": "thread.run", **payload})  # it reads all of it
    read = ours.model_dump(by_alias=True, warnings=False)
    assert read.pop("raw_status") == theirs.status
    assert read.pop("status") == BACKEND.status_of(theirs.status)  # usual spellings are understood
    assert plain({"object": "thread.run", "status": theirs.status, **read}) == plain(theirs)
    assert (ours.assistant_id, ours.thread_id) == (theirs.agent_id, theirs.thread_id)
    for name in ("created_at", "expires_at", "started_at", "completed_at", "failed_at"):
        assert getattr(ours, name) == plain(getattr(theirs, name))


@many
@given(payloads.filter(can_be_logged))
def test_what_we_emit_the_sdk_reads_alike_and_nothing_of_it_is_lost(payload):
    emitted = BACKEND.read_run(payload).to_json()
    theirs = plain(ThreadRun({n: v for n, v in emitted.items() if n != "raw_status"}))
    understood = BACKEND.status_of(payload["status"]).value
    assert theirs == plain(ThreadRun({**payload, "status": understood}))
    assert Run.model_validate(emitted).to_json() == emitted


def test_the_statuses_of_the_sdk_are_known_and_final_where_they_are_ends():
    words = {status.value for status in sdk.RunStatus}
    assert all(RunStatus.of(word).is_known for word in words)
    assert {word for word in words if RunStatus.of(word).is_final} == {
        *("cancelled", "completed", "expired", "failed")
    }


def test_the_fields_of_a_run_are_those_of_the_sdk():
    ours = {field.alias or name for name, field in Run.model_fields.items()} - {"raw_status"}
    theirs = set(fields_of(ThreadRun))
    assert ours <= theirs
    assert theirs - ours == {"tool_resources"}  # which is kept as it comes
