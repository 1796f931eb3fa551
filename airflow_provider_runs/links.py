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
    """Opens the run where the connection's ``console_url`` says it can be seen."""

    name = "Run"

    @property
    def xcom_key(self) -> str:
        """The XCom that holds the link."""
        return "run_link"

    def publish(self, context: Context, backend: Backend, ref: RunRef) -> None:
        """Store the link as soon as the task knows it, so that it works while the task waits.

        :raises RunsConfigError: if an id cannot be one.
        """
        backend.get(ref)  # says so if the ids are none
        if url := backend.settings.console_link(ref.run_id, ref.thread_id):
            try:
                context["ti"].xcom_push(key=self.xcom_key, value=url)
                if XCom is not BaseXCom:
                    # A backend of the user's may keep the URL where the UI does not look. When
                    # Airflow asks for it as the task ends, it stores it past any backend.
                    task = context["ti"].task
                    task.operator_extra_links = (*task.operator_extra_links, self)
            except Exception:  # a link is never worth a task
                log.warning("Could not store the link to %s", ref, exc_info=True)

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """Return the link that the task has stored, or ``""``: then the button stays grey.

        Airflow asks for it only if a task fails before it begins, as with a template that cannot be
        rendered, or if a backend of the user's keeps the XComs.

        :param operator: not needed.
        :param ti_key: the task instance.
        """
        link: Any = XCom.get_value(ti_key=ti_key, key=self.xcom_key)
        return link or ""


class LinksToRun:
    """The part of a task that links to its run; it stands before Airflow's base class."""

    operator_extra_links: Collection[BaseOperatorLink] = (RunLink(),)

    def pre_execute(self, context: Context) -> None:
        """Take the link out of the copy of the task that runs.

        Whenever a task leaves its worker, Airflow asks its links for their URLs and stores them.
        Here a URL is stored by then; where there is none, Airflow would log an error and store
        that. The button in its UI comes from the DAG as it was parsed.

        :param context: not needed.
        """
        links = self.operator_extra_links
        self.operator_extra_links = tuple(link for link in links if type(link) is not RunLink)
