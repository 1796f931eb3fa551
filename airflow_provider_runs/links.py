"""The link from a task to its run in the service's own console."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import XCom
from airflow.sdk import BaseOperatorLink

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator, Context
    from airflow.sdk.types import TaskInstanceKey

    from airflow_provider_runs.hooks import RunsHook

__all__ = ["RunLink"]


class RunLink(BaseOperatorLink):
    """Opens the run where the connection's ``console_url`` says it can be seen."""

    name = "Run"

    @property
    def xcom_key(self) -> str:
        """The XCom that holds the link."""
        return "run_link"

    def publish(self, context: Context, hook: RunsHook, run_id: str, thread_id: str | None) -> None:
        """Store the link as soon as the task knows it, so that it works while the task waits.

        :raises RunsConfigError: if the connection cannot be used.
        """
        if url := hook.backend().settings.console_link(run_id, thread_id):
            context["ti"].xcom_push(key=self.xcom_key, value=url)

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """Return the link that the task has stored, or ``""``: then the button stays grey.

        :param operator: not needed.
        :param ti_key: the task instance.
        """
        link: Any = XCom.get_value(ti_key=ti_key, key=self.xcom_key)
        return link or ""
