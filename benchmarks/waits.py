"""Thousands of waits in one event loop: what they cost, and how soon they see the end."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from benchmarks.jobs import Job, Measured
from benchmarks.line import Line
from benchmarks.processes import read_line, running, server, start

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.options import Options

FLOOR = "bare aiohttp"
OURS = ("ours", "ours, fast")
RIVALS = ("OpenAIBatchTrigger", "AnthropicBatchTrigger")
#: Waits for the rivals: one poll takes them so long that more would only show a standstill.
RIVALS_WAITS = 200
#: Threads that the runs share, where they share any.
SHARED = 50
#: Runs whose end is awaited, at most.
ENDS = 500
#: What a line says of each number, and its unit.
NAMES = {
    "cpu": ("CPU per run-poll", "ms"),
    "gap_p99": ("gap p99", "ms"),
    "gap_max": ("gap max", "ms"),
    "gap_begin": ("gap max while they begin", "ms"),
    "late_p50": ("late p50", "s"),
    "late_p99": ("late p99", "s"),
    "requests": ("requests per wait and interval", ""),
    "memory": ("memory per wait", "KB"),
    "starved": ("share of the time it waited for a core", ""),
}
#: What our CPU time per run-poll may be, in multiples of the floor's: on threads of their own, and
#: on shared ones.
CPU = {"ours": 2.0, "ours, fast": 1.0}
CPU_SHARED = 0.25
#: The number of waits for which the event loop was promised to stay free, and what it may take.
BUSY = 1000
GAP_P99, GAP_MAX = 20.0, 100.0
#: KB for each wait. Of a few waits, the growth is that of the process.
MEMORY = 20.0
#: How much more a wait may cost where there are many: what "flat" means.
FLAT = 1.25
#: Below this share of the polls that were due, a contender is said not to keep up.
KEPT = 0.9
#: Share of a core that the server may use, lest it hold up the contenders.
IDLE = 0.8
#: Share of the time for which a contender may wait for a core: beyond it, other programs decide.
STARVED = 0.1


@dataclass(frozen=True, slots=True)
class Case:
    """Who waits for how many runs on how many threads."""

    contender: str
    waits: int
    threads: int

    def __str__(self) -> str:
        where = "" if self.threads == self.waits else f" on {self.threads} threads"
        return f"{self.contender}: {self.waits:,} waits{where}"


def measure(home: str, options: Options) -> Iterator[Line]:
    """Yield the lines of all cases.

    :param home: a folder for Airflow.
    """
    found: dict[Case, Measured] = {}
    for case in _cases(options):
        print(f"measuring {case}", file=sys.stderr)
        measured = _run(case, home, options)
        if measured:
            found[case] = measured
    for case in found:
        if case.contender in OURS:
            floor = Case(FLOOR, case.waits, case.waits)
            yield from _lines(case, floor, found, _targets(case, options))
    yield from _flatness(found)
    for rival in RIVALS:
        theirs = Case(rival, RIVALS_WAITS, RIVALS_WAITS)
        for contender in OURS:
            yield from _lines(Case(contender, RIVALS_WAITS, RIVALS_WAITS), theirs, found, {})
    yield Line(
        "the server's share of a core, at most",
        max(measured.server for measured in found.values()),
        "a whole core",
        1.0,
        target=IDLE,
    )


def _cases(options: Options) -> Iterator[Case]:
    for waits in options.waits:
        yield Case(FLOOR, waits, waits)
        for contender in OURS:
            yield Case(contender, waits, waits)
            yield Case(contender, waits, SHARED)
    if options.rivals and RIVALS_WAITS in options.waits:
        yield from (Case(rival, RIVALS_WAITS, RIVALS_WAITS) for rival in RIVALS)


def _run(case: Case, home: str, options: Options) -> Measured | None:
    """Measure a case, alone; ``None`` if there is no such contender."""
    with server(home) as url:
        job = Job(
            contender=case.contender,
            waits=case.waits,
            threads=case.threads,
            interval=options.interval,
            warm_up=_warm_up(options.interval),
            window=options.interval,
            ends=min(ENDS, case.waits // 2),
            url=url,
        )
        with running(start("benchmarks.measured", json.dumps(asdict(job)), home=home)) as process:
            result = json.loads(read_line(process))
    return Measured(**result) if result else None


def _warm_up(interval: float) -> float:
    """Return the seconds until our pauses, of one second at first, have grown to the interval.

    Twice as many as that takes by itself: of many waits that begin together some are held back.
    """
    pause, total = 1.0, 0.0
    while pause < interval:
        total += pause
        pause *= 1.5
    return 2 * total


def _targets(case: Case, options: Options) -> dict[str, float]:
    """Return what was promised; see ``NAMES``. The CPU's is a multiple of the floor's."""
    targets = {
        "cpu": CPU[case.contender] if case.threads == case.waits else CPU_SHARED,
        "late_p50": options.interval / 2,
        "starved": STARVED,
    }
    if case.waits == BUSY:
        targets |= {"gap_p99": GAP_P99, "gap_max": GAP_MAX}
    if case.waits >= BUSY:
        targets["memory"] = MEMORY
    return targets


def _lines(
    case: Case, other: Case, found: dict[Case, Measured], targets: dict[str, float]
) -> Iterator[Line]:
    """Yield a line for each number of two cases, if both were measured."""
    ours, theirs = found.get(case), found.get(other)
    if ours and theirs:
        for name, (words, unit) in NAMES.items():
            yield Line(
                f"{case}{_slow(ours)}: {words}",
                getattr(ours, name),
                f"{other.contender}{_slow(theirs)}",
                getattr(theirs, name),
                unit,
                # Nothing can be promised in multiples of one who was held up.
                None if name == "cpu" and theirs.kept < KEPT else targets.get(name),
                of_theirs=name == "cpu",
            )


def _slow(measured: Measured) -> str:
    return "" if measured.kept >= KEPT else f" (keeps up with {measured.kept:.0%} of the polls)"


def _flatness(found: dict[Case, Measured]) -> Iterator[Line]:
    """Yield lines that compare the most waits with the fewest."""
    for contender in OURS:
        for separate in (True, False):
            cases = [
                case
                for case in found
                if case.contender == contender and (case.threads == case.waits) is separate
            ]
            if len(cases) > 1:
                fewest, most = (pick(cases, key=lambda case: case.waits) for pick in (min, max))
                yield Line(
                    f"{most}{_slow(found[most])}: CPU per run-poll",
                    found[most].cpu,
                    f"{fewest.waits:,} waits",
                    found[fewest].cpu,
                    "ms",
                    FLAT if min(found[most].kept, found[fewest].kept) >= KEPT else None,
                    of_theirs=True,
                )
