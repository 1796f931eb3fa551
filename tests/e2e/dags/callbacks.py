"""DAGs that cancel runs from callbacks, and from a mapped teardown."""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG, task

from airflow_provider_runs.airflow_errors import AirflowFailException, AirflowSkipException
from airflow_provider_runs.notifications import CancelRunNotifier
from airflow_provider_runs.operators import CancelRunOperator


def cancel(name: str) -> CancelRunNotifier:
    """Return a callback that cancels the run of that name in the DAG run's conf."""
    ids = {"run_id": f"dag_run.conf['{name}']", "thread_id": "dag_run.conf['thread_id']"}
    return CancelRunNotifier(**{field: f"{{{{ {value} }}}}" for field, value in ids.items()})


with DAG("callbacks", schedule=None, on_failure_callback=cancel("dag_failure")):

    @task(
        retries=1,
        retry_delay=timedelta(seconds=1),
        on_retry_callback=cancel("retry"),
        on_failure_callback=cancel("failure"),
    )
    def fail() -> None:
        """Fail twice."""
        raise RuntimeError("something broke")

    @task(on_skipped_callback=cancel("skipped"))
    def skip() -> None:
        """Skip."""
        raise AirflowSkipException("nothing to do")

    fail()
    skip()

with DAG("mapped_teardown", schedule=None):

    @task
    def start(dag_run=None) -> list[str]:
        """Return the runs that are to be torn down."""
        return dag_run.conf["run_ids"]

    @task
    def work() -> None:
        """Fail."""
        raise AirflowFailException("the work has failed")

    run_ids = start()
    stop = CancelRunOperator.partial(
        task_id="stop",
        thread_id="{{ dag_run.conf['thread_id'] }}",
        poll_interval=1,
        deferrable=True,
    ).expand(run_id=run_ids)
    run_ids >> work() >> stop.as_teardown(setups=run_ids)
