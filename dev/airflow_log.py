"""What Airflow's log says of why something failed, among hundreds of lines that do not."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ROOT = Path(__file__).resolve().parents[1]
#: Lines that are shown of a log in which nothing says why.
TAIL = 80

STAMP = re.compile(r"\d{4}-\d\d-\d\d[T ]\S+ *")
TOLD = re.compile(r"\[(error|critical) *\]|\[warning *\].*airflow_provider_runs")
FRAME = re.compile(rf'\s+File "{re.escape(str(ROOT))}/(?!\.venv)')


def why(log: Sequence[str]) -> list[str]:
    """Return the lines that say why, each once: errors, and where in our files they were raised.

    :param log: all lines of the log; if none of them says why, the last ones are returned.
    """
    return list(dict.fromkeys(_telling(log))) or [line.rstrip() for line in log[-TAIL:]]


def why_of_task(entries: Sequence[Any]) -> list[str]:
    """Return the lines that say why a task failed, from its log as Airflow's API gives it.

    :param entries: the log of one try.
    """
    told = [
        line
        for entry in entries
        if isinstance(entry, dict) and _tells(entry)
        for line in (
            f"[{entry['level']}] {entry.get('event')}",
            *(f"{e['exc_type']}: {e['exc_value']}" for e in entry.get("error_detail") or ()),
        )
    ]
    return list(dict.fromkeys(told))


def _tells(entry: dict[str, Any]) -> bool:
    level, logger = entry.get("level"), str(entry.get("logger"))
    return level in {"error", "critical"} or (
        level == "warning" and "airflow_provider_runs" in logger
    )


def _telling(log: Sequence[str]) -> Iterator[str]:
    inside = False  # of a traceback, or of an error's text that goes on below it
    own: list[str] = []  # the last frame in our files, in two lines
    for line in map(str.rstrip, log):
        if STAMP.match(line):
            inside = False
            if TOLD.search(line):
                yield STAMP.sub("", line, count=1)
        elif line.startswith("Traceback (most recent call last)"):
            inside, own = True, []
        elif FRAME.match(line):
            own = [line]
        elif inside and line and not line[0].isspace():
            yield from own
            yield line
            own = []
        elif len(own) == 1:
            own.append(line)
