"""What a task remembers of its run from one try, or one look, to the next.

Airflow 3.3 has a store for this, which outlives XComs. Nothing depends on it: where it is missing
or fails, a task says a status twice, and takes a record that has expired for one never seen.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_runs.flows.wait import Wait

__all__ = ["WATCHED_RUN", "last_status", "remember"]

log = logging.getLogger(__name__)

#: The XCom in which a sensor notes which run it watches, for its trigger to compare.
WATCHED_RUN = "watched_run"
_KEY = "airflow_provider_runs.seen"


def last_status(context: Context, run_id: str) -> str | None:
    """Return the status in which this task saw a run last, if that is known."""
    store: Any = context.get("task_state_store")
    try:
        seen = store.get(_KEY) if store is not None else None
    except Exception:  # whatever keeps the store from answering
        log.debug("Could not read the last status of run %r", run_id, exc_info=True)
        return None
    if not isinstance(seen, dict) or seen.get("run_id") != run_id:
        return None  # it waited for another run before it was cleared
    return str(seen["status"])


def remember(context: Context, before: Wait, after: Wait) -> None:
    """Store the status that a look has seen, if it is news.

    :param before: the wait before the look.
    :param after: what was left of it then.
    """
    store: Any = context.get("task_state_store")
    if store is None or after.seen in {None, before.seen}:
        return
    try:
        store.set(_KEY, {"run_id": after.ref.run_id, "status": after.seen})
    except Exception:  # whatever keeps the store from taking it
        log.debug("Could not store the status of run %r", after.ref.run_id, exc_info=True)
