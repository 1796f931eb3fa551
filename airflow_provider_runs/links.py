"""The link from a task to its run in the service's own console."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import XCom
from airflow.sdk import BaseOperatorLink
from airflow.sdk.bases.xcom import BaseXCom

if TYPE_CHECKING:
    from collections.abc import Collection

    from airflow.sdk import BaseOperator, Context
    from airflow.sdk.types import TaskInstanceKey

    from airflow_provider_runs.backends import Backend
    from airflow_provider_runs.models import RunRef

__all__ = ["LinksToRun", "RunLink"]

log = logging.getLogger(__name__)


class RunLink(BaseOperatorLink):
    """Links a task to the page that the connection's ``console_url`` names for its run."""

    name = "Run"

    @property
    def xcom_key(self) -> str:
        """The key of the XCom that holds the link."""
        return "run_link"

    def publish(self, context: Context, backend: Backend, ref: RunRef) -> None:
        """Store the link at once, so that it works while the task waits.

        A connection without ``console_url`` stores none.

        :param context: of the task that runs.
        :param backend: the task's backend, which has the connection's settings.
        :param ref: the task's run.
        :raises RunsConfigError: if an id is not valid.
        """
        backend.get(ref)  # raises if an id is not valid
        if url := backend.settings.console_link(ref.run_id, ref.thread_id):
            try:
                context["ti"].xcom_push(key=self.xcom_key, value=url)
                if XCom is not BaseXCom:
                    # A custom XCom backend may keep the URL where the UI does not look. Airflow
                    # asks the link for its URL when the task ends, and stores that itself, past
                    # any XCom backend.
                    task = context["ti"].task
                    task.operator_extra_links = (*task.operator_extra_links, self)
            except Exception:  # no task may fail because of a link
                log.warning("Could not store the link to %s", ref, exc_info=True)

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """Return the link that the task stored, or ``""``, which leaves the button grey.

        Airflow calls this only for a task that fails before it begins, for example when a template
        cannot be rendered, or where a custom XCom backend is used.

        :param operator: not needed.
        :param ti_key: the task instance.
        """
        link: Any = XCom.get_value(ti_key=ti_key, key=self.xcom_key)
        return link or ""


class LinksToRun:
    """The part of a task that links to its run; in the bases it comes before Airflow's class."""

    operator_extra_links: Collection[BaseOperatorLink] = (RunLink(),)

    def pre_execute(self, context: Context) -> None:
        """Remove the link from the copy of the task that runs.

        Whenever a task leaves its worker, Airflow asks the task's links for their URLs and stores
        them. By then ``RunLink`` has stored its URL; where there is none, Airflow would log an
        error and store that. The button in the UI comes from the parsed DAG, not from this copy.

        A subclass that overrides this calls ``super().pre_execute(context)``.
        """
        super().pre_execute(context)  # type: ignore[misc]  # of Airflow's base class, which follows
        links = self.operator_extra_links
        self.operator_extra_links = tuple(link for link in links if type(link) is not RunLink)
