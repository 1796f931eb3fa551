"""Evidence: one answer is no verdict, several of them over some time are."""

from __future__ import annotations

import time
from dataclasses import dataclass

__all__ = ["NEW_RUN", "PROOF", "ROLLED_BACK", "Evidence", "Proof"]


@dataclass(frozen=True, slots=True)
class Proof:
    """What makes a verdict of doubtful answers.

    :param looks: how many answers say the same.
    :param seconds: how long they do, from the first to the last.
    """

    looks: int
    seconds: float

    def over(self, seconds: float) -> Proof:
        """Return the same proof over so many seconds; over none, the first answer is one."""
        return Proof(self.looks if seconds else 1, seconds)


#: For a run, or a key, that worked before in the same wait.
PROOF = Proof(looks=3, seconds=30.0)
#: For a run that was never seen: servers with several stores answer 404 at first.
NEW_RUN = Proof(looks=2, seconds=10.0)
#: For a run that is to be deleted and whose cancel was accepted, which says the same.
ROLLED_BACK = Proof(looks=2, seconds=2.0)


class Evidence:
    """How often, and since when, a server has given the same doubtful answer.

    A look that shows the run clears it.
    """

    __slots__ = ("_count", "_since")

    def __init__(self) -> None:
        self._count = 0
        self._since = 0.0

    def __bool__(self) -> bool:
        return self._count > 0

    def add(self, proof: Proof) -> bool:
        """Record one more such answer; return whether that is proof.

        :param proof: what is needed.
        """
        now = time.time()
        self._since = self._since if self._count else now
        self._count += 1
        return self._count >= proof.looks and now - self._since >= proof.seconds

    def clear(self) -> None:
        """Forget all: something spoke against it."""
        self._count = 0
