"""No circle of imports, those for types only and those inside functions included."""

from pathlib import Path

import pytest

from dev.import_graph import circle, import_graph


@pytest.mark.parametrize("package", ["airflow_provider_runs", "benchmarks", "dev"])
def test_there_is_no_circle(package: str):
    graph = import_graph(package)
    assert any(graph.values())
    assert circle(graph) == []


@pytest.mark.parametrize(
    "back",
    [
        "from pkg.first import Name",
        "from pkg import first",
        "import pkg.first",
        "if TYPE_CHECKING:\n    from pkg.first import Name",
        "def function():\n    from pkg.first import Name",
    ],
)
def test_a_circle_is_found_whatever_the_import_looks_like(back: str, tmp_path: Path):
    folder = tmp_path / "pkg"
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / "first.py").write_text("from pkg.second import thing\nimport json\n")
    (folder / "second.py").write_text("from pkg.third import thing\n")
    (folder / "third.py").touch()
    graph = import_graph("pkg", tmp_path)
    assert graph == {
        "pkg": set(),
        "pkg.first": {"pkg.second"},
        "pkg.second": {"pkg.third"},
        "pkg.third": set(),
    }
    assert circle(graph) == []

    (folder / "third.py").write_text(back)
    found = circle(import_graph("pkg", tmp_path))
    assert set(found) == {"pkg.first", "pkg.second", "pkg.third"}
    assert found[0] == found[-1]


def test_a_relative_import_is_refused_rather_than_overlooked(tmp_path: Path):
    (tmp_path / "pkg").mkdir()
    (tmp_path / "pkg" / "one.py").write_text("from . import other\n")
    with pytest.raises(ValueError, match="relative import"):
        import_graph("pkg", tmp_path)
