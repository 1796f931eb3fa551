"""The report of a sweep: a line for each run with its result, and all lines as a table."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import BeforeValidator, ConfigDict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_provider_runs.plain_json import JsonObject

__all__ = ["Result", "Swept", "table"]


class Result(StrEnum):
    """What a sweep did with a run.

    ``ended``: the run ended before the cancel took effect. ``asked``: the server accepted the
    cancel, and nobody waited for its effect. ``unknown age``: the run was not cancelled, because
    the server does not say when it was created.
    """

    CANCELLED = "cancelled"
    ENDED = "ended"
    ASKED = "asked"
    WOULD_CANCEL = "would cancel"
    UNKNOWN_AGE = "unknown age"
    REFUSED = "refused"
    UNCONFIRMED = "unconfirmed"
    ERROR = "error"

    @property
    def is_failure(self) -> bool:
        """Whether the run was to be cancelled but may still be running."""
        return self in {Result.REFUSED, Result.UNCONFIRMED, Result.ERROR}


@dataclass(frozen=True, slots=True)
class Swept:
    """A line of the report.

    :param thread_id: the thread.
    :param run_id: the run; ``None`` for a thread whose runs could not be listed.
    :param before: its status when the sweep found it.
    :param after: its status as last seen.
    :param age: seconds since it was created; ``None`` if the server does not say when that was.
    :param result: what the sweep did with it.
    :param error: why it is a failure; ``None`` if it is not one.
    """

    thread_id: Annotated[str, BeforeValidator(str)]  # version 0.1.0 stored what it was given
    run_id: str | None
    before: str | None
    after: str | None
    age: float | None
    result: Result
    error: str | None = None

    __pydantic_config__: ClassVar = ConfigDict(extra="forbid")

    def to_json(self) -> JsonObject:
        """Return the line as plain JSON."""
        return {**asdict(self), "result": self.result.value}


def table(report: Sequence[Swept]) -> str:
    """Return a report as a table in plain text, with a row for each line."""
    rows = [("thread", "run", "before", "after", "age", "result")]
    rows += [
        (
            str(line.thread_id),
            line.run_id or "-",
            line.before or "-",
            line.after or "-",
            "-" if line.age is None else f"{line.age:.0f} s",
            line.result.value,
        )
        for line in report
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )
