"""What the tests tell the summary: cases, and the worst figures."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Report", "total_of"]

#: The figures of which the largest is shown, by how they are called.
_WORST = {
    "overrun": "longest overrun of a documented bound: {:.0f} ms",
    "hold": "longest hold of an event loop: {:.0f} ms",
    "growth": "largest growth of memory: {:.1f} MB",
}


class Report:
    """What one test tells; it crosses from a worker of pytest-xdist as plain JSON."""

    def __init__(self) -> None:
        self.figures: dict[str, float] = {"tried": 0, "held": 0}

    def tried(self, cases: int = 1) -> None:
        """Note cases that are tried."""
        self.figures["tried"] += cases

    def held(self, cases: int = 1) -> None:
        """Note cases that ended as they must."""
        self.figures["held"] += cases

    def worst(self, name: str, value: float) -> None:
        """Note a figure; only the largest of its name is kept."""
        self.figures[name] = max(value, self.figures.get(name, 0.0))

    def took(self, seconds: float, bound: float) -> None:
        """Note how long something took that has a bound, in seconds; ``inf`` if it hangs."""
        if seconds == float("inf"):
            self.figures["hung"] = self.figures.get("hung", 0) + 1
        else:
            self.worst("overrun", max(0.0, seconds - bound) * 1000)


def total_of(told: Iterable[dict[str, float]]) -> list[str]:
    """Return the lines of the summary."""
    figures = list(told)
    if not figures:
        return []
    tried, held = (sum(each[name] for each in figures) for name in ("tried", "held"))
    lines = [f"cases tried: {tried:.0f}, held: {held:.0f}"]
    if hung := sum(each.get("hung", 0) for each in figures):
        lines.append(f"calls that had to be ended: {hung:.0f}")
    for name, words in _WORST.items():
        if values := [each[name] for each in figures if name in each]:
            lines.append(words.format(max(values)))
    return lines
