"""The extra link: from a task instance to its run in the service's console."""

from __future__ import annotations

from typing import TYPE_CHECKING

from playwright.sync_api import expect

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from airflow_provider_runs.testing import RunServer
    from dev.local_airflow import LocalAirflow

DAG = "example_cancel_run"


def test_it_opens_from_the_details_of_a_finished_task(
    page: Page, airflow: LocalAirflow, servers: dict[str, RunServer]
) -> None:
    dag_run = airflow.trigger(DAG)
    state = airflow.wait_for_dag_run(DAG, dag_run, timeout=180)
    assert state == "success", airflow.log(DAG, dag_run, "cancel_run")
    run = airflow.xcom(DAG, dag_run, "cancel_run")
    url = f"https://console.test/{run['thread_id']}/{run['id']}"
    page.context.route("https://console.test/**", lambda route: route.fulfill(body="The run."))

    page.goto(f"/dags/{DAG}/runs/{dag_run}/tasks/cancel_run")
    page.get_by_role("link", name="Details", exact=True).click()
    link = page.get_by_role("link", name="Run", exact=True)
    expect(link).to_have_attribute("href", url)
    with page.expect_popup() as tab:
        link.click()

    assert tab.value.url == url
    expect(tab.value.get_by_text("The run.")).to_be_visible()
    tab.value.close()
    assert servers["runs_assistants"].accepted_cancels(run["id"]) == 1
