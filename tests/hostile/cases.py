"""What a hostile answer is: what is played, and what may come of it."""

from __future__ import annotations

import os
from dataclasses import dataclass

from tests.hostile.wire import Reader, Step, whole_head

__all__ = ["IS_FULL", "UNKNOWN", "Case", "case"]

#: Whether everything is to run, or, by default, what takes a minute.
IS_FULL = os.environ.get("HOSTILE", "quick") == "full"
#: Says that the body's status is none of the nine.
UNKNOWN = "*"


@dataclass(frozen=True, slots=True)
class Case:
    """A hostile answer.

    :param name: what is odd about it.
    :param steps: what the server plays.
    :param says: the status that the body gives, or ``UNKNOWN``; ``None`` if there is no status to
        believe, so that only an error will do.
    :param must: whether it has to be read well.
    :param read: how the server reads the request.
    """

    name: str
    steps: tuple[Step, ...]
    says: str | None
    must: bool
    read: Reader


def case(
    name: str,
    *steps: Step,
    says: str | None = "in_progress",
    must: bool = False,
    read: Reader = whole_head,
) -> Case:
    """Return a case."""
    return Case(name, steps, says, must, read)
