import json
from types import SimpleNamespace
from urllib.parse import unquote, urlsplit

import pytest
from airflow.sdk import BaseHook
from hypothesis import example, given
from hypothesis import strategies as st

from airflow_provider_runs.backends import AssistantsBackend
from airflow_provider_runs.connections.settings import Settings
from airflow_provider_runs.errors import RunsConfigError

FORM = AssistantsBackend.form
KEY = "sk-0123456789"


def read(extra=None, **changes) -> Settings:
    fields = {"conn_id": "c", "host": "h.example", "port": None, "schema": None, "password": KEY}
    return Settings.from_connection(SimpleNamespace(**fields | changes), extra or {}, FORM)


def value_of(settings: Settings, name: str):
    return getattr(settings.options, name)


def test_an_empty_connection_means_what_its_form_says():
    settings = read(host=None, password=None)
    assert settings.base_url == FORM.default_base_url
    assert settings.key == ""
    for name, spec in FORM.fields.items():
        assert (value_of(settings, name) or None) == spec["schema"]["default"]


@pytest.mark.parametrize("name", list(FORM.fields))
@pytest.mark.parametrize("empty", [None, ""])
def test_an_empty_field_means_its_default(name, empty):
    assert read({name: empty}) == read()


@pytest.mark.parametrize(
    ("name", "given", "meant"),
    [
        *[("timeout", value, 5.0) for value in (5, 5.0, "5", "5.0")],
        *[("max_retries", value, 5) for value in (5, 5.0, "5")],
        ("max_retries", 0, 0),
        *[("verify", value, False) for value in (False, "false", "False", "0", "no")],
        *[("verify", value, True) for value in (True, "true", "True", "1")],
        ("key_header", "api-key", "api-key"),
        ("ca_bundle", "/etc/ca.pem", "/etc/ca.pem"),
        *[("proxy", url, url) for url in ("http://p:1", "HTTPS://p", "socks5://p", "socks5h://p")],
        ("console_url", "http://c/{run_id}", "http://c/{run_id}"),
        ("headers", {"x-team": "data"}, {"x-team": "data"}),
        ("headers", '{"x-team": "data"}', {"x-team": "data"}),
        ("headers", {}, {}),
    ],
)
def test_a_field_takes_its_value_as_json_or_as_the_text_of_a_uri(name, given, meant):
    read_value = value_of(read({name: given}), name)
    assert (read_value, type(read_value)) == (meant, type(meant))


def test_the_text_of_a_uri_becomes_numbers_and_booleans(monkeypatch):
    uri = "runs-assistants://:k@h/?timeout=7.5&max_retries=2&verify=false&headers=%7B%22a%22%3A%22b%22%7D"
    monkeypatch.setenv("AIRFLOW_CONN_WRITTEN", uri)
    conn = BaseHook.get_connection("written")
    settings = Settings.from_connection(conn, conn.extra_dejson, FORM)
    options = settings.options
    assert (options.timeout, options.max_retries, options.verify) == (7.5, 2, False)
    assert options.headers == {"a": "b"}
    assert settings.call_budget == 22.5


SECRET = "s3cret-in-the-wrong-field"


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        *[({"timeout": bad}, "'timeout'.* a number") for bad in (SECRET, [SECRET], {})],
        *[({"timeout": bad}, "'timeout'.* from 0.1 to 3600") for bad in (0, -1, "nan", "inf", 1e9)],
        *[({"max_retries": bad}, "'max_retries'.* a whole number") for bad in (SECRET, 1.5, "1.5")],
        *[({"max_retries": bad}, "'max_retries'.* from 0 to 100") for bad in (-1, 101, 10**400)],
        *[({name: True}, f"'{name}'.* number") for name in ("timeout", "max_retries")],
        *[
            ({name: SECRET + bad}, f"'{name}'.* a URL or header cannot carry")
            for name in ("organization", "project", "api_version", "beta", "ca_bundle", "proxy")
            for bad in ("\n", "\0", "é", "\ud800")
        ],
        ({"headers": "[" * 100_000}, "'headers'.* JSON object"),
        *[({"verify": bad}, "'verify'.* true or false") for bad in (SECRET, 2, [])],
        ({"key_header": SECRET}, "'key_header'.* one of 'bearer', 'api-key'"),
        *[
            ({name: bad}, f"'{name}'.* text")
            for name in ("organization", "project", "api_version", "beta")
            for bad in (5, [SECRET], {"a": SECRET}, True)
        ],
        *[({name: [SECRET]}, f"'{name}'.* text") for name in ("ca_bundle", "proxy", "console_url")],
        ({"headers": SECRET}, "'headers'.* JSON object"),
        *[
            ({"headers": bad}, "'headers'.* JSON object with text")
            for bad in (f'["{SECRET}"]', [SECRET], {"a": 1}, {"a": None}, '{"a": {}}', 5)
        ],
        *[
            ({"headers": {name: value}}, "extra header")
            for name, value in [
                *[("a", SECRET + bad) for bad in ("\n.", "\r.", "\0", "\x7f", "é", "\ud800")],
                *[(bad, SECRET) for bad in ("", "a b", "a:", "a\n", "é", "a(")],
            ]
        ],
        *[
            ({"proxy": bad}, "'proxy'.* must be a URL with http or https or socks5")
            for bad in (SECRET, f"{SECRET}:80", f"ftp://{SECRET}", "http://[::1", "http://p:abc")
        ],
        *[
            ({"console_url": bad}, "'console_url'.* must be a URL with http or https")
            for bad in (SECRET, "javascript:alert(1)", "//h", "https://[x")
        ],
        ({"api_key": SECRET, "timeout": 1}, "unknown extra fields: 'api_key'.*takes .*timeout"),
    ],
)
def test_a_field_that_cannot_be_used_is_named_without_its_value_or_the_key(extra, words):
    with pytest.raises(RunsConfigError, match=words) as caught:
        read(extra)
    shown = caught.value.message + json.dumps(caught.value.to_json())
    assert caught.value.message.startswith("Connection 'c' has ")
    assert caught.value.conn_id == "c"
    assert SECRET not in shown
    assert KEY not in shown


