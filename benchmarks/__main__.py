"""`make bench`: print one table and save nothing; about three minutes.

Each line is a median or a maximum beside a rival or a floor that was measured in the same run, so
a busy or slow machine moves both. Nothing here passes or fails: targets stand beside the numbers.
"""

from __future__ import annotations

import sys
from tempfile import TemporaryDirectory

from benchmarks import imports, lateness
from benchmarks.line import table


def main() -> int:
    """Measure everything, print the table and return the exit code, 0."""
    with TemporaryDirectory(prefix="runs-bench-") as home:
        lines = [*imports.measure(home), *lateness.measure(home)]
    print(table(lines))
    return 0


if __name__ == "__main__":
    sys.exit(main())
