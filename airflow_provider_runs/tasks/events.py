"""The events that carry the end of a wait, or of a sweep, from the triggerer to the worker.

Airflow logs them, so a run in them is only a summary: see ``airflow_provider_runs.summary``.
They cross a process boundary, and during an upgrade also a version boundary, so they are validated
when they arrive: a run counts as final only if the event holds a final run.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from airflow_provider_runs.errors import RunsError, RunsResponseError
from airflow_provider_runs.models import Run
from airflow_provider_runs.plain_json import JsonObject, plain_json
from airflow_provider_runs.polling.report import Swept
from airflow_provider_runs.run_ref import same_id
from airflow_provider_runs.summary import summary_of

if TYPE_CHECKING:
    from typing import Self

__all__ = ["Outcome", "RunEvent", "SweepEvent"]


class Outcome(StrEnum):
    """How a wait ended."""

    FINAL = "final"
    REQUIRES_ACTION = "requires_action"
    ERROR = "error"


class RunEvent(BaseModel):
    """The end of a wait, as plain JSON in a trigger event.

    :param version: the version of this format; it grows when the format changes.
    :param outcome: how the wait ended.
    :param run: the summary of the run that ended the wait; ``None`` if an error did. Events of
        version 0.1.0 hold the whole run.
    :param error: the error that ended the wait, as ``RunsError.to_json`` returns it; ``None`` if a
        run did.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    version: Literal[1] = 1
    outcome: Outcome
    run: Run | None = None
    error: JsonObject | None = None

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> Self:
        if (self.run is None) == (self.error is None):
            raise ValueError("an event holds a run or an error")
        if self.outcome is not _outcome(self.run):
            raise ValueError(f"a run in this status does not mean {self.outcome.value!r}")
        return self

    @classmethod
    def of(cls, end: Run | RunsError) -> RunEvent:
        """Return the event for a wait that ended with this run or error.

        :param end: the run or the error.
        """
        if isinstance(end, RunsError):
            return cls(outcome=Outcome.ERROR, error=end.to_json())
        return cls(outcome=_outcome(end), run=end.summary())

    def to_json(self) -> JsonObject:
        """Return the event as plain JSON."""
        run = summary_of(self.run.to_json()) if self.run else None
        return {"version": 1, "outcome": self.outcome.value, "run": run, "error": self.error}

    @staticmethod
    def read(data: Any, run_id: str) -> Run:
        """Return the run of an event that has arrived.

        :param data: the event: what ``to_json`` returned in the triggerer.
        :param run_id: the run that the task waits for; the event must be about this run.
        :raises RunsResponseError: if it is not a valid event about this run.
        :raises RunsError: the error that the event holds.
        """
        try:
            event = RunEvent.model_validate(data)
            error = RunsError.from_json(event.error) if event.error is not None else None
            if event.run and not same_id(event.run.id, str(run_id)):
                raise TypeError("it is about another run")  # noqa: TRY301
        except (ValidationError, TypeError) as broken:
            raise _not_understood(data, broken, "check the run") from None
        if error is not None:
            raise error
        assert event.run is not None  # noqa: S101 - the event agrees with itself
        return event.run.under(str(run_id))


class SweepEvent(BaseModel):
    """The end of a sweep, as plain JSON in a trigger event.

    :param version: the version of this format; it grows when the format changes.
    :param report: a line for each run; ``None`` if an error ended the sweep.
    :param error: the error that ended the sweep, as ``RunsError.to_json`` returns it; ``None`` if
        there is a report.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    version: Literal[1] = 1
    report: list[Swept] | None = None
    error: JsonObject | None = None

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> Self:
        if (self.report is None) == (self.error is None):
            raise ValueError("an event holds a report or an error")
        return self

    @classmethod
    def of(cls, end: list[Swept] | RunsError) -> SweepEvent:
        """Return the event for a sweep that ended with this report or error.

        :param end: the report or the error.
        """
        if isinstance(end, RunsError):
            return cls(error=end.to_json())
        return cls(report=end)

    def to_json(self) -> JsonObject:
        """Return the event as plain JSON."""
        event: JsonObject = plain_json(
            self.model_dump(mode="json", exclude_none=False, exclude=self._absent())
        )
        return event

    def _absent(self) -> set[str]:
        # Version 0.1.0 distinguishes a report from an error by the field that is present.
        return {"error"} if self.error is None else {"report"}

    @staticmethod
    def read(data: Any) -> list[Swept]:
        """Return the report of an event that has arrived.

        :param data: the event: what ``to_json`` returned in the triggerer.
        :raises RunsResponseError: if it is not a valid event.
        :raises RunsError: the error that the event holds.
        """
        try:
            event = SweepEvent.model_validate(data)
            error = RunsError.from_json(event.error) if event.error is not None else None
        except (ValidationError, TypeError) as broken:
            raise _not_understood(data, broken, "sweep") from None
        if error is not None:
            raise error
        assert event.report is not None  # noqa: S101 - the event agrees with itself
        return event.report


def _not_understood(
    data: object, broken: ValidationError | TypeError, again: str
) -> RunsResponseError:
    if isinstance(broken, ValidationError):
        problem = "; ".join(each["msg"] for each in broken.errors())
    else:
        problem = str(broken)
    return RunsResponseError(
        f"The trigger's event cannot be understood, so its result is unknown: {problem}. It is "
        f"{_shape(data)}. Clear the task to {again} again."
    )


def _shape(data: object) -> str:
    """Return what an event looks like, without its values: they may be a whole run's."""
    if not isinstance(data, dict):
        return f"a {type(data).__name__}"
    return f"a dict with {', '.join(map(repr, data)) or 'nothing in it'}"[:300]


def _outcome(run: Run | None) -> Outcome:
    """Return how a wait ended; ``None`` in place of a run means with an error.

    :raises ValueError: if a run in this status does not end a wait.
    """
    if run is None:
        return Outcome.ERROR
    if not run.status.may_end_wait:
        raise ValueError(f"a run that is {run.status.value!r} has not ended")
    return Outcome.FINAL if run.is_final else Outcome.REQUIRES_ACTION
