"""What `make bench` measures, as the command line says."""

from __future__ import annotations

from argparse import ArgumentParser
from dataclasses import dataclass

PARTS = ("imports", "lateness", "waits", "bulk")


@dataclass(frozen=True, slots=True)
class Options:
    """What to measure.

    :param parts: some of ``PARTS``.
    :param waits: how many waits go on at once, in turns.
    :param interval: their poll interval, in seconds.
    :param rivals: whether the other providers' triggers are measured as well.
    :param bulk: how many runs are cancelled at once.
    """

    parts: tuple[str, ...] = PARTS
    waits: tuple[int, ...] = (200, 1000, 5000)
    interval: float = 5.0
    rivals: bool = True
    bulk: int = 500


#: A minute or so, for development.
QUICK = Options(("waits", "bulk"), (200,), 2.0, rivals=False, bulk=100)


def read_options() -> Options:
    """Return what the command line says."""
    parser = ArgumentParser("python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a minute's worth, for development")
    parser.add_argument("--parts", nargs="+", choices=PARTS, help="what to measure, by default all")
    parser.add_argument("--waits", nargs="+", type=int, help="numbers of concurrent waits")
    parser.add_argument("--interval", type=float, help="seconds between two polls of a run")
    parser.add_argument("--no-rivals", action="store_true", help="leave the other providers out")
    given = parser.parse_args()
    usual = QUICK if given.quick else Options()
    return Options(
        parts=tuple(given.parts or usual.parts),
        waits=tuple(given.waits or usual.waits),
        interval=given.interval or usual.interval,
        rivals=usual.rivals and not given.no_rivals,
        bulk=usual.bulk,
    )
