"""Which token a credential brings, who shares it, and when it is renewed."""

from __future__ import annotations

import asyncio
import gc
import warnings
from contextlib import suppress

import pytest

from airflow_provider_runs.errors import RunsAuthError, RunsTransportError
from airflow_provider_runs.hooks import RunsHook
from airflow_provider_runs.testing import Fault, RunServer
from tests.integration.entra.endpoint import KINDS, SECRET
from tests.moments import auntil

pytest.importorskip("azure.identity")
pytest.importorskip("aiohttp")

SCOPE = "https://ai.azure.com/.default"


@pytest.mark.parametrize("kind", KINDS)
def test_each_credential_brings_the_token_that_the_calls_need(entra, machine, identity, call, kind):
    with RunServer(dialect="foundry", api_key="token-1") as strict:
        client_id = identity(kind, host=strict.base_url)
        run = strict.create_run()
        assert call("get_run", run["id"], run["thread_id"]).id == run["id"]
        assert call("cancel_run", run["id"], run["thread_id"]).status == "cancelling"
        assert {r.query["api-version"] for r in strict.requests} == {"v1"}
    (asked,) = entra.asked + machine.asked
    if kind in {"app_service", "imds"}:
        assert asked.form["resource"] == SCOPE.removesuffix("/.default")
        assert asked.form["client_id"] == client_id
        assert asked.path == {"app_service": "/msi/token"}.get(kind, IMDS)
        return
    assert asked.path == "/tenant/oauth2/v2.0/token"
    assert (asked.form["grant_type"], asked.form["scope"]) == ("client_credentials", SCOPE)
    assert asked.form["client_id"] == (
        "client-of-the-environment" if kind == "environment" else client_id
    )
    assert asked.form.get("client_secret") == (None if kind == "workload_identity" else SECRET)


IMDS = "/metadata/identity/oauth2/token"


def test_another_scope_is_asked_for_when_the_connection_says_so(entra, connect, get):
    connect(scope="api://gateway/.default")
    get()
    assert entra.asked[0].form["scope"] == "api://gateway/.default"


def test_a_process_fetches_one_token_for_all_hooks_and_both_drivers(entra, project, connect):
    connect(conn_id="the_same", client_id=connect())
    runs = [project.create_run() for _ in range(3)]

    async def get_all() -> None:
        for run in runs:
            await RunsHook("the_same").aget_run(run["id"], run["thread_id"])
            await asyncio.to_thread(RunsHook().get_run, run["id"], run["thread_id"])

    for run in runs:
        RunsHook().get_run(run["id"], run["thread_id"])
    asyncio.run(get_all())  # each of these is an event loop of its own
    asyncio.run(get_all())
    assert len(project.requests) == 15
    assert len(entra.asked) == 1


def test_calls_that_come_at_once_wait_for_one_token(entra, project, connect):
    connect()
    run = project.create_run()

    async def get_at_once() -> None:
        hooks = [RunsHook() for _ in range(50)]
        await asyncio.gather(*(hook.aget_run(run["id"], run["thread_id"]) for hook in hooks))

    asyncio.run(get_at_once())
    assert len(project.requests) == 50
    assert len(entra.asked) == 1


def test_two_identities_have_two_tokens(entra, connect, get):
    for _ in range(2):
        connect()
        get()
        get()
    assert len(entra.asked) == 2


def test_a_caller_that_goes_away_takes_no_token_from_the_others(entra, project, connect):
    connect()
    run = project.create_run()

    async def one_goes() -> str:
        entra.open.clear()
        first, second = (
            asyncio.create_task(RunsHook().aget_run(run["id"], run["thread_id"])) for _ in range(2)
        )
        await auntil(lambda: entra.waiting)
        first.cancel()
        with suppress(asyncio.CancelledError):
            await first
        entra.open.set()
        return (await second).id

    assert asyncio.run(one_goes()) == run["id"]
    assert len(entra.asked) == 1


