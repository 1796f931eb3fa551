"""The demo, run as `make demo` runs it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from dev.foreign_environment import ForeignAirflow

ROOT = Path(__file__).resolve().parents[2]


def demo(foreign: ForeignAirflow, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-E", "-m", "dev.demo", *options],
        cwd=ROOT,
        env=foreign.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


def test_it_cancels_both_runs_and_leaves_the_callers_airflow_alone(tmp_path: Path) -> None:
    foreign = ForeignAirflow(tmp_path)

    done = demo(foreign)

    assert done.returncode == 0, done.stdout
    assert len([line for line in done.stdout.splitlines() if line.endswith("is cancelled")]) == 2
    assert foreign.touched() == []
