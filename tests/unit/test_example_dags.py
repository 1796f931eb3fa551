"""Each example DAG loads by itself, without a connection."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = sorted((ROOT / "example_dags").glob("*.py"))


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_an_example_loads_and_is_named_like_its_file(file):
    code = f"import {file.stem} as example; print(example.dag.dag_id, len(example.dag.tasks))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=file.parent, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    dag_id, tasks = done.stdout.splitlines()[-1].split()
    assert dag_id == file.stem
    assert int(tasks) > 0


def test_the_readme_names_each_of_them():
    readme = (ROOT / "README.md").read_text()
    named = set(re.findall(r"\(example_dags/(\w+)\.py\)", readme))
    assert named == {file.stem for file in EXAMPLES}
