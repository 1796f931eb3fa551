"""What a task remembers of its run from one try, or one poll, to the next.

Airflow 3.3 has a store for this, which outlives XComs. Nothing depends on it: without it a task
may log a status twice, and treat a run whose record has expired like one that never existed.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from airflow_provider_runs.run_ref import same_id

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_runs.flows.wait import Wait

__all__ = ["WATCHED_RUN", "last_status", "remember"]

log = logging.getLogger(__name__)

#: The key of the XCom in which a task stores the run it watches, for its trigger to compare.
WATCHED_RUN = "watched_run"
_KEY = "airflow_provider_runs.seen"


def last_status(context: Context, run_id: str) -> str | None:
    """Return the status in which this task last saw a run; ``None`` if it is not known.

    :param context: of the task.
    :param run_id: the run.
    """
    store: Any = context.get("task_state_store")
    try:
        seen = store.get(_KEY) if store is not None else None
    except Exception:  # for whatever reason the store fails
        log.debug("Could not read the last status of run %r", run_id, exc_info=True)
        return None
    if not isinstance(seen, dict) or not same_id(str(seen.get("run_id")), str(run_id)):
        return None  # it waited for another run before it was cleared
    return str(seen["status"])


def remember(context: Context, before: Wait, after: Wait) -> None:
    """Store the status that a poll has seen, if it is new.

    :param context: of the task.
    :param before: the wait before the poll.
    :param after: the wait after it.
    """
    store: Any = context.get("task_state_store")
    if store is None or after.seen in {None, before.seen}:
        return
    try:
        store.set(_KEY, {"run_id": after.ref.run_id, "status": after.seen})
    except Exception:  # for whatever reason the store fails
        log.debug("Could not store the status of run %r", after.ref.run_id, exc_info=True)
