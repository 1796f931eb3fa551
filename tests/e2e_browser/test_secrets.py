"""The last file of this folder: nothing typed as a secret in any test has come out anywhere."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from playwright.sync_api import expect

from tests.e2e_browser.case import MASK, SECRETS

if TYPE_CHECKING:
    from airflow_provider_runs.testing import RunServer
    from dev.local_airflow import LocalAirflow
    from tests.e2e_browser.case import Case
    from tests.e2e_browser.connection_pages import ConnectionList
    from tests.e2e_browser.watch import Watch


def test_show_value_does_not_show_the_key(stored: Case, connections: ConnectionList) -> None:
    dialog = connections.edit(stored.conn_id)
    dialog.root.get_by_role("button", name="Show value").click()

    expect(dialog.standard("password")).to_have_attribute("type", "text")
    expect(dialog.standard("password")).to_have_value(MASK)


def test_no_response_to_the_browser_held_a_secret(watch: Watch) -> None:
    assert any("/api/v2/connections" in url for url, _ in watch.bodies)
    assert {secret: watch.urls_with(secret) for secret in SECRETS} == {each: [] for each in SECRETS}
    assert [url for url in watch.lost if "/connections" in url] == []


def test_no_log_of_airflow_holds_a_secret(airflow: LocalAirflow) -> None:
    logs = [path for path in airflow.home.rglob("*.log") if path.is_file()]
    assert {"api-server", "scheduler", "dag-processor", "triggerer"} <= {p.stem for p in logs}
    for path in logs:
        text = path.read_text(errors="replace")
        assert [secret for secret in SECRETS if secret in text] == [], path
    audit = json.dumps(airflow.call("GET", "/eventLogs", params={"limit": 1000}))
    assert "post_connection" in audit
    assert [secret for secret in SECRETS if secret in audit] == []


def test_no_run_server_recorded_the_key(servers: dict[str, RunServer]) -> None:
    requests = [request for server in servers.values() for request in server.requests]
    assert requests
    # The proxy's password never gets that far, and another header is none of the server's secrets.
    assert [secret for secret in SECRETS[:3] if secret in repr(requests)] == []
