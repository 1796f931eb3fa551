"""What the Test button says; each rule for both drivers."""

from __future__ import annotations

import socket
import time

import pytest

from airflow_provider_runs.backends import AssistantsBackend
from airflow_provider_runs.testing import Fault, RunServer
from airflow_provider_runs.transport.probe import probe_in_time
from tests.moments import PATIENCE
from tests.unit.backends import backend_of


def test_a_good_connection(server, call):
    ok, words = call("test_connection")
    assert ok
    assert server.url in words


def test_a_refused_key(server, call, connect):
    server.fault(Fault(status=401, body={"error": {"message": "Bad key: sk-wrong-key"}}))
    connect(password="sk-wrong-key")
    ok, words = call("test_connection")
    assert not ok
    assert "Put a key that is allowed to do this into the connection's password" in words
    assert "sk-wrong-key" not in words


def test_a_dead_host(call, connect):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    connect(host=f"http://127.0.0.1:{port}")
    ok, words = call("test_connection")
    assert not ok
    assert "The host cannot be reached" in words


def test_a_server_without_tls(server, call, connect):
    connect(host=server.url.replace("http://", "https://"))
    ok, words = call("test_connection")
    assert not ok
    assert "TLS failed" in words


@pytest.mark.parametrize("path", ["/v7", "/v1/v1"])
def test_a_wrong_path(server, call, connect, path):
    server.fault(Fault(status=404, body=b"<html>404"), path=path)
    connect(host=server.url + path)
    ok, words = call("test_connection")
    assert not ok
    assert "base URL" in words


def test_a_host_that_has_stopped_serving_this_api(server, call, connect):
    # The real host is not within reach of a test; this one answers in its place, as its proxy.
    server.fault(Fault(status=404), times=None)
    connect(host="http://api.openai.com/v1", proxy=server.url)
    ok, words = call("test_connection")
    assert not ok
    assert "does not serve this API, or no longer" in words
    assert "another connection type" in words


def test_a_slow_server_is_not_waited_for(server, call, connect):
    connect(timeout=5 * PATIENCE)
    server.fault(Fault(delay=3600), times=None)
    begun = time.monotonic()
    ok, words = call("test_connection")
    assert not ok
    assert "timed out" in words
    assert time.monotonic() - begun < PATIENCE


def test_an_unusable_connection(call, connect):
    connect(host="ftp://files.test")
    ok, words = call("test_connection")
    assert not ok
    assert "http or https" in words


@pytest.mark.usefixtures("server")
@pytest.mark.parametrize("proxy", ["socks://127.0.0.1:9", "http://[::1"])
def test_a_proxy_that_is_none_is_named(call, monkeypatch, proxy):
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ALL_PROXY", proxy)
    ok, shown = call("test_connection")
    assert not ok
    assert "environment variable ALL_PROXY" in shown


class Leaving(AssistantsBackend):
    """A backend that ends its thread, as a panic of a library written in Rust does."""

    def headers(self):
        raise SystemExit("the key sk-x-0123 is too odd")


def test_what_ends_the_thread_is_shown_as_itself_without_the_key():
    ok, shown = probe_in_time(backend_of(Leaving, key="sk-x-0123"))
    assert (ok, shown) == (False, "The test itself failed. SystemExit: the key *** is too odd")


@pytest.fixture
def agents(monkeypatch):
    """An Agent Server whose gateway forwards only what the test lets through."""
    with RunServer(dialect="langgraph") as server:
        monkeypatch.setenv("AIRFLOW_CONN_RUNS_DEFAULT", server.connection())
        for path in ("/assistants", "/threads"):
            server.fault(Fault(status=404, body={"detail": "Not Found"}), path=path, times=None)
        yield server


@pytest.mark.usefixtures("agents")
def test_an_agent_server_that_names_no_run_is_known_by_its_health(call):
    ok, words = call("test_connection")
    assert ok, words
    assert "cannot tell whether the key is valid" in words


@pytest.mark.parametrize(
    "fault",
    [
        Fault(body=b"<html>ok"),
        Fault(body={"status": "ok"}),
        Fault(body=b"[]"),
        Fault(status=404),
        Fault(drop=True),
    ],
)
def test_another_health_proves_nothing(agents, call, fault):
    agents.fault(fault, path="/ok", times=None)
    ok, words = call("test_connection")
    assert not ok
    assert "does not serve this API" in words
