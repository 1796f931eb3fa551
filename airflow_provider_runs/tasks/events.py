"""The event that carries the end of a wait from the triggerer to the worker.

It crosses a process boundary, and at an upgrade also a version boundary, so it is checked when it
arrives: no run is taken as final unless the event holds a final run.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from airflow_provider_runs.errors import RunsError, RunsResponseError
from airflow_provider_runs.models import Run, RunStatus

if TYPE_CHECKING:
    from typing import Self

__all__ = ["Outcome", "RunEvent"]


class Outcome(StrEnum):
    """How a wait ended."""

    FINAL = "final"
    REQUIRES_ACTION = "requires_action"
    ERROR = "error"


class RunEvent(BaseModel):
    """The end of a wait, as plain JSON in a trigger event.

    :param version: of this form; raised when the form changes.
    :param outcome: how the wait ended.
    :param run: the run as it was seen; ``None`` with an error.
    :param error: the error in the form of ``RunsError.to_json``; ``None`` with a run.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    version: Literal[1] = 1
    outcome: Outcome
    run: Run | None = None
    error: dict[str, Any] | None = None

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> Self:
        if (self.run is None) == (self.error is None):
            raise ValueError("an event holds a run or an error")
        if self.outcome is not _outcome(self.run):
            raise ValueError(f"a run in this status is not {self.outcome.value!r}")
        return self

    @classmethod
    def of(cls, end: Run | RunsError) -> RunEvent:
        """Return the event for a wait that ended with this run or error."""
        if isinstance(end, RunsError):
            return cls(outcome=Outcome.ERROR, error=end.to_json())
        return cls(outcome=_outcome(end), run=end)

    def to_json(self) -> dict[str, Any]:
        """Return the event as plain JSON."""
        run = self.run.to_json() if self.run else None
        return {"version": 1, "outcome": self.outcome.value, "run": run, "error": self.error}

    @staticmethod
    def read(data: Any, run_id: str) -> Run:
        """Return the run of an event that has arrived.

        :param data: what ``to_json`` gave, after its journey.
        :param run_id: the run that was waited for; an event about another one is none of ours.
        :raises RunsResponseError: if it is no such event.
        :raises RunsError: the error that the event carries.
        """
        try:
            event = RunEvent.model_validate(data)
            error = RunsError.from_json(event.error) if event.error is not None else None
            if event.run and event.run.id != run_id:
                raise TypeError("it is about another run")  # noqa: TRY301
        except (ValidationError, TypeError) as broken:
            raise RunsResponseError(
                f"The trigger's event cannot be understood, so nothing is known of the run: "
                f"{data!r:.300}. Clear the task to look at the run again. ({_problem(broken)})"
            ) from None
        if error is not None:
            raise error
        assert event.run is not None  # noqa: S101 - the event agrees with itself
        return event.run


def _problem(broken: ValidationError | TypeError) -> str:
    if isinstance(broken, ValidationError):
        return "; ".join(problem["msg"] for problem in broken.errors())
    return str(broken)


def _outcome(run: Run | None) -> Outcome:
    """How a wait ended that ended with this run.

    :raises ValueError: if no wait ends with such a run.
    """
    if run is None:
        return Outcome.ERROR
    if run.is_final:
        return Outcome.FINAL
    if run.status is RunStatus.REQUIRES_ACTION:
        return Outcome.REQUIRES_ACTION
    raise ValueError(f"a run that is {run.status.value!r} has not ended")
