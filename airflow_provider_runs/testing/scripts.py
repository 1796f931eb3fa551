"""How a run behaves as time goes by."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from airflow_provider_runs.testing.json_types import JsonMapping, JsonObject

__all__ = ["ANSWERED", "FINAL", "GONE", "Phase", "RunScript"]

#: The statuses after which a run does not change any more.
FINAL = frozenset({"cancelled", "failed", "completed", "incomplete", "expired"})
#: The statuses in which a run has put something out.
ANSWERED = frozenset({"completed", "incomplete"})
#: In place of a status: a run that was rolled back is no longer there.
GONE = "gone"

#: The fields of a script that are durations.
_SECONDS = ("queued_for", "runs_for", "cancelling_for", "expires_after")
#: The fields that a run's metadata may give, and what reads their values.
_OVERRIDES: dict[str, Callable[[str], Any]] = {
    **dict.fromkeys(_SECONDS, float),
    "ends": str,
    "cancel_ends": str,
    "refuse_cancel": int,
    "answer": str,
}
#: The fields that stand in place of a ``timeline``.
_INSTEAD_OF_TIMELINE = {"queued_for", "runs_for", "ends"}


class Phase(NamedTuple):
    """A stretch of time in one status.

    :param at: when it begins, in epoch seconds; ``math.inf`` for never.
    :param status: the status.
    """

    at: float
    status: str


@dataclass(frozen=True)
class RunScript:
    """How a run behaves: what happens to it by itself, and when it is cancelled.

    All durations are in seconds; ``math.inf`` means for ever.

    :param queued_for: seconds in ``queued``.
    :param runs_for: seconds in ``in_progress`` after that, and again once tool outputs have come.
    :param ends: the status that follows: a final one, ``requires_action``, or any other word;
        the words are those of Assistants, which other dialects translate.
    :param cancelling_for: seconds in ``cancelling`` after an accepted cancel; 0 skips it.
    :param cancel_ends: the status that follows ``cancelling``.
    :param refuse_cancel: an HTTP error status with which a cancel is refused while the run is
        active; by default none is.
    :param expires_after: seconds from the start until ``requires_action`` becomes ``expired``.
    :param last_error: the run's ``last_error`` once it has failed; by default a ``server_error``.
    :param tool_calls: what ``requires_action`` asks for, each with an ``id``; by default one call
        of a function.
    :param timeline: statuses with the seconds in each, in place of ``queued_for``, ``runs_for``
        and ``ends``; the last one stays.
    :param answer: the text of what the run puts out once it is ``completed`` or ``incomplete``.
    :raises ValueError: if a duration is negative, the timeline is empty, ``refuse_cancel`` is no
        error status, or a tool call has no ``id``.
    """

    queued_for: float = 0.2
    runs_for: float = 30.0
    ends: str = "completed"
    cancelling_for: float = 0.5
    cancel_ends: str = "cancelled"
    refuse_cancel: int | None = None
    expires_after: float = 600.0
    last_error: JsonObject | None = None
    tool_calls: list[JsonObject] | None = None
    timeline: Sequence[tuple[str, float]] | None = None
    answer: str = "Hello."

    def __post_init__(self) -> None:
        durations = [(name, getattr(self, name)) for name in _SECONDS]
        for name, seconds in [*durations, *(self.timeline or ())]:
            # Written so that NaN, which compares false with everything, is refused as well.
            if not seconds >= 0:
                raise ValueError(f"{name} must be 0 or more seconds, not {seconds}")
        if self.timeline is not None and not self.timeline:
            raise ValueError("timeline must have at least one status")
        if self.refuse_cancel is not None and not 400 <= self.refuse_cancel <= 599:
            raise ValueError(
                f"refuse_cancel must be an HTTP error status, not {self.refuse_cancel}"
            )
        if not all("id" in call for call in self.tool_calls or ()):
            raise ValueError("every tool call needs an id")

    def overridden_by(self, metadata: JsonMapping) -> RunScript:
        """Return this script with the values that a run's metadata gives for its fields.

        Whoever starts a run over HTTP scripts it this way: ``{"runs_for": "inf"}``.

        :param metadata: the run's metadata; keys that are no fields are ignored.
        :raises ValueError: if a value does not suit its field.
        :raises TypeError: if a value is of a type that does not.
        """
        changes = {
            name: parse(metadata[name]) for name, parse in _OVERRIDES.items() if name in metadata
        }
        if changes.keys() & _INSTEAD_OF_TIMELINE:
            changes["timeline"] = None
        return replace(self, **changes)

    def plan(self, created: float, final: frozenset[str] = FINAL) -> list[Phase]:
        """Return the phases of a run that nobody touches.

        :param created: when the run is created, in epoch seconds.
        :param final: the statuses after which it does not change any more.
        """
        if self.timeline is not None:
            phases, at = [], created
            for status, seconds in self.timeline:
                phases.append(Phase(at, status))
                at += seconds
            return phases
        started = created + self.queued_for
        ended = started + self.runs_for
        phases = [Phase(created, "queued"), Phase(started, "in_progress"), Phase(ended, self.ends)]
        if self.ends == "requires_action" and self.ends not in final:
            phases.append(Phase(max(ended, started + self.expires_after), "expired"))
        return phases

    def expires_at(self, phases: Sequence[Phase]) -> int | None:
        """Return when a run with these phases expires, in epoch seconds; ``None`` for never."""
        started = next(
            (phase.at for phase in phases if phase.status == "in_progress"), phases[0].at
        )
        expires = started + self.expires_after
        return int(expires) if math.isfinite(expires) else None
