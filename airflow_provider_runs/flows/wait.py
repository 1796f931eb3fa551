"""What to wait for, and how."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from airflow_provider_runs.errors import RunsConfigError
from airflow_provider_runs.status import RunRef

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from airflow_provider_runs.models import Glimpse, Run
    from airflow_provider_runs.plain_json import JsonObject

__all__ = ["Wait"]

#: Seconds of the first pause; from there the pauses grow by a factor to the poll interval.
FIRST_INTERVAL = 1.0
GROWTH = 1.5
#: Seconds between two looks at the most, where nobody says.
POLL_INTERVAL = 5.0


@dataclass(frozen=True, slots=True)
class Wait:
    """What to wait for, and how.

    Times are wall-clock epoch seconds, set once when the wait begins: a monotonic clock starts
    anew with every triggerer, and would give a wait its whole time again at each restart.

    :param ref: the run.
    :param started_at: when the wait began, in epoch seconds.
    :param deadline: when it must end, in epoch seconds.
    :param poll_interval: longest pause between two looks, in seconds.
    :param first_interval: the first pause, in seconds; by default one second, or less.
    :param stop_on_requires_action: end the wait also when the run waits for its caller.
    :param cancel: ask for the run to be cancelled first, until the server has agreed.
    :param cancel_action: how the run is to be cancelled, or was; by default as the connection
        says.
    :param asked_at: when the server agreed to cancel the run, in epoch seconds, if it did.
    :param seen: the status that is known, and was logged, already.
    :raises RunsConfigError: if the poll interval is not more than zero.
    """

    ref: RunRef
    started_at: float
    deadline: float
    poll_interval: float
    first_interval: float | None = None
    stop_on_requires_action: bool = False
    cancel: bool = False
    cancel_action: str | None = None
    asked_at: float | None = None
    seen: str | None = None

    def __post_init__(self) -> None:
        if not self.poll_interval > 0:
            raise RunsConfigError(f"poll_interval must be more than 0, not {self.poll_interval}.")

    def to_json(self) -> JsonObject:
        """Return the wait as plain JSON; ``Wait.from_json`` is its inverse."""
        own = {name: getattr(self, name) for name in _OWN}
        return {"run_id": self.ref.run_id, "thread_id": self.ref.thread_id, **own}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Wait:
        """Return the wait that ``to_json`` gave.

        :param data: its fields, of which ``run_id`` and ``deadline`` must be there: triggers that
            were stored by version 0.1.0 have the same ones.
        :raises TypeError: if one of these is missing, or there is one that no wait has.
        """
        own = {"started_at": time.time(), "poll_interval": POLL_INTERVAL, **data}
        if not own.get("run_id"):
            raise TypeError("a wait names its run_id")
        if own["started_at"] is None:
            own["started_at"] = time.time()
        return cls(RunRef(own.pop("run_id"), own.pop("thread_id", None)), **own)

    def is_over(self, run: Run | Glimpse) -> bool:
        """Return whether a run in this state is what is waited for."""
        return run.status.may_end_wait if self.stop_on_requires_action else run.is_final

    def pauses(self) -> Iterator[float]:
        """Yield the pauses, in seconds: growing to the poll interval, each a little shortened.

        The jitter keeps many waits that began together from asking together for ever. Pauses whose
        first one is as long as the interval are all of that length.
        """
        while self.first_interval == self.poll_interval:
            yield self.poll_interval
        pause = min(self.first_interval or FIRST_INTERVAL, self.poll_interval)
        while True:
            yield pause * random.uniform(0.85, 1)  # noqa: S311 - jitter is no secret
            pause = min(pause * GROWTH, self.poll_interval)


_OWN = tuple(field.name for field in fields(Wait) if field.name != "ref")
