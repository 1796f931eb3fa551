"""A line of the table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

HEADER = ("what", "ours", "beside", "theirs", "ratio", "target")


@dataclass(frozen=True, slots=True)
class Line:
    """A number beside the one that it is to be compared with.

    :param what: what was measured.
    :param ours: the number.
    :param beside: the rival or the floor.
    :param theirs: the same of that, in the same unit.
    :param unit: the unit of both, such as ``ms``; empty for plain numbers.
    :param target: how large the number may be, in its unit; ``None`` where nothing was promised.
    """

    what: str
    ours: float
    beside: str
    theirs: float
    unit: str = ""
    target: float | None = None

    def cells(self) -> tuple[str, ...]:
        """Return the line's cells, in the order of ``HEADER``."""
        return (
            self.what,
            self._with_unit(self.ours),
            self.beside,
            self._with_unit(self.theirs),
            f"{self.ours / self.theirs:.2f}",
            "" if self.target is None else f"<= {self._with_unit(self.target)}",
        )

    def _with_unit(self, number: float) -> str:
        decimals = 1 if self.unit == "ms" or not self.unit else 2
        return f"{number:.{decimals}f} {self.unit}".strip()


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
