"""Keys, on a real Agent Server with custom auth: two users, and nobody sees the other's runs."""

from __future__ import annotations

import pytest

from airflow_provider_runs.errors import RunNotFound, RunsAuthError
from dev.agent_server import ADA, BOB

HEADERS = ["x-api-key", "bearer"]


def ids(run):
    return run["run_id"], run["thread_id"]


@pytest.fixture
def server(guarded_server):
    return guarded_server


@pytest.fixture
def key():
    return ADA


@pytest.mark.parametrize("header", HEADERS)
def test_a_good_key_may_do_everything_in_either_header(start, call, connect, header):
    run = start()
    connect(password=ADA, key_header=header)
    assert call("get_run", *ids(run)).status == "in_progress"
    assert [listed.id for listed in call("list_runs", run["thread_id"])] == [run["run_id"]]
    assert call("cancel_run", *ids(run)).status == "cancelled"


def test_a_key_may_come_in_a_header_of_ones_own(start, call, connect):
    run = start()
    connect(headers={"X-API-Key": ADA})
    assert call("get_run", *ids(run)).status == "in_progress"


@pytest.mark.parametrize("header", HEADERS)
@pytest.mark.parametrize("method", ["get_run", "cancel_run"])
def test_a_wrong_key_is_refused_and_not_shown(server, start, call, connect, method, header):
    run = start()
    connect(password="key-of-nobody", key_header=header)
    with pytest.raises(
        RunsAuthError, match="Put a key that is allowed to do this into the connection's password"
    ) as caught:
        call(method, *ids(run))
    assert caught.value.status_code == 401
    assert "key-of-nobody" not in str(caught.value)
    assert server.run(run["thread_id"], run["run_id"], ADA)["status"] == "running"


def test_no_key_is_refused_too(start, call, connect):
    run = start()
    connect()
    with pytest.raises(RunsAuthError):
        call("cancel_run", *ids(run))


@pytest.mark.parametrize("rollback", [False, True], ids=["interrupt", "rollback"])
def test_another_users_run_does_not_exist_and_goes_on(server, start, call, rollback):
    run = start(key=BOB)
    action = {"cancel_action": "rollback"} if rollback else {}
    for attempt in (
        lambda: call("get_run", *ids(run)),
        lambda: call("cancel_run", *ids(run), **action),
        lambda: list(call("list_runs", run["thread_id"])),
    ):
        with pytest.raises(RunNotFound):
            attempt()
    assert server.run(run["thread_id"], run["run_id"], BOB)["status"] == "running"


def test_the_operator_says_the_same(server, start, cancel, connect):
    run = start(key=BOB)
    with pytest.raises(RunNotFound):
        cancel(run)
    connect(password="key-of-nobody")
    with pytest.raises(RunsAuthError):
        cancel(run, on_missing="succeed")
    assert server.run(run["thread_id"], run["run_id"], BOB)["status"] == "running"


@pytest.mark.parametrize("header", HEADERS)
def test_the_test_button_knows_a_good_key_from_a_wrong_one(server, call, connect, header):
    connect(password=BOB, key_header=header)
    ok, words = call("test_connection")
    assert ok, words
    assert server.url in words
    connect(password="key-of-nobody", key_header=header)
    ok, words = call("test_connection")
    assert not ok
    assert "Put a key that is allowed to do this into the connection's password" in words
    assert "key-of-nobody" not in words
