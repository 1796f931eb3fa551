import json
from urllib.parse import quote

import pytest
from airflow.sdk import BaseHook
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_runs.backends import AssistantsBackend
from airflow_provider_runs.connections.base_url import read_base_url
from airflow_provider_runs.connections.settings import Settings

FORM = AssistantsBackend.form


@pytest.mark.parametrize(
    ("host", "port", "schema", "url"),
    [
        # a full URL
        ("https://h.example/v1", None, "", "https://h.example/v1"),
        ("http://h.example", None, "", "http://h.example"),
        ("https://h.example/v1///", None, "", "https://h.example/v1"),
        ("  https://h.example/v1 ", None, "", "https://h.example/v1"),
        ("HTTPS://H.Example/V1", None, "", "https://h.example/V1"),
        ("https://h.example/a/b", None, "v1", "https://h.example/a/b/v1"),
        ("https://h.example:8443/v1", None, "", "https://h.example:8443/v1"),
        ("https://h.example/v1", 8443, "", "https://h.example:8443/v1"),
        ("https://h.example:8443", 8443, "", "https://h.example:8443"),
        # a bare name: https, but http on this machine
        ("h.example", None, "", "https://h.example"),
        ("h.example", 1234, "v1", "https://h.example:1234/v1"),
        ("h.example:1234/v1/", None, "", "https://h.example:1234/v1"),
        ("localhost", 1234, "", "http://localhost:1234"),
        ("LocalHost:1234", None, "v1", "http://localhost:1234/v1"),
        ("runs.localhost", None, "", "http://runs.localhost"),
        ("127.0.0.1", None, "", "http://127.0.0.1"),
        ("127.8.9.1:80", None, "", "http://127.8.9.1:80"),
        ("10.0.0.1", None, "", "https://10.0.0.1"),
        ("localhost.example", None, "", "https://localhost.example"),
        ("https://localhost", None, "", "https://localhost"),
        # IPv6
        ("::1", None, "", "http://[::1]"),
        ("::1", 1234, "v1", "http://[::1]:1234/v1"),
        ("[::1]:1234", None, "", "http://[::1]:1234"),
        ("2001:db8::5", None, "", "https://[2001:db8::5]"),
        ("https://[2001:DB8::5]:8443/v1", None, "", "https://[2001:db8::5]:8443/v1"),
        # the schema is a path, or the scheme
        ("h.example", None, "/v1/", "https://h.example/v1"),
        ("h.example", None, "a/b", "https://h.example/a/b"),
        ("h.example", None, "http", "http://h.example"),
        ("localhost", None, "https", "https://localhost"),
        ("http://h.example", None, "http", "http://h.example"),
    ],
)
def test_host_port_and_schema_make_one_url(host, port, schema, url):
    assert read_base_url(host, port, schema) == url


@pytest.mark.parametrize(
    ("host", "port", "words"),
    [
        ("", None, "has no host"),
        (" \t", 80, "has no host"),
        ("https://h.example:8443", 9443, "port 8443 in its host and 9443 in its field"),
        ("h.example:99999", None, "has a port that is not a number"),
        ("h.example:abc", None, "has a port that is not a number"),
        ("user@h.example", None, "a user name, a query or a fragment"),
        ("user:s3cret@h.example:8080", None, "a user name, a query or a fragment"),
        ("https://[user:s3cret@x]", None, "not an http or https URL"),
        ("https://user:s3cret@ho\u2100st", None, "not an http or https URL"),
        ("::1/v1", None, "not an http or https URL|a port"),
        ("https://ho st", None, "not an http or https URL"),
        ("h.example", 99999, "has a port that is not a number"),
        ("h.example", -1, "has a port that is not a number"),
        ("https://user:s3cret@h.example/v1", None, "a user name, a query or a fragment"),
        ("https://:s3cret@h.example", None, "a user name, a query or a fragment"),
        ("https://h.example/v1?key=s3cret", None, "a user name, a query or a fragment"),
        ("h.example?key=s3cret", None, "a user name, a query or a fragment"),
        ("https://h.example/#s3cret", None, "a user name, a query or a fragment"),
        ("ftp://h.example", None, "not an http or https URL"),
        ("file:///etc/passwd", None, "not an http or https URL"),
        ("https://", None, "not an http or https URL"),
        ("/v1", None, "not an http or https URL"),
        ("https://[::1", None, "not an http or https URL"),
    ],
)
def test_what_makes_no_url_is_said_without_the_secrets_in_it(host, port, words):
    with pytest.raises(ValueError, match=words) as caught:
        read_base_url(host, port, "")
    assert str(caught.value).startswith("has ")
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "eastus.api.azureml.ms;0a1b-s3cret;group;project",
        "https://eastus.api.AzureML.ms;0a1b-s3cret;group;project",
        " eastus.api.azureml.ms;s3cret ",
    ],
)
def test_an_old_connection_string_of_foundry_is_known(text):
    with pytest.raises(
        ValueError, match=r"old Foundry connection string.*/api/projects/"
    ) as caught:
        read_base_url(text, None, "")
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("text", ["h.example;s3cret", "https://h.example;s3cret/v1", "h1,s3cret"])
def test_what_no_host_is_called_is_refused(text):
    with pytest.raises(ValueError, match="not an http or https URL") as caught:
        read_base_url(text, None, "")
    assert "s3cret" not in str(caught.value)


