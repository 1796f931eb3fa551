from types import SimpleNamespace

import pytest

from airflow_provider_runs.backends import AssistantsBackend
from airflow_provider_runs.connections.settings import Settings
from airflow_provider_runs.errors import RunsConfigError
from airflow_provider_runs.transport.environment import proxy_of

NAMES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch):
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def settings(host="https://gateway.test:8443/v1", **extra) -> Settings:
    conn = SimpleNamespace(conn_id="c", host=host, port=None, schema=None, password="sk-x")
    return Settings.from_connection(conn, extra, AssistantsBackend.form)


def test_without_a_proxy_there_is_none():
    assert proxy_of(settings()) is None


@pytest.mark.parametrize(
    ("host", "variables", "proxy"),
    [
        ("https://a.test", {"HTTPS_PROXY": "http://p:1"}, "http://p:1"),
        ("https://a.test", {"HTTP_PROXY": "http://p:1"}, None),
        ("http://a.test", {"HTTP_PROXY": "p:1"}, "http://p:1"),
        ("https://a.test", {"ALL_PROXY": "http://p:1"}, "http://p:1"),
        ("https://a.test", {"ALL_PROXY": "http://p:1", "https_proxy": "http://q:1"}, "http://q:1"),
        ("https://a.test", {"HTTPS_PROXY": "http://p:1", "NO_PROXY": "a.test"}, None),
        ("https://b.a.test", {"HTTPS_PROXY": "http://p:1", "NO_PROXY": ".a.test"}, None),
        ("https://a.test:8443", {"HTTPS_PROXY": "http://p:1", "NO_PROXY": "a.test:8443"}, None),
        ("https://b.test", {"HTTPS_PROXY": "http://p:1", "NO_PROXY": "a.test"}, "http://p:1"),
        ("https://a.test", {"HTTPS_PROXY": "http://p:1", "NO_PROXY": "*"}, None),
        ("https://10.1.2.3", {"HTTPS_PROXY": "http://p:1", "NO_PROXY": "10.0.0.0/8"}, None),
        ("https://11.1.2.3", {"HTTPS_PROXY": "http://p:1", "NO_PROXY": "10.0.0.0/8"}, "http://p:1"),
        ("https://[fd00::5]", {"HTTPS_PROXY": "http://p:1", "NO_PROXY": "x,fd00::/8"}, None),
        ("https://[::1]", {"HTTPS_PROXY": "http://p:1", "NO_PROXY": "::1"}, None),
        ("https://a.test", {"NO_PROXY": "fd00::/8,[::1,%%"}, None),
    ],
)
def test_the_environment_says_which_proxy_serves_a_host(monkeypatch, host, variables, proxy):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert proxy_of(settings(host)) == proxy


def test_the_connections_own_proxy_comes_first(monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://p:1")
    monkeypatch.setenv("NO_PROXY", "*")
    assert proxy_of(settings(proxy="http://own:1")) == "http://own:1"


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"])
@pytest.mark.parametrize("value", ["foo://x:1", "http://u:pa55word@[bad", "http://p:0", "http://"])
def test_a_variable_that_is_wrong_is_named_and_not_shown(monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    with pytest.raises(RunsConfigError, match=rf"environment variable {name}\b") as caught:
        proxy_of(settings())
    assert value not in str(caught.value)
    assert "pa55word" not in str(caught.value)
