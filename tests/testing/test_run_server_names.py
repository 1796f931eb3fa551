"""The names that the run server's modules offer."""

from __future__ import annotations

import ast
import re
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import airflow_provider_runs.testing as package
from airflow_provider_runs.testing import dialects
from dev.import_graph import import_graph

if TYPE_CHECKING:
    from collections.abc import Iterator

#: What users import, the dialects aside.
NAMES = {"ApiError", "Fault", "Gateway", "RecordedRequest", "RunScript", "RunServer"}
MODULES = sorted(set(import_graph(package.__name__)) - {f"{package.__name__}.__main__"})
#: They offer the names of others.
PACKAGES = {package.__name__, dialects.__name__}


def order(name: str) -> tuple[bool, bool, str]:
    """Constants, then classes, then functions: as ruff sorts (RUF022)."""
    return not name.isupper(), not name[0].isupper(), name


def defined(module: str) -> Iterator[str]:
    """Yield the names that a module defines."""
    for node in ast.parse(Path(import_module(module).__file__ or "").read_text()).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name
        elif isinstance(node, ast.Assign):
            yield from (target.id for target in node.targets if isinstance(target, ast.Name))
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield node.target.id


@pytest.mark.parametrize("name", MODULES)
def test_a_module_says_what_is_public_in_order(name: str) -> None:
    module = import_module(name)
    assert module.__all__ == sorted(set(module.__all__), key=order)
    assert [public for public in module.__all__ if not hasattr(module, public)] == []


@pytest.mark.parametrize("name", sorted(set(MODULES) - PACKAGES))
def test_what_is_public_is_what_has_no_underscore(name: str) -> None:
    public = {each for each in defined(name) if not each.startswith("_")}
    assert set(import_module(name).__all__) == public


def test_users_find_the_server_and_every_dialect() -> None:
    kinds = {kind.__name__: kind for kind in dialects.DIALECTS.values()}
    assert package.__all__ == sorted(NAMES | kinds.keys())
    assert {"Assistants", "Foundry", "LangGraph", "Responses"} <= kinds.keys()
    for name, kind in kinds.items():
        assert getattr(package, name) is kind


def test_every_dialect_is_found_by_a_name_of_its_own() -> None:
    assert dialects.__all__ == sorted(kind.__name__ for kind in dialects.DIALECTS.values())


def test_every_module_is_in_the_table_of_tests() -> None:
    here, folder = Path(__file__).parent, Path(package.__file__).parent
    conftest = ast.get_docstring(ast.parse((here / "conftest.py").read_text())) or ""
    rows = re.findall(r"^([\w/]+) {2,}(\w+(?:, \w+)*)$", conftest, re.MULTILINE)
    modules = {file.relative_to(folder).with_suffix("").as_posix() for file in folder.rglob("*.py")}
    assert {module for module, _ in rows} == modules
    named = {name for _, names in rows for name in names.split(", ")}
    files = {file.stem.removeprefix("test_run_server_") for file in here.glob("test_*.py")}
    assert named == files - {"imports"}
