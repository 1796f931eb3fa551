"""A line of the table."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

HEADER = ("what", "ours", "beside", "theirs", "ratio", "target", "met")


@dataclass(frozen=True, slots=True)
class Line:
    """A number beside the one that it is to be compared with.

    :param what: what was measured.
    :param ours: the number.
    :param beside: the rival or the floor.
    :param theirs: the same of that, in the same unit.
    :param unit: the unit of both, such as ``ms``; empty for plain numbers.
    :param target: how large the number may be, in its unit; ``None`` where nothing was promised.
    :param of_theirs: the target is how large the ratio may be.
    """

    what: str
    ours: float
    beside: str
    theirs: float
    unit: str = ""
    target: float | None = None
    of_theirs: bool = False

    def cells(self) -> tuple[str, ...]:
        """Return the line's cells, in the order of ``HEADER``."""
        ratio = self.ours / self.theirs if self.theirs else math.inf
        target = met = ""
        if self.target is not None:
            target = f"<= {self.target:g}x" if self.of_theirs else self._with_unit(self.target)
            met = "yes" if (ratio if self.of_theirs else self.ours) <= self.target else "NO"
        return (
            self.what,
            self._with_unit(self.ours),
            self.beside,
            self._with_unit(self.theirs),
            f"{ratio:.2f}",
            target if self.of_theirs or not target else f"<= {target}",
            met,
        )

    def _with_unit(self, number: float) -> str:
        # Three digits that count, without an exponent.
        decimals = max(0, 2 - math.floor(math.log10(abs(number) or 1)))
        return f"{number:.{min(decimals, 3)}f} {self.unit}".strip()


def table(lines: Iterable[Line]) -> str:
    """Return the lines as a Markdown table, which also reads well as it is."""
    rows: list[Sequence[str]] = [HEADER, *(line.cells() for line in lines)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    header, *body = (
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
        for row in rows
    )
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([header, rule, *body])
