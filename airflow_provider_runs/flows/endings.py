"""How a wait ends without the end of its run, in words."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from airflow_provider_runs.errors import CancelRefused, RunFailed, RunsError, RunTimeout, located
from airflow_provider_runs.flows.cancel import is_refusal
from airflow_provider_runs.models import RunStatus

if TYPE_CHECKING:
    from airflow_provider_runs.flows.asks import Asks
    from airflow_provider_runs.flows.wait import Wait
    from airflow_provider_runs.models import Run
    from airflow_provider_runs.plain_json import JsonObject

__all__ = ["name", "timed_out", "waits_for_nothing"]


def name(wait: Wait) -> str:
    """Return a wait's run, as the beginning of a sentence."""
    text = str(wait.ref)
    return text[:1].upper() + text[1:]


def timed_out(
    wait: Wait, conn_id: str, run: JsonObject | None, asks: Asks, failure: RunsError | None
) -> RunsError:
    """Return the error for a wait whose time is up.

    :param wait: the wait.
    :param conn_id: its connection.
    :param run: the run as it was last seen, as plain JSON; ``None`` if it never was.
    :param asks: the requests to cancel it.
    :param failure: how the last poll failed; ``None`` if it did not.
    """
    parts = [f"Timed out after {time.time() - wait.started_at:.0f} s {_state(run)}."]
    if run and run["status"] == RunStatus.CANCELLING:
        parts.append("A cancel was accepted but has not taken effect.")
    elif not wait.cancel:
        parts.append(RunTimeout.ADVICE)
    parts.append(asks.history())
    if run and run["status"] == RunStatus.CANCELLING and not asks.count:
        parts.append("Check the run on the server.")
    refused = asks.failure and asks.accepted_at is None and is_refusal(asks.failure)
    if failure and not refused:
        parts.append(f"The last look failed: {failure.said}")
    return (CancelRefused if refused else RunTimeout)(
        located(" ".join(filter(None, parts)), wait.ref, conn_id),
        conn_id=conn_id,
        run_id=wait.ref.run_id,
        thread_id=wait.ref.thread_id,
        run=run,
        status_code=asks.failure.status_code if asks.failure and refused else None,
    )


def waits_for_nothing(wait: Wait, conn_id: str, run: Run) -> RunFailed:
    """Return the error for a run that waits for a person where a resume is a new run.

    :param wait: the wait.
    :param conn_id: its connection.
    :param run: the run.
    """
    words = (
        "The run has stopped for an interrupt and waits for a person. On this API a resume is a "
        "new run, so this one will not go on. Set on_requires_action='succeed' to get what it "
        "asks for, and wait for the run that resumes it."
    )
    return RunFailed(
        located(words, wait.ref, conn_id),
        conn_id=conn_id,
        run_id=wait.ref.run_id,
        thread_id=wait.ref.thread_id,
        run=run.to_json(),
    )


def _state(run: JsonObject | None) -> str:
    if run is None:
        return "in which the run was never seen"
    if RunStatus.of(run["status"]).is_known:
        return f"while the run was {run['status']!r}"
    return f"while the run's status was {run['raw_status']!r}, which this provider does not know"
