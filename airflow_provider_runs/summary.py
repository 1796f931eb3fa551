"""What may be told of a run where it is logged: nothing that people or a model wrote.

Airflow logs the events of triggers, so a run that crosses from the triggerer to the worker, alone
or in an error, is a summary: which run it is, how it ended and why, when, and what it used.
"""

from __future__ import annotations

from typing import Any

from airflow_provider_runs.plain_json import short_json

__all__ = ["SUMMARY", "summary_of"]

#: The fields of a run that its summary has.
SUMMARY = (
    "id",
    "thread_id",
    "status",
    "raw_status",
    "created_at",
    "started_at",
    "expires_at",
    "cancelled_at",
    "failed_at",
    "completed_at",
    "last_error",
    "incomplete_details",
    "usage",
)


def summary_of(run: dict[str, Any]) -> dict[str, Any]:
    """Return the summary of a run.

    :param run: the run as plain JSON.
    """
    return {name: short_json(run[name]) for name in SUMMARY if name in run}
