"""A dialect that lacks something cannot be made."""

from __future__ import annotations

from pathlib import Path
from types import new_class
from typing import Any

import pytest

import airflow_provider_runs.testing as package
from airflow_provider_runs.testing import Assistants, LangGraph, RunServer
from airflow_provider_runs.testing.dialects import DIALECTS
from airflow_provider_runs.testing.dialects.agent_server import AgentServer
from airflow_provider_runs.testing.dialects.base import Dialect
from airflow_provider_runs.testing.dialects.openai import OpenAI
from airflow_provider_runs.testing.rules import Rules

#: What every dialect must do.
METHODS = [
    "check_id",
    "check_request",
    "endpoints",
    "missing",
    "new_id",
    "no_route",
    "refusal",
    "run_json",
]
#: What every dialect must say of itself.
WORDS = {"name": "klingon", "fields": {"metadata": {}}, "start_requests": ()}


def subclass(base: type, namespace: dict[str, Any]) -> type:
    return new_class("Klingon", (base,), {}, lambda names: names.update(namespace))


@pytest.mark.parametrize("kind", [Rules, Dialect, OpenAI, AgentServer])
def test_what_dialects_have_in_common_is_none(kind: type) -> None:
    with pytest.raises(TypeError, match="abstract class"):
        kind()


def test_these_methods_are_a_dialects_own() -> None:
    assert sorted(Dialect.__abstractmethods__) == METHODS


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", [Assistants, LangGraph])
def test_a_dialect_without_one_of_its_methods_cannot_be_made(kind: type, method: str) -> None:
    incomplete = subclass(kind, {method: getattr(Dialect, method)})
    with pytest.raises(TypeError, match=f"abstract method '?{method}"):
        incomplete()


@pytest.mark.parametrize("missing", WORDS)
def test_a_dialect_must_say_what_it_is(missing: str) -> None:
    words = {name: value for name, value in WORDS.items() if name != missing}
    with pytest.raises(TypeError, match=f"^the dialect Klingon does not say its {missing}$"):
        subclass(Dialect, words)


def test_a_dialect_may_differ_from_another_in_little() -> None:
    kind = subclass(Assistants, {"name": "klingon"})
    assert RunServer(dialect=kind()).create_run()["object"] == "thread.run"


@pytest.mark.parametrize("kind", DIALECTS.values())
def test_no_dialect_is_a_base(kind: type[Dialect]) -> None:
    assert not kind.__abstractmethods__
    assert isinstance(kind(), Dialect)


def test_nothing_is_left_to_be_found_out_in_a_call() -> None:
    sources = Path(package.__file__).parent.rglob("*.py")
    assert not [file for file in sources if "NotImplementedError" in file.read_text()]