@given(st.text(st.characters(exclude_categories=())))
def test_a_key_is_stripped_and_then_sendable_or_refused_unseen(key):
    padded, bare = f" \t{key}\n", key.strip()
    if bare.isascii() and bare.isprintable():
        assert read(password=padded).key == bare
        return
    with pytest.raises(RunsConfigError) as caught:
        read(password=padded)
    assert len(bare) < 5 or bare not in caught.value.message


@pytest.mark.parametrize("key", ["sk-1\nsk-2", "sk-1\r\nX: y", "sk-é", "sk-\0", "sk\t1", "“sk-1”"])
def test_a_key_that_no_header_can_carry_is_refused_unseen(key):
    with pytest.raises(RunsConfigError, match="paste the key again") as caught:
        read(password=key)
    assert "sk" not in caught.value.message


@pytest.mark.parametrize(
    "carrier",
    [
        *("Bearer {}", "bearer {}", "BEARER   {}", "Bearer: {}", "Bearer:{}"),
        *("Authorization: Bearer {}", "authorization:{}", "Authorization {}", "'Bearer {}'"),
        *("x-api-key: {}", "X-API-Key:{}", "api-key: {}", "API-KEY {}", '"api-key": "{}"'),
        *("api_key={}", "OPENAI_API_KEY={}", "Ocp-Apim-Api-Key: {}"),
    ],
)
def test_a_key_that_was_pasted_with_what_carries_it_is_refused_unseen(carrier):
    with pytest.raises(RunsConfigError, match="'Bearer' or 'x-api-key:'; paste only") as caught:
        read(password=f" {carrier.format(KEY)}\n")
    assert KEY not in json.dumps(caught.value.to_json())


@pytest.mark.parametrize("key", ["Bearer", "bearer ", "Authorization:"])
def test_a_carrier_without_a_key_is_refused(key):
    with pytest.raises(RunsConfigError, match="paste only the key itself"):
        read(password=key)


@pytest.mark.parametrize(
    "key",
    ["sk-bearer-1", "bearer_1", "my-api-key", "api-key", "bearers", "my-api-key=", "k Bearer"],
)
def test_a_key_may_hold_such_words(key):
    assert read(password=key).key == key


def test_neither_the_key_nor_headers_nor_the_proxy_are_shown():
    shown = repr(read({"headers": {"x-a": "s3cret"}, "proxy": "http://u:s3cret@p"}))
    assert KEY not in shown
    assert "s3cret" not in shown
    assert "h.example" in shown


def test_scrub_takes_the_key_and_long_headers_out_but_no_common_words():
    headers = {"a": "data", "b": f"longer-than-{KEY}"}
    settings = read({"headers": headers, "proxy": "http://user:pr0xy-pw@p.example"})
    text = f"{KEY}, longer-than-{KEY}, pr0xy-pw and metadata"
    assert settings.scrub(text) == "***, ***, *** and metadata"


@given(st.text(), st.none() | st.text())
@example("../r?a=b#c", "{run_id}/%2F")
def test_a_console_link_quotes_the_ids(run_id, thread_id):
    link = read({"console_url": "https://c.example/t/{thread_id}/r/{run_id}"}).console_link(
        run_id, thread_id
    )
    assert link.isascii()
    assert [unquote(part) for part in urlsplit(link).path.split("/")[1:]] == [
        *("t", thread_id or "", "r", run_id)
    ]
    assert read().console_link(run_id, thread_id) is None


def test_a_key_that_is_sent_as_it_is_to_another_machine_is_warned_of_once(caplog):
    for host in ("http://far.test", "http://far.test/v1", "http://127.0.0.1:1", "https://far.test"):
        read(host=host, conn_id="warned")
    (line,) = (record.getMessage() for record in caplog.records)
    assert "'warned' calls far.test by http" in line
    assert "key" in line
