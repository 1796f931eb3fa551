"""What it costs to import the package, in CPU time of fresh interpreters."""

from __future__ import annotations

import statistics
import subprocess
from typing import TYPE_CHECKING

from benchmarks.line import Line
from benchmarks.processes import PYTHON, environment

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Interpreters per statement; in turns, so that a slow spell of the machine hits all of them.
ROUNDS = 7
OURS = tuple(
    f"airflow_provider_runs.{name}"
    for name in ("notifications", "operators", "sensors", "triggers")
)
RIVAL = "airflow.providers.openai.operators.openai"
INFO = "get_provider_info()"
#: By what a line calls it: what runs before, and what is measured.
STATEMENTS = {
    **{name: ("import airflow.sdk", f"import {name}") for name in (*OURS, RIVAL)},
    INFO: ("", f"import airflow_provider_runs; airflow_provider_runs.{INFO}"),
}
CODE = """
from time import process_time
{before}
begin = process_time()
{measured}
print("\\n", begin, process_time() - begin)
"""


def measure(home: str) -> Iterator[Line]:
    """Yield a line for each module that DAG files import, and one for the provider info.

    :param home: a folder for Airflow.
    """
    added, before = _medians(home)
    for name in OURS:
        yield Line(
            f"import {name}, after airflow.sdk",
            added[name],
            f"import {RIVAL}",
            added[RIVAL],
            "ms",
            50,
        )
    yield Line(
        f"import airflow_provider_runs, {INFO}",
        added[INFO],
        "Python's own start",
        before[INFO],
        "ms",
        5,
    )


def _medians(home: str) -> tuple[dict[str, float], dict[str, float]]:
    """Return each statement's own milliseconds, and those of its interpreter before it."""
    added: dict[str, list[float]] = {name: [] for name in STATEMENTS}
    before: dict[str, list[float]] = {name: [] for name in STATEMENTS}
    for number in range(ROUNDS + 1):
        for name, (first, measured) in STATEMENTS.items():
            spent, own = _cpu_times(CODE.format(before=first, measured=measured), home)
            if number:  # the first round writes byte code and Airflow's configuration
                before[name].append(spent * 1000)
                added[name].append(own * 1000)
    return (
        {name: statistics.median(numbers) for name, numbers in added.items()},
        {name: statistics.median(numbers) for name, numbers in before.items()},
    )


def _cpu_times(code: str, home: str) -> tuple[float, float]:
    """Run a program and return the two numbers at the end of its output."""
    process = subprocess.run(
        [PYTHON, "-c", code],
        cwd=home,
        env=environment(home),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    first, second = process.stdout.splitlines()[-1].split()
    return float(first), float(second)
