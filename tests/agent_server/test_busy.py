"""Why the poller fetches each run, and does not ask once for the threads that are busy.

A thread is never shown as idle while its run is active. But it may be shown as busy when the run
has ended, for as long as a rolled-back one has been gone: a wait would never hear of that end.
"""

from __future__ import annotations

import time

import pytest

#: Seconds after the end for which a thread is looked at.
WHILE = 3.0


@pytest.fixture
def is_busy(server):
    def is_busy(run):
        body = {"status": "busy", "limit": 1000, "select": ["thread_id"]}
        found = server.request("POST", "/threads/search", json=body).raise_for_status().json()
        return run["thread_id"] in {thread["thread_id"] for thread in found}

    return is_busy


def cancel(server, run, action):
    path = f"/threads/{run['thread_id']}/runs/{run['run_id']}/cancel"
    server.request("POST", path, params={"wait": 0, "action": action}).raise_for_status()


def test_a_thread_is_busy_while_its_run_is_active(server, start, is_busy, tmp_path):
    run = start(seconds=0, until=tmp_path / "end")
    for _ in range(20):
        assert is_busy(run)
    assert server.run(run["thread_id"], run["run_id"])["status"] == "running"
    (tmp_path / "end").touch()
    assert server.wait_for(run)["status"] == "success"


@pytest.mark.parametrize("pending", [False, True], ids=["running", "pending"])
def test_a_thread_stays_busy_after_its_run_was_rolled_back(server, start, exists, is_busy, pending):
    run = start(pending=pending)
    cancel(server, run, "rollback")
    until = time.monotonic() + WHILE
    while time.monotonic() < until:
        assert not exists(run)
        assert is_busy(run)
        time.sleep(0.1)


def test_a_thread_is_busy_while_an_interrupted_run_lingers(server, start, is_busy):
    run = start("lingerer", stop_seconds=20)
    cancel(server, run, "interrupt")
    assert server.wait_for(run)["status"] == "interrupted"
    assert is_busy(run)


def test_a_thread_is_busy_with_another_run(server, start, is_busy, tmp_path):
    first = start(seconds=0, until=tmp_path / "end")
    start(pending=True, thread_id=first["thread_id"])
    (tmp_path / "end").touch()
    assert server.wait_for(first)["status"] == "success"
    assert is_busy(first)
