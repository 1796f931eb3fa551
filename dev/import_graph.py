"""Which modules of a package import each other, read from the source without running it.

Imports for types only (``if TYPE_CHECKING``) and imports inside functions count as well: whoever
reads a module needs the other one too.
"""

from __future__ import annotations

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ROOT = Path(__file__).resolve().parents[1]


def import_graph(package: str, root: Path = ROOT) -> dict[str, set[str]]:
    """Return the modules of a package, each with those of the package that it imports.

    A module's own packages do not count: Python imports them on the way to any module in them.

    :param package: its dotted name, such as ``airflow_provider_runs.testing``.
    :param root: the folder that the top package is in.
    """
    folder = root.joinpath(*package.split("."))
    files = {_module(file.relative_to(root)): file for file in sorted(folder.rglob("*.py"))}
    return {
        name: {_known(imported, files) for imported in _imports(file)} & files.keys() - {name}
        for name, file in files.items()
    }


def circle(graph: Mapping[str, set[str]]) -> list[str]:
    """Return modules each of which is imported by the next, back to the first; none if none are."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        found: list[str] = error.args[1]
        return found
    return []


def _module(file: Path) -> str:
    parts = file.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _imports(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.level or not node.module:
                raise ValueError(f"{file} has a relative import, which is not followed here")
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _known(imported: str, files: Mapping[str, Path]) -> str:
    """Return the module that an import names: ``package.module`` itself, or a name in it."""
    return imported if imported in files else imported.rpartition(".")[0]
