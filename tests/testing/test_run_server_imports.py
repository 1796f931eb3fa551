"""The arrows between the run server's modules run one way, those for types only too."""

from __future__ import annotations

from pathlib import Path

import pytest

import airflow_provider_runs.testing as package
from dev.import_graph import circle, import_graph

GRAPH = {
    name.removeprefix(package.__name__).removeprefix("."): {
        path.removeprefix(package.__name__).removeprefix(".") for path in imported
    }
    for name, imported in import_graph(package.__name__).items()
}
FOLDER = Path(package.__file__).parent
DIALECTS = {name for name in GRAPH if name.split(".")[0] == "dialects"}
#: Runs and where they are kept: no HTTP, and nobody's wire.
KEPT = {"errors", "json_types", "rules", "runs", "scripts", "store", "views"}


def reached(module: str) -> set[str]:
    """Return all that a module imports, and what that imports."""
    return GRAPH[module].union(*map(reached, GRAPH[module]))


def test_there_is_no_circle() -> None:
    assert circle(GRAPH) == []


@pytest.mark.parametrize("module", sorted(KEPT))
def test_runs_and_their_store_know_no_dialect_and_no_http(module: str) -> None:
    assert reached(module) <= KEPT
    assert "starlette" not in (FOLDER / f"{module}.py").read_text()


@pytest.mark.parametrize("module", sorted(DIALECTS))
def test_a_dialect_knows_no_server(module: str) -> None:
    assert reached(module) <= DIALECTS | KEPT | {"endpoints"}


@pytest.mark.parametrize("module", sorted(DIALECTS - {"dialects"}))
def test_a_dialect_does_not_know_the_list_of_all(module: str) -> None:
    assert "dialects" not in reached(module)


def test_the_server_is_the_outermost() -> None:
    assert {name for name, imported in GRAPH.items() if "server" in imported} == {
        "",
        "__main__",
        "fixtures",
    }
