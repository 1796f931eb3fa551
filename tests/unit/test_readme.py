"""The README's Python runs, and its tables name what there is."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
SNIPPETS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


@pytest.mark.parametrize("snippet", SNIPPETS, ids=range(len(SNIPPETS)))
def test_a_snippet_runs(snippet, tmp_path):
    file = tmp_path / "test_snippet.py"
    file.write_text(snippet)
    tests = "def test_" in snippet
    command = ["-m", "pytest", "-q", "-p", "no:cacheprovider"] if tests else []
    done = subprocess.run(
        [sys.executable, *command, str(file)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_parameters_in_the_tables_are_the_parameters():
    from airflow_provider_runs.backends import BACKENDS
    from airflow_provider_runs.operators import (
        CancelRunOperator,
        CleanupRunsOperator,
        StartRunOperator,
    )
    from airflow_provider_runs.sensors import RunStatusSensor

    told = set(re.findall(r"`(\w+)`", "\n".join(re.findall(r"^\| [^|]*\|", README, re.MULTILINE))))
    for owner in (CancelRunOperator, CleanupRunsOperator, RunStatusSensor, StartRunOperator):
        parameters = inspect.signature(owner.__init__.__wrapped__).parameters
        own = {name for name, p in parameters.items() if p.kind is p.KEYWORD_ONLY}
        assert "conn_id" in own
        assert own <= told
    for backend in BACKENDS:
        assert backend.form.conn_type in told
        assert set(backend.form.fields) <= told


def test_the_pictures_are_there():
    pictures = re.findall(r"!\[[^]]*\]\((docs/[^)]+)\)", README)
    assert {ROOT / name for name in pictures} == set((ROOT / "docs" / "images").iterdir())
