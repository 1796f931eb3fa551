"""The three ways in which a byte is read, a way to ask a server in each, and a report of it all."""

from __future__ import annotations

import importlib
import json
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.hostile.asking import Call, Outcome, Way, call_at_once
from tests.hostile.reporting import Report, total_of
from tests.integration.conftest import supervisor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from _pytest.terminal import TerminalReporter

__all__ = ["supervisor"]

#: What the environment may say of proxies and certificates.
_OUTSIDE = (
    *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "SSLKEYLOGFILE"),
)


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in _OUTSIDE:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture(params=list(Way), ids=str)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Way:
    """Run a test with the blocking calls, and with asyncio without and with the extra."""
    chosen = Way(request.param)
    if chosen is Way.FAST:
        pytest.importorskip("aiohttp")
        pytest.importorskip("airflow_provider_runs.transport.aiohttp")
    if chosen is Way.PLAIN:
        transport = importlib.import_module("airflow_provider_runs.transport")
        monkeypatch.setitem(sys.modules, "airflow_provider_runs.transport.aiohttp", None)
        monkeypatch.delattr(transport, "aiohttp", raising=False)
    return chosen


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Return a function that makes a connection, and returns its id."""
    made: list[str] = []

    def connect(url: str, *, conn_type: str = "runs_assistants", **extra: Any) -> str:
        conn_id = f"hostile_{len(made)}"
        made.append(conn_id)
        extra = {"timeout": 1, "max_retries": 0, **extra}
        fields = {"conn_type": conn_type, "host": url, "password": "sk-x", "extra": extra}
        monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps(fields))
        return conn_id

    return connect


@pytest.fixture
def ask(way: Way, connect: Callable[..., str]) -> Callable[..., Outcome]:
    """Return a function that fetches a run from a server, and says how that ended.

    :param url: the server's.
    :param call: what is called instead.
    :param extra: fields of the connection.
    """

    def ask(url: str, call: Call | None = None, **extra: Any) -> Outcome:
        (outcome,) = call_at_once(way, [(connect(url, **extra), call or Call())])
        return outcome

    return ask


@pytest.fixture
def report(request: pytest.FixtureRequest) -> Report:
    """What a test tells the summary."""
    made = Report()
    request.node.user_properties.append(("hostile", made.figures))
    return made


def pytest_terminal_summary(terminalreporter: TerminalReporter) -> None:
    """Say what all tests have told."""

    def told() -> Iterator[dict[str, float]]:
        for reports in terminalreporter.stats.values():
            for each in reports:
                if getattr(each, "when", "") == "call":
                    yield from (value for name, value in each.user_properties if name == "hostile")

    if total := total_of(told()):
        terminalreporter.write_sep("=", "hostile")
        for line in total:
            terminalreporter.write_line(line)
