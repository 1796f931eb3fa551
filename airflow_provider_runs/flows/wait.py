"""What to wait for, and how."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from airflow_provider_runs.errors import RunsConfigError
from airflow_provider_runs.plain_json import plain_json
from airflow_provider_runs.run_ref import RunRef

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from airflow_provider_runs.models import Glimpse, Run
    from airflow_provider_runs.plain_json import JsonObject

__all__ = ["MISSING_GRACE", "Wait"]

#: Seconds of the first pause, and the factor by which pauses grow up to the poll interval.
FIRST_INTERVAL = 1.0
GROWTH = 1.5
#: The default poll interval, and the longest pause while an answer is in doubt, both in seconds.
POLL_INTERVAL, LONGEST_IN_DOUBT = 5.0, 10.0
#: The default seconds for which a run must be denied before it counts as missing.
MISSING_GRACE = 30.0


@dataclass(frozen=True, slots=True)
class Wait:
    """What to wait for, and how.

    Times are wall-clock epoch seconds, set once when the wait begins. A monotonic clock restarts
    with every triggerer, so each restart would give the wait its whole time again.

    :param ref: the run.
    :param started_at: when the wait began, in epoch seconds.
    :param deadline: when it must end, in epoch seconds.
    :param poll_interval: longest pause between two polls, in seconds.
    :param first_interval: the first pause, in seconds; by default one second, or the poll interval
        if that is shorter.
    :param stop_on_requires_action: end the wait also when the run waits for its caller.
    :param cancel: first cancel the run, and ask again until the server accepts that.
    :param cancel_action: how the run is cancelled; by default as the connection says.
    :param asked_at: when the server accepted the cancel, in epoch seconds; ``None`` if it has not.
    :param asks: how often the server was asked to cancel the run.
    :param seen: the run's last status, if it is known and has been logged.
    :param worked: whether the run was seen before, so that a refusal is probably a passing one.
    :param missing_grace: seconds for which the server must deny a run that was seen, in at least
        three answers, before it counts as missing; 0 believes the first answer. For a run that was
        never seen, which may just have been started, at most ten seconds and two answers.
    :raises RunsConfigError: if the poll interval is not more than zero, or the grace is negative.
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
    asks: int = 0
    seen: str | None = None
    worked: bool = False
    missing_grace: float = MISSING_GRACE

    def __post_init__(self) -> None:
        if not self.poll_interval > 0:
            raise RunsConfigError(f"poll_interval must be more than 0, not {self.poll_interval}.")
        if not self.missing_grace >= 0:
            raise RunsConfigError(f"missing_grace must be 0 or more, not {self.missing_grace}.")

    def to_json(self) -> JsonObject:
        """Return the wait as plain JSON; ``Wait.from_json`` is its inverse."""
        own = {name: getattr(self, name) for name in _OWN}
        ids = {"run_id": self.ref.run_id, "thread_id": self.ref.thread_id}
        stored: JsonObject = plain_json({**ids, **own})
        return stored

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Wait:
        """Return the wait from its JSON.

        :param data: what ``to_json`` returned; ``run_id`` and ``deadline`` are required. Triggers
            stored by version 0.1.0 have the same fields.
        :raises TypeError: if a required field is missing, or a field is unknown.
        :raises RunsConfigError: if the poll interval is not more than zero.
        """
        given = {name: value for name, value in data.items() if value is not None}
        own = {"started_at": time.time(), "poll_interval": POLL_INTERVAL, **given}
        for name in ("run_id", "deadline"):
            if name not in own:
                raise TypeError(f"a wait needs a {name}")
        return cls(RunRef(own.pop("run_id"), own.pop("thread_id", None)), **own)

    def is_over(self, run: Run | Glimpse) -> bool:
        """Return whether the wait ends with a run in this state."""
        return run.status.may_end_wait if self.stop_on_requires_action else run.is_final

    def pauses_in_doubt(self) -> Iterator[float]:
        """Yield the pauses while an answer is in doubt: short ones, however rare the polls are."""
        longest = min(self.poll_interval, LONGEST_IN_DOUBT)
        return replace(self, poll_interval=longest, first_interval=None).pauses()

    def pauses(self) -> Iterator[float]:
        """Yield the pauses between polls, in seconds: jittered, and growing to the poll interval.

        The jitter shortens each pause a little, so that waits that began together do not poll
        together for ever. If the first pause equals the poll interval, all pauses have exactly that
        length.
        """
        while self.first_interval == self.poll_interval:
            yield self.poll_interval
        pause = min(self.first_interval or FIRST_INTERVAL, self.poll_interval)
        while True:
            yield pause * random.uniform(0.85, 1)  # noqa: S311 - jitter is no secret
            pause = min(pause * GROWTH, self.poll_interval)


_OWN = tuple(field.name for field in fields(Wait) if field.name != "ref")
