"""The errors of a task: about its run, and of the classes that Airflow acts on."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from airflow_provider_runs.airflow_errors import AirflowFailException
from airflow_provider_runs.errors import RunFailed, RunsError, StartLost, located
from airflow_provider_runs.run_ref import RunRef

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_runs.models import Run

__all__ = [
    "BodyChangedError",
    "LostForGood",
    "UnwantedEnd",
    "UnwantedStatus",
    "about",
    "without_frames",
]


class UnwantedEnd(RunFailed):
    """The run is in an unwanted status; Airflow may retry the task, which starts another run."""


class UnwantedStatus(UnwantedEnd, AirflowFailException):  # type: ignore[misc]  # Airflow's status_code is the 500 of its own API
    """The run is in an unwanted status and will stay in it, so Airflow does not retry the task."""


class LostForGood(StartLost, AirflowFailException):  # type: ignore[misc]  # as above
    """A run may be out there, so Airflow does not retry the task, which would start another."""


class BodyChangedError(RunsError, AirflowFailException):  # type: ignore[misc]  # as above
    """An earlier try has started another run than this one would, so Airflow does not retry."""


E = TypeVar("E", bound=RunsError)


def about(task: Any, kind: type[E], words: str, run: Run | None = None) -> E:
    """Return an error about the run that a task works on.

    :param task: an operator or sensor with ``run_id``, ``thread_id`` and ``conn_id``.
    :param kind: the class of the error.
    :param words: what happened and what to do, in sentences.
    :param run: the run as it was last seen, if it was seen.
    """
    return kind(
        located(words, RunRef(task.run_id, task.thread_id), task.conn_id),
        conn_id=task.conn_id,
        run_id=task.run_id,
        thread_id=task.thread_id,
        run=run.to_json() if run else None,
    )


@contextmanager
def without_frames() -> Iterator[None]:
    """Raise an error of this provider without the frames of its own machinery.

    Its message says all; Airflow would print some twenty frames of flows and drivers above it.
    """
    try:
        yield
    except RunsError as error:
        # A copy: contextlib gives the same error its frames back.
        raise error.replacing() from None
