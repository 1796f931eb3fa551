"""Tokens in the rest of the hook, and in tasks."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest

from airflow_provider_runs.hooks import FoundryRunsHook, RunsHook
from airflow_provider_runs.operators import CancelRunOperator
from airflow_provider_runs.testing import RunServer
from tests.integration.entra.endpoint import KINDS, WRONG, chain_of
from tests.moments import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable


pytest.importorskip("azure.identity")
pytest.importorskip("aiohttp")


@pytest.fixture(params=["test_connection", "atest_connection"])
def tested(request: pytest.FixtureRequest) -> Callable[[], tuple[bool, str]]:
    """Return a function that tests the connection, blocking or for asyncio."""

    def tested() -> tuple[bool, str]:
        result = getattr(FoundryRunsHook(), request.param)()
        return asyncio.run(result) if asyncio.iscoroutine(result) else result

    return tested


def test_a_good_connection_is_told_as_good(entra, project, connect, tested):
    connect()
    assert tested() == (True, f"Connected to {project.base_url}, and the key is valid.")
    assert len(entra.asked) == 1


def test_a_wrong_secret_is_told_when_the_connection_is_tested(connect, tested):
    connect(password=WRONG)
    good, words = tested()
    assert not good
    assert "AADSTS7000215" in words
    assert WRONG not in words


def test_a_test_waits_for_a_silent_endpoint_only_for_seconds(entra, connect):
    connect(timeout=5 * PATIENCE)
    entra.open.clear()
    begun = time.monotonic()
    good, words = FoundryRunsHook().test_connection()
    assert not good
    assert "Fetching an Entra ID token failed" in words
    assert time.monotonic() - begun < PATIENCE


def test_the_client_for_other_calls_brings_a_token_along(entra, connect):
    with RunServer(dialect="foundry", api_key="token-2") as strict:
        connect(host=strict.base_url)
        with RunsHook() as hook:
            assert hook.get_conn().post("/threads", json={}).status_code == 200
            assert hook.get_conn().get("/assistants").status_code == 200
        assert [r.status for r in strict.requests] == [401, 200, 200]
        assert strict.requests[-1].query == {"api-version": "v1"}
    assert len(entra.asked) == 2


@pytest.mark.parametrize("deferrable", [False, True], ids=["worker", "deferred"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_task_cancels_a_run(entra, machine, project, identity, run_task, kind, deferrable):
    identity(kind)
    run = project.create_run()
    task = CancelRunOperator(
        task_id="cancel",
        run_id=run["id"],
        thread_id=run["thread_id"],
        deferrable=deferrable,
        poll_interval=0.2,
        timeout=120,
    )
    assert run_task(task)["status"] == "cancelled"
    assert project.accepted_cancels(run["id"]) == 1
    assert len(entra.asked + machine.asked) == 1


@pytest.mark.parametrize("deferrable", [False, True], ids=["worker", "deferred"])
def test_a_task_fails_at_once_for_a_wrong_secret(entra, project, connect, run_task, deferrable):
    connect(password=WRONG)
    run = project.create_run()
    ids = {"run_id": run["id"], "thread_id": run["thread_id"]}
    task = CancelRunOperator(task_id="cancel", **ids, deferrable=deferrable, timeout=20)
    with pytest.raises(Exception, match="AADSTS7000215") as caught:
        run_task(task)
    assert WRONG not in chain_of(caught.value)
    assert project.requests == []
    assert len(entra.asked) == 2  # for the cancel, and for the look after it
