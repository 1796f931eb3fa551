"""The README's pictures: taken anew each time, and kept where PICTURES says (`make pictures`)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from airflow_provider_runs.backends import LangGraphBackend

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

    from airflow_provider_runs.connections.forms import ConnectionForm
    from dev.local_airflow import LocalAirflow
    from tests.e2e_browser.case import Case
    from tests.e2e_browser.connection_pages import ConnectionDialog, ConnectionList

DAG = "example_cancel_run"
PNG = b"\x89PNG"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the pictures go."""
    return Path(os.environ.get("PICTURES") or tmp_path)


def test_the_standard_fields(connections: ConnectionList, folder: Path) -> None:
    form = LangGraphBackend.form
    connections.page.set_viewport_size({"width": 700, "height": 1100})
    dialog = _filled(connections, form)
    dialog.standard("host").fill("https://my-agents.us.langgraph.app")
    dialog.standard("password").fill("never-shown")
    _take(connections.page, dialog.root, folder / "form-standard.png")


def test_the_form_of_each_type(connections: ConnectionList, case: Case, folder: Path) -> None:
    form = case.form
    connections.page.set_viewport_size({"width": 700, "height": 2200})
    dialog = _filled(connections, form)
    dialog.open_extra()
    expect(dialog.extra(next(iter(form.fields)))).to_be_visible()
    _take(connections.page, dialog.root, folder / f"form-{form.conn_type}.png")


def test_a_finished_dag(page: Page, airflow: LocalAirflow, folder: Path) -> None:
    dag_run = airflow.trigger(DAG)
    assert airflow.wait_for_dag_run(DAG, dag_run, timeout=180) == "success"
    page.set_viewport_size({"width": 1200, "height": 620})
    page.goto(f"/dags/{DAG}/runs/{dag_run}/tasks/cancel_run/details")
    expect(page.get_by_role("link", name="Run", exact=True)).to_be_visible()
    _take(page, page.locator("body"), folder / "finished-dag.png")


def _filled(connections: ConnectionList, form: ConnectionForm) -> ConnectionDialog:
    dialog = connections.add()
    dialog.standard("connection_id").fill("runs_default")
    dialog.choose_type(form.label)
    return dialog


def _take(page: Page, part: Locator, path: Path) -> None:
    page.wait_for_timeout(1000)  # for what is drawn in motion
    part.screenshot(path=path, animations="disabled")
    assert path.read_bytes().startswith(PNG)
