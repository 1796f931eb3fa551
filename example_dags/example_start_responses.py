"""Have a model answer in the background, with OpenAI Responses, and use its answer.

``background`` and ``store`` are added to the body. OpenAI's API can neither be searched nor takes
the id of a response from its client. So if the worker dies just as it starts one, the next try
fails and says so, rather than pay twice; ``on_lost_start="start_again"`` pays. It needs a
connection ``runs_responses_default`` of type "Runs: OpenAI Responses (background)".
"""

from __future__ import annotations

from typing import Any

from airflow.sdk import DAG, Param, task

from airflow_provider_runs.operators import StartRunOperator

with DAG(
    "example_start_responses",
    schedule=None,
    params={"model": Param("gpt-5", type="string", title="Model")},
    tags=["runs", "example"],
    doc_md=__doc__,
) as dag:
    ask = StartRunOperator(
        task_id="ask",
        conn_id="runs_responses_default",
        body={"model": "{{ params.model }}", "input": "What is the weather like?"},
        timeout=20 * 60,
        deferrable=True,
        retries=2,
    )

    @task
    def use(run: dict[str, Any]) -> str:
        """Use what the response says."""
        answer: str = run["output"]["output_text"]
        print(f"Response {run['id']} says: {answer}")
        return answer

    use(ask.output)