def test_a_loop_that_ends_amid_a_fetch_leaves_the_next_one_free(entra, project, connect):
    connect()
    run = project.create_run()

    async def give_up() -> None:
        entra.open.clear()
        waiting = asyncio.create_task(RunsHook().aget_run(run["id"], run["thread_id"]))
        await auntil(lambda: entra.waiting)
        waiting.cancel()

    asyncio.run(give_up())
    with warnings.catch_warnings():
        # aiohttp needs the loop to end TLS in good form; this one has ended without that.
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()
    entra.open.set()
    assert asyncio.run(RunsHook().aget_run(run["id"], run["thread_id"])).id == run["id"]
    assert len(entra.asked) == 2


def test_a_token_is_renewed_some_minutes_before_its_end(entra, connect, get, clock):
    connect()
    get()
    clock.shift(3600 - 300 - 60)
    get()
    assert len(entra.asked) == 1
    clock.shift(60)
    get()
    get()
    assert len(entra.asked) == 2


def test_a_token_whose_renewal_fails_is_used_until_its_end(entra, connect, get, clock):
    connect(max_retries=0)
    get()
    entra.faults = [503] * 3
    clock.shift(3600 - 300)
    get()
    assert len(entra.asked) == 2
    clock.shift(20)
    get()
    assert len(entra.asked) == 2  # a renewal that failed is not tried again at once
    clock.shift(11)
    get()
    assert len(entra.asked) == 3
    clock.shift(300)
    with pytest.raises(RunsTransportError, match="Fetching an Entra ID token failed") as caught:
        get()
    assert caught.value.transient
    get()
    assert len(entra.asked) == 5


def test_a_renewal_that_is_refused_is_an_outage_while_the_old_token_has_worked(
    entra, connect, get, clock
):
    connect(max_retries=0)
    get()
    entra.faults = [400]
    clock.shift(3600)
    with pytest.raises(RunsTransportError, match="Not now"):
        get()


@pytest.mark.usefixtures("clock")
def test_a_short_lived_token_does_not_mean_a_fetch_for_each_call(entra, connect, get):
    entra.lifetime = 120
    connect()
    for _ in range(5):
        get()
    assert len(entra.asked) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_a_token_that_the_service_refuses_is_replaced_once(entra, machine, identity, call, kind):
    with RunServer(dialect="foundry", api_key="token-2") as strict:
        identity(kind, host=strict.base_url)
        run = strict.create_run()
        for _ in range(2):
            assert call("get_run", run["id"], run["thread_id"]).id == run["id"]
        assert [r.status for r in strict.requests] == [401, 200, 200]
    assert len(entra.asked + machine.asked) == 2


def test_a_service_that_refuses_the_new_token_too_is_not_asked_again(entra, project, connect, get):
    connect(max_retries=3)
    project.fault(Fault(status=401), times=None)
    with pytest.raises(RunsAuthError, match="401") as caught:
        get()
    assert [r.status for r in project.requests] == [401, 401]
    assert len(entra.asked) == 2
    assert not caught.value.transient


def test_calls_that_are_refused_at_once_share_the_new_token(entra, project, connect):
    connect()
    run = project.create_run()

    async def get_at_once() -> None:
        hooks = [RunsHook() for _ in range(20)]
        await hooks[0].aget_run(run["id"], run["thread_id"])
        project.fault(Fault(status=401), times=20)
        await asyncio.gather(*(hook.aget_run(run["id"], run["thread_id"]) for hook in hooks))

    asyncio.run(get_at_once())
    assert len(project.requests) == 41
    assert len(entra.asked) == 2


def test_a_refused_token_that_cannot_be_replaced_is_an_outage(entra, project, connect, get):
    connect(max_retries=0)
    get()
    project.fault(Fault(status=401))
    entra.hangs_up = True
    with pytest.raises(RunsTransportError, match="Fetching an Entra ID token failed") as caught:
        get()
    assert caught.value.transient
