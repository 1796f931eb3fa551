"""`make bench`: print one table and save nothing; about ten minutes, `--quick` one.

Each line stands beside a rival or a floor that was measured in the same run, so a busy or slow
machine moves both. Nothing here passes or fails: targets stand beside the numbers.
"""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from benchmarks import bulk, imports, lateness, waits
from benchmarks.line import table
from benchmarks.options import read_options
from dev.own_environment import use_own_environment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from benchmarks.line import Line

NOTES = """
CPU per run-poll: CPU time of the whole process, per watched run and poll interval, measured once
    the pauses have grown to the interval. A list that shows 20 watched runs counts as 20 run-polls;
    polls beyond one per interval do not count. If a contender cannot keep up, only the polls that
    it made count, so its numbers flatter it.
gap: how late a heartbeat of 5 ms on the event loop comes while runs end; all beats in a stall
    count.
late: from the run's end on the server to the trigger's event.
share of the time it waited for a core: the time in which other programs had the core. If it is
    large, gaps and lateness are partly theirs, and only the CPU times are meaningful.
memory: growth of the process's resident memory, from after a warm-up but before the first wait,
    until all waits have polled for a while.
ours, fast: with the extra `fast`; left out if nothing uses it. ours: as if that were not installed.
"""


def main() -> int:
    """Measure everything, print the table and return the exit code, 0."""
    options = read_options()
    with TemporaryDirectory(prefix="runs-bench-") as home:
        use_own_environment(Path(home))
        parts: dict[str, Callable[[], Iterable[Line]]] = {
            "imports": lambda: imports.measure(home),
            "lateness": lambda: lateness.measure(home),
            "waits": lambda: waits.measure(home, options),
            "bulk": lambda: bulk.measure(home, options.bulk),
        }
        lines = [line for part in options.parts for line in parts[part]()]
    print(table(lines))
    if "waits" in options.parts:
        print(NOTES)
    return 0


if __name__ == "__main__":
    sys.exit(main())
