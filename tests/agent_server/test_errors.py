"""What is wrong with an id or a connection, told apart; and what the Test button says."""

from __future__ import annotations

import socket

import pytest

from airflow_provider_runs.airflow_errors import AirflowSkipException
from airflow_provider_runs.errors import (
    RunNotFound,
    RunsAPIError,
    RunsConfigError,
    RunsTransportError,
)

UNKNOWN = "00000000-0000-4000-8000-000000000000"


def ids(run):
    return run["run_id"], run["thread_id"]


@pytest.fixture
def dead_host():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    return f"http://127.0.0.1:{port}"


@pytest.mark.parametrize("method", ["get_run", "cancel_run"])
@pytest.mark.parametrize("missing", ["run", "thread"])
def test_a_missing_run_is_missing(ended, call, method, missing):
    run_id, thread_id = ids(ended())
    named = (UNKNOWN, thread_id) if missing == "run" else (run_id, UNKNOWN)
    with pytest.raises(RunNotFound) as caught:
        call(method, *named)
    assert caught.value.status_code == 404
    assert (caught.value.run_id, caught.value.thread_id) == named


@pytest.mark.parametrize("method", ["get_run", "cancel_run"])
def test_a_wrong_base_url_says_nothing_about_a_run(server, start, call, connect, method):
    # A server of this API answers an unknown path and an unknown run in the same words.
    run = start()
    connect(host=f"{server.url}/nope")
    with pytest.raises(RunsAPIError, match="is the base URL of this API") as caught:
        call(method, *ids(run))
    assert type(caught.value) is RunsAPIError
    connect()
    assert call("get_run", *ids(run)).status == "in_progress"


def test_a_missing_run_may_be_for_the_operator_but_no_wrong_base_url(
    server, ended, cancel, connect
):
    missing = {**ended(), "run_id": UNKNOWN}
    with pytest.raises(RunNotFound):
        cancel(missing)
    with pytest.raises(AirflowSkipException):
        cancel(missing, on_missing="skip")
    assert cancel(missing, on_missing="succeed") is None
    connect(host=f"{server.url}/nope", max_retries=0)
    with pytest.raises(RunsAPIError, match="is the base URL of this API"):
        cancel(missing, on_missing="succeed")


@pytest.mark.parametrize("bad", ["run_1", "1", UNKNOWN + "0", "0" * 31, "{{ run_id }}"])
def test_a_run_id_that_is_no_uuid_is_refused_before_any_call(call, connect, dead_host, bad):
    connect(host=dead_host, max_retries=0)
    for method, named in (
        ("get_run", (bad, UNKNOWN)),
        ("cancel_run", (bad, UNKNOWN)),
    ):
        with pytest.raises(RunsConfigError, match=r"not a UUID.*Nothing was sent"):
            list(call(method, *named))
    with pytest.raises(RunsTransportError):  # so a call would have been seen
        call("get_run", UNKNOWN, UNKNOWN)


def test_a_good_connection(server, call):
    ok, words = call("test_connection")
    assert ok, words
    assert server.url in words


def test_a_wrong_base_url(server, call, connect):
    connect(host=f"{server.url}/nope")
    ok, words = call("test_connection")
    assert not ok
    assert "base URL" in words


def test_a_dead_host(call, connect, dead_host):
    connect(host=dead_host)
    ok, words = call("test_connection")
    assert not ok
    assert "The host cannot be reached" in words
