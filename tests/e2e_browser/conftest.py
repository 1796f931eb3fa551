"""One Airflow, one browser and a server for each connection type, for all tests here."""

from __future__ import annotations

import shutil
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect, sync_playwright

from airflow_provider_runs.backends import BACKENDS
from airflow_provider_runs.testing import RunScript, RunServer
from dev.local_airflow import LocalAirflow
from tests.e2e_browser.case import KEY, PROXY_PASSWORD, Case
from tests.e2e_browser.connection_pages import ConnectionList
from tests.e2e_browser.proxy import Proxy
from tests.e2e_browser.watch import Watch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, BrowserContext, Page

ROOT = Path(__file__).resolve().parents[2]
CONSOLE = "https://console.test"
TIMEOUT = 30_000  # milliseconds; a busy machine needs some seconds for the first page
# No sandbox, because CI runs as root; and no calls to its maker's hosts.
SWITCHES = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Start Debian's Chromium; one that Playwright would download is not wanted."""
    chromium = shutil.which("chromium") or shutil.which("chromium", path="/usr/bin")
    if chromium is None:
        pytest.fail("there is no chromium: install it with `apt-get install chromium`")
    expect.set_options(timeout=TIMEOUT)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=SWITCHES)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def servers() -> Iterator[dict[str, RunServer]]:
    """Serve each dialect, by connection type; all want the same key."""
    with ExitStack() as stack:
        yield {
            backend.form.conn_type: stack.enter_context(
                RunServer(
                    dialect=backend.form.conn_type.removeprefix("runs_"),
                    api_key=KEY,
                    script=RunScript(cancelling_for=3),
                )
            )
            for backend in BACKENDS
        }


@pytest.fixture(scope="session")
def proxy() -> Iterator[Proxy]:
    """Run the proxy that the connections name."""
    with Proxy() as running:
        yield running


@pytest.fixture(scope="session")
def airflow(
    browser: Browser, servers: dict[str, RunServer], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LocalAirflow]:
    """Run a full Airflow with the example DAGs and their connection."""
    del browser  # only so that a missing one is told at once
    connection = servers["runs_assistants"].connection(
        console_url=f"{CONSOLE}/{{thread_id}}/{{run_id}}"
    )
    env = {"AIRFLOW_CONN_RUNS_DEFAULT": connection}
    home = tmp_path_factory.mktemp("airflow")
    with LocalAirflow(home, [ROOT / "example_dags"], env) as running:
        yield running


@pytest.fixture(scope="session")
def context(browser: Browser, airflow: LocalAirflow) -> Iterator[BrowserContext]:
    """Open a profile, which keeps the UI's scripts in its cache."""
    context = browser.new_context(
        base_url=airflow.base_url, viewport={"width": 1100, "height": 1800}
    )
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    context.set_default_timeout(TIMEOUT)
    yield context
    context.close()


@pytest.fixture(scope="session")
def watch(context: BrowserContext) -> Watch:
    """Watch what the browser is told, from the first page on."""
    return Watch(context)


@pytest.fixture
def page(context: BrowserContext, watch: Watch) -> Iterator[Page]:
    """Open a tab; whatever its scripts could not cope with fails the test."""
    del watch
    errors: list[str] = []
    page = context.new_page()
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    page.close()
    assert errors == []


@pytest.fixture
def connections(page: Page) -> ConnectionList:
    """Open the list of connections."""
    pages = ConnectionList(page)
    pages.open()
    return pages


@pytest.fixture(params=[backend.form for backend in BACKENDS], ids=lambda form: form.conn_type)
def case(request: pytest.FixtureRequest, servers: dict[str, RunServer], proxy: Proxy) -> Case:
    """Name a connection of each type."""
    form = request.param
    return Case.of(form, servers[form.conn_type], proxy.url("browser", PROXY_PASSWORD))


@pytest.fixture
def stored(case: Case, airflow: LocalAirflow) -> Case:
    """Store such a connection; before the list of them is opened, so name this first."""
    case.store(airflow)
    return case


@pytest.fixture
def stored_direct(case: Case, airflow: LocalAirflow) -> Case:
    """Store one without the proxy."""
    case = case.without_proxy()
    case.store(airflow)
    return case
