"""The statuses of a run. Apart from the models because DAG files need these, and not those."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

__all__ = ["ACTIVE", "FINAL", "RunStatus"]


class RunStatus(StrEnum):
    """The nine statuses of a run.

    A word that is none of them is still kept as a ``RunStatus`` (see ``RunStatus.of``): not known
    and not final.
    """

    QUEUED = "queued"
    IN_PROGRESS = "in_progress"
    REQUIRES_ACTION = "requires_action"
    CANCELLING = "cancelling"
    CANCELLED = "cancelled"
    FAILED = "failed"
    COMPLETED = "completed"
    INCOMPLETE = "incomplete"
    EXPIRED = "expired"

    @classmethod
    def of(cls, word: str) -> RunStatus:
        """Return the status for a word; an unknown word gives a status that is not final.

        :param word: one of the nine statuses, or whatever a server sent instead.
        """
        try:
            return cls(word)
        except ValueError:
            unknown = str.__new__(cls, word)
            unknown._name_ = "UNKNOWN"
            unknown._value_ = word
            return unknown

    @property
    def is_known(self) -> bool:
        """Whether this is one of the nine documented statuses."""
        return self._name_ != "UNKNOWN"

    @property
    def is_final(self) -> bool:
        """Whether a run in this status has ended; ``cancelling`` has not."""
        return self in _FINAL

    def __reduce_ex__(self, protocol: object) -> tuple[Any, ...]:
        """Pickle by word, so that an unknown one survives too."""
        return RunStatus.of, (str(self),)


_FINAL = frozenset(
    {
        RunStatus.CANCELLED,
        RunStatus.FAILED,
        RunStatus.COMPLETED,
        RunStatus.INCOMPLETE,
        RunStatus.EXPIRED,
    }
)
#: The statuses, as words, of runs that still go on, and of runs that have ended.
ACTIVE = tuple(status.value for status in RunStatus if not status.is_final)
FINAL = tuple(status.value for status in RunStatus if status.is_final)
