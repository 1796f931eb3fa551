"""What a test can do to runs without HTTP."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_provider_runs.testing.dialects.base import Dialect
    from airflow_provider_runs.testing.json_types import JsonObject
    from airflow_provider_runs.testing.scripts import RunScript
    from airflow_provider_runs.testing.store import Store
    from airflow_provider_runs.testing.views import RunView


__all__ = ["RunControl"]


class RunControl:
    """Creates, reads and changes the runs of a server from inside; from any thread.

    The methods that name a thread or a run raise ``ApiError`` where the server would refuse.

    :param dialect: how runs are shown.
    :param store: where they are.
    :param script: how runs behave for which no other script is given.
    """

    def __init__(self, dialect: Dialect, store: Store, script: RunScript) -> None:
        self.dialect = dialect
        self._store = store
        self._script = script

    def create_thread(self) -> str:
        """Add a thread and return its id.

        :raises TypeError: if the dialect has no threads.
        """
        self._need_threads()
        return self._store.create_thread({}).id

    def create_run(
        self, thread_id: str | None = None, script: RunScript | None = None, **fields: object
    ) -> JsonObject:
        """Add a run, and return it as the dialect shows it; a background response is a run too.

        :param thread_id: its thread; by default a new one, where the dialect has threads.
        :param script: how it behaves; by default the server's script.
        :param fields: fields of the dialect's run, such as ``metadata``.
        :raises TypeError: if a field cannot be set, or a thread is given where there are none.
        """
        unknown = fields.keys() - self.dialect.fields.keys()
        if unknown:
            raise TypeError(f"a run is created without {', '.join(sorted(unknown))}")
        if thread_id is not None:
            self._need_threads()
        elif self.dialect.has_threads:
            thread_id = self.create_thread()
        all_fields = self.dialect.run_fields(fields)
        return self._shown(self._store.create_run(thread_id, all_fields, script or self._script))

    def next_run(self, script: RunScript) -> None:
        """Script the next run that is created over HTTP; the scripts of several calls queue up.

        :param script: how it behaves.
        """
        self._store.queue(script)

    def run(self, run_id: str) -> JsonObject:
        """Return a run as the dialect shows it now."""
        return self._shown(self._store.run(run_id))

    def status(self, run_id: str) -> str:
        """Return a run's status now, as its script calls it, whatever the dialect."""
        return self._store.run(run_id).status

    def end(
        self, run_id: str, status: str = "completed", last_error: JsonObject | None = None
    ) -> None:
        """Make a run final now, whatever it was doing.

        :param run_id: the run.
        :param status: the final status that it takes, as its script would call it.
        :param last_error: its ``last_error``, in place of the one that its script gives.
        :raises ValueError: if the status is not final.
        """
        self._store.end_run(run_id, status, last_error)

    def delete(self, run_id: str) -> None:
        """Forget a run: requests for it are answered 404 from now on."""
        self._store.delete_run(run_id)

    def delete_thread(self, thread_id: str) -> None:
        """Forget a thread and its runs.

        :raises TypeError: if the dialect has no threads.
        """
        self._need_threads()
        self._store.delete_thread(thread_id)

    def _shown(self, run: RunView) -> JsonObject:
        # A copy, since parts of it belong to the run.
        return copy.deepcopy(self.dialect.run_json(run))

    def _need_threads(self) -> None:
        if not self.dialect.has_threads:
            raise TypeError(f"there are no threads in the dialect {self.dialect.name!r}")
