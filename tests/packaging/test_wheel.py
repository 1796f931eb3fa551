"""The wheel, built from the source tree and installed where nothing can see that tree."""

from __future__ import annotations

import ast
import json
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
from email import message_from_string
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING
from zipfile import ZipFile

import pytest

import airflow_provider_runs
from dev.own_environment import own_environment

if TYPE_CHECKING:
    from collections.abc import Iterator
    from email.message import Message

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = "airflow_provider_runs"
VERSION = airflow_provider_runs.__version__
METADATA = f"{PACKAGE}-{VERSION}.dist-info"


def run(*command: str | Path, cwd: Path) -> str:
    """Run a command as a user would who knows nothing of the source tree; return its output."""
    process = subprocess.run(
        command,
        cwd=cwd,
        env=own_environment(cwd / "airflow"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 0, process.stdout + process.stderr
    return process.stdout


def source_files(folder: Path) -> set[str]:
    """The files of the package, as paths from the folder that it is in."""
    files = (path for path in (folder / PACKAGE).rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix() for path in files}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the source tree, without what is made in it."""
    copy = tmp_path_factory.mktemp("source") / "tree"
    shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(".*", "__pycache__", "dist"))
    return copy


@pytest.fixture(scope="module")
def dist(source: Path) -> Path:
    """The folder with the sdist, and the wheel that was built from that sdist."""
    run(sys.executable, "-m", "build", "--no-isolation", cwd=source)
    return source / "dist"


@pytest.fixture(scope="module")
def wheel(dist: Path) -> Iterator[ZipFile]:
    (path,) = dist.glob("*.whl")
    with ZipFile(path) as wheel:
        yield wheel


@pytest.fixture(scope="module")
def metadata(wheel: ZipFile) -> Message:
    return message_from_string(wheel.read(f"{METADATA}/METADATA").decode())


@pytest.fixture(scope="module")
def site_packages(wheel: ZipFile, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Those of a virtual environment with the wheel and, as links, all that is installed here.

    The links leave out the editable install, so neither the source tree nor its metadata is seen,
    and the `.pth` files, one of which is what makes that install editable.
    """
    folder = tmp_path_factory.mktemp("user") / "venv"
    venv.create(folder, with_pip=False)
    target = Path(sysconfig.get_path("purelib", "venv", {"base": str(folder)}))
    for folder_here in {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}:
        for path in Path(folder_here).iterdir():
            if not (path.name.startswith(PACKAGE) or path.suffix == ".pth"):
                (target / path.name).symlink_to(path)
    uv = ("-m", "uv", "pip", "install", "--quiet", "--offline", "--no-deps")
    python = folder / "bin" / "python"
    run(sys.executable, *uv, "--python", python, wheel.filename or "", cwd=folder)
    return target


@pytest.fixture(scope="module")
def python(site_packages: Path) -> Path:
    return site_packages.parents[2] / "bin" / "python"


def test_the_wheel_holds_the_package_its_metadata_and_nothing_else(source: Path, wheel: ZipFile):
    files = {info.filename for info in wheel.infolist()}
    names = ("METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE")
    assert files == source_files(source) | {f"{METADATA}/{name}" for name in names}
    assert f"{PACKAGE}/py.typed" in files


def test_the_wheel_is_for_any_platform(dist: Path):
    assert [path.name for path in dist.glob("*.whl")] == [f"{PACKAGE}-{VERSION}-py3-none-any.whl"]


def test_the_sdist_holds_all_that_testing_the_package_takes(source: Path, dist: Path):
    with tarfile.open(dist / f"{PACKAGE}-{VERSION}.tar.gz") as sdist:
        files = {
            PurePosixPath(*PurePosixPath(member.name).parts[1:])
            for member in sdist.getmembers()
            if member.isfile()
        }
    assert {str(path) for path in files if path.parts[0] == PACKAGE} == source_files(source)
    tops = {path.parts[0] for path in files}
    folders = {"benchmarks", "dev", "docs", "example_dags", "tests"}
    assert tops >= folders | {"CHANGELOG.md", "LICENSE", "Makefile", "README.md", "pyproject.toml"}
    assert "dist" not in tops
    assert not [path for path in files if "__pycache__" in path.parts]


def test_the_metadata_names_the_project(metadata: Message):
    assert metadata["Name"] == "airflow-provider-runs"
    assert metadata["Version"] == VERSION
    assert metadata["Requires-Python"] == ">=3.11"
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["Description-Content-Type"] == "text/markdown"


def test_the_dependencies_are_these_four_and_those_of_two_extras(metadata: Message):
    assert sorted(metadata.get_all("Requires-Dist", [])) == [
        "aiohttp>=3.10; extra == 'fast'",
        "aiohttp>=3.9; extra == 'azure'",
        "apache-airflow-providers-common-compat>=1.21",
        "apache-airflow>=3.1",
        "azure-identity>=1.19; extra == 'azure'",
        "httpx>=0.27",
        "pydantic>=2.11",
    ]


def test_the_licence_and_the_readme_go_along(source: Path, wheel: ZipFile, metadata: Message):
    assert wheel.read(f"{METADATA}/licenses/LICENSE") == (source / "LICENSE").read_bytes()
    description = metadata.get_payload()
    assert str(description).strip() == (source / "README.md").read_text().strip()


def test_airflow_finds_the_provider_by_its_entry_point(wheel: ZipFile):
    assert wheel.read(f"{METADATA}/entry_points.txt").decode().split("\n")[:2] == [
        "[apache_airflow_provider]",
        f"provider_info = {PACKAGE}:get_provider_info",
    ]


def test_airflow_lists_the_provider_once(python: Path, tmp_path: Path):
    listed = json.loads(
        run(python, "-m", "airflow", "providers", "list", "--output", "json", cwd=tmp_path)
    )
    versions = [row["version"] for row in listed if row["package_name"] == "airflow-provider-runs"]
    assert versions == [VERSION]


def test_all_public_names_come_from_the_wheel(python: Path, site_packages: Path, tmp_path: Path):
    code = (
        f"import sys, {PACKAGE} as package\n"
        "objects = [getattr(package, name) for name in package.__all__]\n"
        f"from {PACKAGE} import *\n"
        f"from {PACKAGE}.testing import RunServer\n"
        f"print([m.__file__ for name, m in sys.modules.items() if name.startswith('{PACKAGE}')])\n"
    )
    files = ast.literal_eval(run(python, "-c", code, cwd=tmp_path).splitlines()[-1])
    homes = {Path(file).is_relative_to(site_packages / PACKAGE) for file in files}
    assert homes == {True}
    assert not (site_packages / PACKAGE).is_symlink()


def test_the_run_server_starts_from_the_wheel(python: Path, tmp_path: Path):
    text = run(python, "-m", f"{PACKAGE}.testing", "--help", cwd=tmp_path)
    assert "--runs-for" in text