def test_a_path_may_hold_a_semicolon():
    assert read_base_url("https://h.example/v1;a=b", None, "") == "https://h.example/v1;a=b"


names = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?\.example", fullmatch=True)
paths = st.lists(st.from_regex(r"[A-Za-z0-9_~-]{1,5}", fullmatch=True), max_size=3).map("/".join)
ports = st.none() | st.integers(1, 65535)
schemes = st.sampled_from(["http", "https"])


@given(schemes, names, ports, paths, st.integers(0, 3))
def test_a_url_is_the_same_in_one_field_or_in_three(scheme, name, port, path, slashes):
    number = f":{port}" if port else ""
    whole = f"{scheme}://{name}{number}/{path}".rstrip("/")
    assert read_base_url(whole + "/" * slashes, None, "") == whole
    assert read_base_url(f"{scheme}://{name}", port, path) == whole
    assert read_base_url(whole, port, "") == whole


def base_url_and_key(conn) -> tuple[str, str]:
    assert conn.conn_type == "runs_assistants"
    settings = Settings.from_connection(conn, conn.extra_dejson, FORM)
    return settings.base_url, settings.key


def as_json(**fields) -> str:
    return json.dumps({"conn_type": "runs_assistants", "password": "k/ey", **fields})


FULL = "https://h.example:8443/Base/v1"


@pytest.mark.parametrize(
    ("value", "url"),
    [
        ("runs-assistants://:k%2Fey@h.example:1234/v1", "https://h.example:1234/v1"),
        ("runs-assistants://:k%2Fey@localhost:1234", "http://localhost:1234"),
        ("runs-assistants://:k%2Fey@localhost:1234/a%2Fv1", "http://localhost:1234/a/v1"),
        ("runs-assistants://:k%2Fey@h.example/http", "http://h.example"),
        (f"runs-assistants://:k%2Fey@{quote(FULL, safe='')}", FULL),
        ("runs-assistants://https://:k%2Fey@h.example/v1", "https://h.example/v1"),
        ("runs-assistants://:k%2Fey@", "https://api.openai.com/v1"),
        (as_json(host=FULL), FULL),
        (as_json(host="h.example", port=0), "https://h.example"),
        (as_json(host="h.example", port="1234", schema="v1"), "https://h.example:1234/v1"),
    ],
)
def test_a_connection_of_either_form_leads_there_and_back_through_its_uri(monkeypatch, value, url):
    monkeypatch.setenv("AIRFLOW_CONN_WRITTEN", value)
    conn = BaseHook.get_connection("written")
    assert base_url_and_key(conn) == (url, "k/ey")
    monkeypatch.setenv("AIRFLOW_CONN_REWRITTEN", conn.get_uri())
    assert base_url_and_key(BaseHook.get_connection("rewritten")) == (url, "k/ey")
