"""How a run is named, and its statuses: what DAG files need, without importing the models."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

__all__ = ["ACTIVE", "FINAL", "INTERRUPT", "NO_ID", "USUAL_WORDS", "RunStatus", "same_spelling"]


#: What an id is when its template had nothing to render.
NO_ID = (None, "", "None")  # a tuple: unlike a set, it can be asked for an unhashable value


class RunStatus(StrEnum):
    """The nine statuses of a run.

    A server's word that is none of them still becomes a ``RunStatus`` (see ``RunStatus.of``), one
    that is neither known nor final.
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

        :param word: one of the nine statuses, or whatever the server sent instead.
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
    def shown(self) -> str:
        """The word as a log shows it: one of a server's own is quoted."""
        return self.value if self.is_known else repr(self.value)

    @property
    def is_final(self) -> bool:
        """Whether a run in this status has ended. A ``cancelling`` run has not."""
        return self in _FINAL

    @property
    def may_end_wait(self) -> bool:
        """Whether a wait can end here: the run has ended, or waits for its caller."""
        return self.is_final or self is RunStatus.REQUIRES_ACTION

    def __reduce_ex__(self, protocol: object) -> tuple[Any, ...]:
        """Pickle the word, so that an unknown one survives too."""
        return RunStatus.of, (str(self),)


#: What a run waits for that will not go on itself: on LangGraph the answer of a person begins
#: another run. It is the ``type`` of the run's ``required_action``.
INTERRUPT = "interrupt"

_FINAL = frozenset(
    {
        RunStatus.CANCELLED,
        RunStatus.FAILED,
        RunStatus.COMPLETED,
        RunStatus.INCOMPLETE,
        RunStatus.EXPIRED,
    }
)
#: The statuses, as plain strings, of runs that have not ended and of runs that have.
ACTIVE = tuple(status.value for status in RunStatus if not status.is_final)
FINAL = tuple(status.value for status in RunStatus if status.is_final)
#: Usual spellings of the statuses. What may mean several things, such as "stop", is not among them.
USUAL_WORDS = {
    **{status.value: status.value for status in RunStatus},
    "pending": "queued",
    "running": "in_progress",
    "inprogress": "in_progress",
    "processing": "in_progress",
    "canceling": "cancelling",
    "canceled": "cancelled",
    "complete": "completed",
    "succeeded": "completed",
    "success": "completed",
    "error": "failed",
    "errored": "failed",
    "failure": "failed",
    "timeout": "expired",
    "timedout": "expired",
    "timed_out": "expired",
}


def same_spelling(word: str) -> str:
    """Return a word for a status in the one spelling by which such words are compared.

    :param word: the word, as a server or a user spells it.
    """
    return word.strip().lower().replace("-", "_").replace(" ", "_")
