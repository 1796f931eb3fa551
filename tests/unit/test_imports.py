import ast
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

import airflow_provider_runs

PACKAGE = "airflow_provider_runs"
FOLDER = Path(airflow_provider_runs.__file__).parent

#: The rooms of the package, from the outermost to the innermost: a folder, or modules at the root.
#: An import runs within its room, or down to a later one.
FLOORS = (
    ("operators",),
    ("sensors", "notifications"),
    ("triggers",),
    ("links", "tasks"),
    ("hooks", "polling"),
    ("transport",),
    ("flows",),
    ("backends",),
    ("connections",),
    ("models", "metrics"),
    ("_version", "airflow_errors", "errors", "provider_info", "run_ref", "status"),
    ("summary",),
    ("plain_json",),
)
FLOOR = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
#: Only these rooms may import Airflow.
OUTER = {
    *("airflow_errors", "hooks", "links", "notifications", "operators", "sensors", "tasks"),
    "triggers",
}


def room_of(name: str) -> str:
    """The room of a module: the folder it is in, or itself."""
    return name.split(".", maxsplit=1)[0]


def name_of(file: Path) -> str:
    parts = file.relative_to(FOLDER).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


TREES = {name_of(file): ast.parse(file.read_text()) for file in sorted(FOLDER.rglob("*.py"))}
#: The rooms; the package itself only passes names on, when they are asked for.
INSIDE = sorted(name for name in TREES if name and room_of(name) != "testing")


def imports(node: ast.AST, *, typing: bool) -> Iterator[str]:
    """The dotted names that a module imports, also in functions; for types only if asked to."""
    if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
        children = [*node.orelse, *(node.body if typing else [])]
    else:
        children = list(ast.iter_child_nodes(node))
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    if isinstance(node, ast.ImportFrom):
        assert node.module, "a relative import"
        assert node.level == 0, "a relative import"
        yield node.module
        yield from (f"{node.module}.{alias.name}" for alias in node.names)
    for child in children:
        yield from imports(child, typing=typing)


def own(name: str, *, typing: bool = False) -> set[str]:
    """The modules of the package that a module of it imports."""
    found = {
        path.removeprefix(PACKAGE).removeprefix(".")
        for path in imports(TREES[name], typing=typing)
        if path == PACKAGE or path.startswith(f"{PACKAGE}.")
    }
    return {path for path in found if path in TREES} - {""}


def roots(name: str, *, typing: bool = False) -> set[str]:
    return {path.split(".")[0] for path in imports(TREES[name], typing=typing)}


def loaded(*statements: str) -> list[set[str]]:
    """The modules that each statement loads, in a fresh interpreter."""
    code = ["import sys, json", "seen, news = set(sys.modules), []"]
    for statement in statements:
        code += [statement, "new = set(sys.modules) - seen", "seen |= new"]
        code += ["news.append(sorted(new))"]
    code += ["print('LOADED' + json.dumps(news))"]
    env = {**os.environ, "PYTHONPATH": str(FOLDER.parent)}
    run = subprocess.run(
        [sys.executable, "-c", "\n".join(code)],
        env=env,
        capture_output=True,
        text=True,
        check=True,
    )
    return [set(news) for news in json.loads(run.stdout.rpartition("LOADED")[2])]


def test_the_parser_sees_imports_of_all_kinds():
    assert "airflow" in roots("hooks")
    assert "wtforms" in roots("connections.forms")
    assert "hooks" in own("tasks.lazy", typing=True)
    assert "flows.wait" in own("tasks.last_seen", typing=True) - own("tasks.last_seen")


@pytest.mark.parametrize("name", INSIDE)
def test_an_import_runs_down_the_house(name):
    floor = FLOOR[room_of(name)]
    assert {
        path
        for path in own(name, typing=True)
        if FLOOR[room_of(path)] <= floor and room_of(path) != room_of(name)
    } == set()


@pytest.mark.parametrize("name", sorted(name for name in TREES if room_of(name) not in OUTER))
def test_only_the_outer_rooms_import_airflow(name):
    assert "airflow" not in roots(name, typing=True)


#: What moves bytes, or knows of time and threads.
IO = {"aiohttp", "asyncio", "azure", "concurrent", "os", "pathlib", "socket", "threading"}
SANS_IO = {
    "flows",
    "backends",
    "connections",
    "models",
    "plain_json",
    "errors",
    "run_ref",
    "status",
    "summary",
}


def reached(name: str) -> set[str]:
    """All modules of the package that come with one, whether it names them or another does."""
    found, news = set(), {name}
    while news:
        found |= news
        news = {path for module in news for path in own(module)} - found
    return found


@pytest.mark.parametrize("name", [name for name in INSIDE if room_of(name) in SANS_IO])
def test_nothing_that_does_io_is_reached_from_the_inner_rooms(name):
    rooms = {room_of(module) for module in reached(name)}
    assert rooms <= {*SANS_IO, "_version", "metrics"}
    assert {root for module in reached(name) for root in roots(module)}.isdisjoint(IO)


@pytest.mark.parametrize("name", [name for name in INSIDE if room_of(name) == "backends"])
def test_a_backend_knows_no_clock(name):
    assert "time" not in roots(name)


@pytest.mark.parametrize("name", sorted(set(TREES) - {"", *INSIDE}))
def test_the_run_server_knows_nothing_of_the_rest(name):
    assert {path for path in own(name, typing=True) if path.split(".")[0] != "testing"} == set()


def test_the_provider_info_costs_nothing_but_itself():
    (news,) = loaded(f"import {PACKAGE}; {PACKAGE}.get_provider_info()")
    assert news == {PACKAGE, f"{PACKAGE}.provider_info"}


def test_the_lazy_names_are_those_of_their_modules():
    from airflow_provider_runs.tasks import lazy

    assert sorted(lazy._MODULES) == sorted(lazy.__all__)
    for name, home in lazy._MODULES.items():
        found = getattr(lazy, name)
        assert found is getattr(import_module(f"{PACKAGE}.{home}"), name)
        assert found.__module__ == f"{PACKAGE}.{home}"
    typed = {path.removeprefix(f"{PACKAGE}.") for path in imports(TREES["tasks.lazy"], typing=True)}
    assert {f"{home}.{name}" for name, home in lazy._MODULES.items()} <= typed
    with pytest.raises(AttributeError, match="NoSuchName"):
        lazy.NoSuchName  # noqa: B018


@pytest.mark.parametrize("name", ["notifications", "operators", "sensors", "triggers"])
def test_a_dag_file_loads_little_of_the_package(name):
    _, news = loaded("import airflow.sdk", f"import {PACKAGE}.{name}")
    heavy = {"models", "flows", "hooks", "transport", "connections", "backends", "tasks.events"}
    assert f"{PACKAGE}.{name}" in news
    assert news.isdisjoint(f"{PACKAGE}.{module}" for module in heavy)
