"""CleanupRunsOperator on a real Agent Server, of some threads and of all that the key may see."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest

from dev.agent_server import ADA, BOB


@pytest.fixture
def server(guarded_server):
    return guarded_server


@pytest.fixture
def key():
    return ADA


def statuses(server, runs, key=ADA):
    return {server.run(run["thread_id"], run["run_id"], key)["status"] for run in runs}


def test_named_threads_are_swept_and_no_other(server, start, ended, clean):
    running, pending, other = start(), start(pending=True), start()
    finished = ended()
    threads = [run["thread_id"] for run in (running, pending, finished)]
    report = clean(thread_ids=threads)
    assert set(report) == {running["run_id"], pending["run_id"]}
    assert {line["result"] for line in report.values()} == {"cancelled"}
    assert {line["before"] for line in report.values()} == {"in_progress", "queued"}
    assert {line["after"] for line in report.values()} == {"cancelled"}
    assert 0 <= report[running["run_id"]]["age"] < 60
    for run in (running, pending):
        assert server.wait_for(run, key=ADA)["status"] == "interrupted"
    assert statuses(server, [other]) == {"running"}
    assert statuses(server, [finished]) == {"success"}


def test_all_threads_are_those_of_the_key(server, start, clean):
    ours = [start(), start("lingerer", stop_seconds=1), start(pending=True)]
    queued = start(pending=True, thread_id=ours[0]["thread_id"])
    theirs = [start(key=BOB), start(key=BOB, pending=True)]
    report = clean(all_threads=True)
    assert set(report) == {run["run_id"] for run in [*ours, queued]}
    assert {line["result"] for line in report.values()} == {"cancelled"}
    for run in [*ours, queued]:
        assert server.wait_for(run, key=ADA)["status"] == "interrupted"
    assert statuses(server, theirs, BOB) == {"running", "pending"}
    assert clean(all_threads=True) == {}


def test_threads_beyond_the_first_page_are_swept_too(server, start, clean):
    runs = [start(pending=True) for _ in range(105)]
    report = clean(all_threads=True)
    assert set(report) == {run["run_id"] for run in runs}
    assert {line["result"] for line in report.values()} == {"cancelled"}
    assert statuses(server, runs) == {"interrupted"}


def test_a_dry_run_cancels_nothing(server, start, clean):
    runs = [start(), start(pending=True)]
    report = clean(all_threads=True, dry_run=True)
    assert set(report) == {run["run_id"] for run in runs}
    assert {line["result"] for line in report.values()} == {"would cancel"}
    assert statuses(server, runs) == {"running", "pending"}


def test_only_what_is_old_enough_is_cancelled(server, start, clean):
    old = start()
    time.sleep(4)
    young = start(pending=True)
    assert clean(all_threads=True, older_than=timedelta(hours=1)) == {}
    report = clean(all_threads=True, older_than=4)
    assert set(report) == {old["run_id"]}
    assert server.wait_for(old, key=ADA)["status"] == "interrupted"
    assert statuses(server, [young]) == {"pending"}


def test_only_what_matches_is_cancelled(server, start, clean):
    ours = start(pending=True, metadata={"team": "data"})
    other = start(pending=True, metadata={"team": "web"})
    running = start(metadata={"team": "data"})
    report = clean(all_threads=True, metadata={"team": "data"}, statuses=["queued"])
    assert set(report) == {ours["run_id"]}
    assert statuses(server, [other, running]) == {"pending", "running"}


def test_a_sweep_that_rolls_back_deletes(start, exists, clean, connect):
    runs = [start(), start(pending=True)]
    connect(password=ADA, cancel_action="rollback")
    report = clean(thread_ids=[run["thread_id"] for run in runs])
    assert {line["result"] for line in report.values()} == {"cancelled"}
    assert not any(map(exists, runs))
    # The server shows such threads as busy for good; there is nothing left to cancel on them.
    assert clean(all_threads=True) == {}
