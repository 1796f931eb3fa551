"""Ask a graph of a LangGraph Agent Server, and use its answer.

Each run gets a thread of its own, whose values are the run's output. It needs a connection
``runs_langgraph_default`` of type "Runs: LangGraph Agent Server", and a graph whose state has
``messages``; trigger it with the graph's name, or with the id of an assistant.
"""

from __future__ import annotations

from typing import Any

from airflow.sdk import DAG, Param, task

from airflow_provider_runs.operators import StartRunOperator

QUESTION = {"role": "user", "content": "What is the weather like?"}

with DAG(
    "example_start_langgraph",
    schedule=None,
    params={"assistant_id": Param("agent", type="string", title="Graph or assistant")},
    tags=["runs", "example"],
    doc_md=__doc__,
) as dag:
    ask = StartRunOperator(
        task_id="ask",
        conn_id="runs_langgraph_default",
        body={
            "assistant_id": "{{ params.assistant_id }}",
            # The graphs of `make demo` take their length from here; others ignore it.
            "input": {"messages": [QUESTION], "seconds": 15},
        },
        timeout=20 * 60,
        deferrable=True,
        retries=2,
    )

    @task
    def use(run: dict[str, Any]) -> str:
        """Use what the run has made: the last message of its thread."""
        answer: str = run["output"]["messages"][-1]["content"]
        print(f"Run {run['id']} says: {answer}")
        return answer

    use(ask.output)
