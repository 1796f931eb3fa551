"""The lines of Airflow's log that say why the demo failed."""

from __future__ import annotations

from dev.airflow_log import ROOT, TAIL, why, why_of_task

NOISE = "2026-11-25T01:56:50.862246Z [info     ] ::group::Post Execute          [task] loc=a.py:1"
FAILED = "2026-11-25T01:56:50.995622Z [error    ] Task failed with exception     [task] loc=a.py:2"
TRACEBACK = f"""\
Traceback (most recent call last):
  File "{ROOT}/.venv/lib/python3.11/site-packages/airflow/sdk/bases/operator.py", line 462, in wrap
    return func(self, *args, **kwargs)
           ^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "{ROOT}/airflow_provider_runs/hooks.py", line 17, in outer
    return inner()
  File "{ROOT}/example_dags/example_cancel_run.py", line 31, in start_run
    thread = http.post("/threads", json=body).raise_for_status().json()
             ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "{ROOT}/.venv/lib/python3.11/site-packages/httpx/_models.py", line 829, in raise_for_status
    raise HTTPStatusError(message, request=request, response=self)
httpx.HTTPStatusError: Client error '401 Unauthorized' for url 'http://127.0.0.1:1/threads'
For more information check: the documentation
""".splitlines()
SAID = [
    "[error    ] Task failed with exception     [task] loc=a.py:2",
    f'  File "{ROOT}/example_dags/example_cancel_run.py", line 31, in start_run',
    '    thread = http.post("/threads", json=body).raise_for_status().json()',
    "httpx.HTTPStatusError: Client error '401 Unauthorized' for url 'http://127.0.0.1:1/threads'",
    "For more information check: the documentation",
]


def lines(*log: str) -> list[str]:
    return [f"{line}\n" for line in log]


def test_an_error_is_told_with_our_last_frame_and_the_end_of_its_traceback():
    assert why(lines(NOISE, FAILED, *TRACEBACK, NOISE, "HTTP GET http://a", NOISE)) == SAID


def test_what_two_tasks_say_is_told_once():
    again = FAILED.replace("50.99", "51.99")
    assert why(lines(FAILED, *TRACEBACK, NOISE, again, *TRACEBACK)) == SAID


def test_a_traceback_that_nobody_has_logged_is_told():
    assert why(lines(NOISE, *TRACEBACK)) == SAID[1:]


def test_warnings_are_told_if_they_are_ours():
    log = "2026-11-25T01:56:50.9Z [warning  ] It rains. [{}] loc=a.py:3"
    ours = log.format("airflow.task.hooks.airflow_provider_runs.hooks.RunsHook")
    told = ours.partition(" ")[2]
    assert why(lines(NOISE, log.format("airflow.models"), ours)) == [told]


def test_of_a_log_that_does_not_say_why_the_end_is_shown():
    log = [f"{number} {NOISE}" for number in range(100)]
    assert why(lines(*log)) == log[-TAIL:]
    assert why([]) == []


def test_of_a_tasks_log_errors_and_our_warnings_are_told_once():
    detail = [{"exc_type": "RunFailed", "exc_value": "The run is 'failed'.", "frames": []}]
    error = {"level": "error", "event": "Task failed", "logger": "task", "error_detail": detail}
    ours = {"level": "warning", "event": "It snows.", "logger": "airflow_provider_runs.flows"}
    other = {"level": "warning", "event": "It rains.", "logger": "airflow.models"}
    started = {"level": "info", "event": "Started.", "logger": "airflow_provider_runs"}
    assert why_of_task([started, ours, other, "text", error, error]) == [
        "[warning] It snows.",
        "[error] Task failed",
        "RunFailed: The run is 'failed'.",
    ]
    assert why_of_task([]) == []
