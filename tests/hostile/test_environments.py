"""No environment of a triggerer crashes it: a call works, or says which variable is wrong."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import pytest

from airflow_provider_runs.errors import RunsConfigError, RunsError
from airflow_provider_runs.models import Run
from tests.hostile.answers import answer
from tests.hostile.asking import BOUND, SLACK, Outcome
from tests.hostile.wire import RawServer, plays

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.hostile.reporting import Report

#: Where nobody listens, and where no TLS is spoken.
DEAD, DEAD_TLS = "127.0.0.1:9", "https://127.0.0.1:1"
PASSWORD = "pa55word"


#: What stands in NO_PROXY in real places, and what does by mistake.
USUAL = (
    *("fd00::/8", "::1", "::1,127.0.0.1", "[::1]", "*", "127.0.0.1", "127.0.0.0/8"),
    *("10.0.0.0/8,fd00::/8,.example.com", "localhost,.svc,.cluster.local", ",,,", "  "),
)
ODD = (
    *("[::1]:8080", "[::1", "http://[::1", "*.", ":", "fe80::1%eth0", "%zz", "\x1b[2J", "xn--"),
    *("é.example", "a" * 100_000, "[v1.x]", "@", "x:y"),
)


@pytest.fixture
def server() -> Iterator[RawServer]:
    with RawServer(plays(answer())) as server:
        yield server


def check(outcome: Outcome, *, named: str | None = None) -> None:
    """Check that a call has worked, or has failed with an error of ours that shows no password.

    :param named: the variable that a configuration error has to name.
    """
    assert outcome.seconds <= BOUND + SLACK, outcome.words
    if outcome.error is None:
        assert isinstance(outcome.value, Run)
        assert outcome.value.status == "in_progress"
        return
    assert isinstance(outcome.error, RunsError), outcome.words
    assert PASSWORD not in f"{outcome.error}{outcome.error.to_json()}"
    if named and isinstance(outcome.error, RunsConfigError):
        assert named.lower() in str(outcome.error).lower()


def must_name(outcome: Outcome, name: str) -> None:
    """Check that a call has failed with a configuration error that names a variable."""
    assert isinstance(outcome.error, RunsConfigError), outcome.words
    assert name.lower() in str(outcome.error).lower()
    check(outcome, named=name)


@pytest.mark.parametrize("value", [*USUAL, *ODD], ids=lambda value: repr(value)[:30])
@pytest.mark.parametrize("proxy", [None, f"http://{DEAD}"], ids=["alone", "with a proxy"])
def test_whatever_needs_no_proxy_crashes_nothing(
    proxy: str | None,
    value: str,
    server: RawServer,
    ask: Callable[..., Outcome],
    monkeypatch: pytest.MonkeyPatch,
    report: Report,
) -> None:
    report.tried()
    monkeypatch.setenv("NO_PROXY", value)
    if proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy)
    outcome = ask(server.url)
    check(outcome, named="NO_PROXY")
    if proxy is None and value in USUAL:
        assert outcome.error is None, outcome.words
    report.held()


@pytest.mark.parametrize("value", ["127.0.0.1", "*", "::1,127.0.0.1", "fd00::/8,127.0.0.1"])
def test_a_host_that_needs_no_proxy_is_asked_directly(
    value: str,
    server: RawServer,
    ask: Callable[..., Outcome],
    monkeypatch: pytest.MonkeyPatch,
    report: Report,
) -> None:
    report.tried()
    monkeypatch.setenv("NO_PROXY", value)
    monkeypatch.setenv("HTTP_PROXY", f"http://{DEAD}")
    outcome = ask(server.url)
    assert isinstance(outcome.value, Run), outcome.words
    report.held()


@pytest.mark.parametrize(
    "value",
    [
        *("foo://x", "http://[::1", f"http://user:{PASSWORD}@[bad", "http://", "http://x:99999"),
        *("http://x:port", f"foo://user:{PASSWORD}@x", "http://[v1.x]", f"http://u:{PASSWORD}@x:y"),
    ],
)
@pytest.mark.parametrize("name", ["HTTP_PROXY", "ALL_PROXY", "http_proxy", "all_proxy"])
def test_a_proxy_that_is_no_url_is_named(
    name: str,
    value: str,
    server: RawServer,
    ask: Callable[..., Outcome],
    monkeypatch: pytest.MonkeyPatch,
    report: Report,
) -> None:
    report.tried()
    monkeypatch.setenv(name, value)
    must_name(ask(server.url), name)
    report.held()


@pytest.mark.parametrize("value", [DEAD, f"http://{DEAD}", f"http://user:{PASSWORD}@{DEAD}"])
@pytest.mark.parametrize("name", ["HTTP_PROXY", "ALL_PROXY"])
def test_a_proxy_that_is_down_is_an_error_of_ours(
    name: str,
    value: str,
    server: RawServer,
    ask: Callable[..., Outcome],
    monkeypatch: pytest.MonkeyPatch,
    report: Report,
) -> None:
    report.tried()
    monkeypatch.setenv(name, value)
    outcome = ask(server.url)
    assert outcome.error is not None
    assert not server.requests
    check(outcome, named=name)
    report.held()


@pytest.mark.parametrize("scheme", ["socks5", "socks5h"])
def test_a_socks_proxy_without_its_package_is_named(
    scheme: str,
    server: RawServer,
    ask: Callable[..., Outcome],
    monkeypatch: pytest.MonkeyPatch,
    report: Report,
) -> None:
    report.tried()
    monkeypatch.setitem(sys.modules, "socksio", None)
    monkeypatch.setenv("ALL_PROXY", f"{scheme}://user:{PASSWORD}@{DEAD}")
    must_name(ask(server.url), "ALL_PROXY")
    report.held()


@pytest.mark.parametrize(
    "value", ["foo://x", "http://[::1", f"http://user:{PASSWORD}@[bad", "socks5://127.0.0.1:9"]
)
def test_the_proxy_of_another_scheme_changes_nothing(
    value: str,
    server: RawServer,
    ask: Callable[..., Outcome],
    monkeypatch: pytest.MonkeyPatch,
    report: Report,
) -> None:
    report.tried()
    monkeypatch.setenv("HTTPS_PROXY", value)
    monkeypatch.setenv("FTP_PROXY", value)
    check(ask(server.url), named="HTTPS_PROXY")
    report.held()


@pytest.mark.parametrize("name", ["SSL_CERT_FILE", "SSL_CERT_DIR", "SSLKEYLOGFILE"])
@pytest.mark.parametrize("kind", ["absent", "unreadable", "a folder", "garbage", "empty"])
@pytest.mark.parametrize("is_tls", [True, False], ids=["https", "http"])
def test_certificates_that_cannot_be_read_are_an_error_of_ours(
    is_tls: bool,
    kind: str,
    name: str,
    server: RawServer,
    ask: Callable[..., Outcome],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    report: Report,
) -> None:
    report.tried()
    monkeypatch.setenv(name, made(kind, tmp_path))
    outcome = ask(DEAD_TLS if is_tls else server.url)
    assert is_tls == (outcome.error is not None), outcome.words
    check(outcome, named=name)
    report.held()


@pytest.mark.parametrize("kind", ["absent", "a folder", "garbage"])
def test_a_file_of_certificates_that_cannot_be_read_is_named(
    kind: str,
    ask: Callable[..., Outcome],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    report: Report,
) -> None:
    report.tried()
    monkeypatch.setenv("SSL_CERT_FILE", made(kind, tmp_path))
    must_name(ask(DEAD_TLS), "SSL_CERT_FILE")
    report.held()


def made(kind: str, folder: Path) -> str:
    """Make what a variable points at, and return its path."""
    path = folder / "certificates"
    match kind:
        case "absent":
            return str(folder / "no" / "such")
        case "a folder":
            path.mkdir()
        case "empty":
            path.write_text("")
        case "garbage":
            path.write_bytes(b"-----BEGIN CERTIFICATE-----\n\xff\x00" + os.urandom(100))
        case "unreadable":
            path.write_text("x")
            path.chmod(0)
    return str(path)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Content-Length", "5"),
        ("content-length", "0"),
        ("Transfer-Encoding", "chunked"),
        ("TRANSFER-ENCODING", "identity"),
        ("Connection", "close"),
        ("connection", "Upgrade"),
        ("Accept-Encoding", "br"),
        ("accept-encoding", "gzip"),
    ],
)
def test_an_extra_header_that_frames_the_request_is_refused(
    name: str, value: str, server: RawServer, ask: Callable[..., Outcome], report: Report
) -> None:
    report.tried()
    outcome = ask(server.url, headers={name: value})
    assert isinstance(outcome.error, RunsConfigError), outcome.words
    assert name.lower() in str(outcome.error).lower()
    assert not server.requests
    report.held()


@pytest.mark.parametrize(
    "host",
    [
        *("http://[v1.x]/", "http://h\n.evil", "http://h\r\nHost: evil/", "http://h\t.evil"),
        *(
            "http://[::1",
            "http://[fe80::1%25eth0\n]/",
            "http://\x00/",
            "http://h/\npath",
            "http://",
        ),
        *("http://h:99999", "http://h:-1", "http://h:0", "http://h:1e3", "http://.", "http://a..b"),
        *("ftp://h", "file:///etc/passwd", "http://h\u2028.evil", "http://h\ud83d"),
    ],
    ids=ascii,
)
def test_a_host_that_is_none_is_refused(
    host: str, ask: Callable[..., Outcome], report: Report
) -> None:
    report.tried()
    outcome = ask(host)
    assert isinstance(outcome.error, RunsConfigError), outcome.words
    assert "\n" not in str(outcome.error)
    report.held()
