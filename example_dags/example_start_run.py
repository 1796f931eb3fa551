"""Ask an agent: start a run, wait for it without a worker slot, and use its answer.

If the task ends before its run, however it ends, the run is cancelled; and if its worker dies, the
next try goes on with the same run. It needs a connection ``runs_default`` of type "Runs: OpenAI
Assistants and compatible". Against the embedded server (``make airflow``, ``make demo``) it runs as
it is; against a real one, trigger it with the id of an assistant that exists there.
"""

from __future__ import annotations

from typing import Any

from airflow.sdk import DAG, Param, task

from airflow_provider_runs.operators import StartRunOperator

QUESTION = {"role": "user", "content": "What is the weather like?"}
#: The embedded server takes the run's length and its answer from here; a real one ignores it.
SCRIPT = {"runs_for": "15", "answer": "Sunny."}

with DAG(
    "example_start_run",
    schedule=None,
    params={"assistant_id": Param("asst_demo", type="string", title="Assistant")},
    tags=["runs", "example"],
    doc_md=__doc__,
) as dag:
    ask = StartRunOperator(
        task_id="ask",
        body={
            "assistant_id": "{{ params.assistant_id }}",
            "additional_messages": [QUESTION],
            "metadata": SCRIPT,
        },
        timeout=20 * 60,
        deferrable=True,
        retries=2,
    )

    @task
    def use(run: dict[str, Any]) -> str:
        """Use what the run has made: the last of its messages."""
        answer: str = run["output"][-1]["content"][0]["text"]["value"]
        print(f"Run {run['id']} says: {answer}")
        return answer

    use(ask.output)
