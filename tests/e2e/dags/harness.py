"""The smallest DAG that shows a local Airflow at work: it defers, resumes and returns."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.triggers.temporal import TimeDeltaTrigger
from airflow.sdk import DAG, BaseOperator

if TYPE_CHECKING:
    from airflow.sdk import Context


class DeferOnceOperator(BaseOperator):
    """Waits in the triggerer and returns what the run was started with."""

    def execute(self, context: Context) -> None:
        """Defer for 8 s."""
        self.defer(trigger=TimeDeltaTrigger(timedelta(seconds=8)), method_name="resume")

    def resume(self, context: Context, event: object) -> dict[str, Any]:
        """Return the run's conf, and push a text that looks like a number."""
        self.log.info("resumed with %s", type(event).__name__)
        context["ti"].xcom_push(key="text", value="12")
        return {"conf": context["dag_run"].conf}


with DAG(dag_id="harness", schedule=None, catchup=False):
    DeferOnceOperator(task_id="defer_once")
