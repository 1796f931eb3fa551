"""What is said when no token comes, and what is not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from airflow_provider_runs.errors import RunsAuthError, RunsConfigError, RunsTransportError
from airflow_provider_runs.hooks import RunsHook
from tests.integration.entra.endpoint import (
    KINDS,
    NUMBERS,
    SECRET,
    WRONG,
    TokenEndpoint,
    chain_of,
    in_a_new_process,
)

if TYPE_CHECKING:
    from collections.abc import Callable


pytest.importorskip("azure.identity")
pytest.importorskip("aiohttp")


@pytest.mark.parametrize("kind", ["client_secret", "environment", "workload_identity"])
def test_a_wrong_secret_is_told_without_it_and_not_tried_again(entra, identity, get, kind):
    identity(kind, secret=WRONG, max_retries=3)
    with pytest.raises(RunsAuthError) as caught:
        get()
    error = caught.value
    assert error.message.startswith("Fetching an Entra ID token failed: ")
    assert f"(get run {error.run_id!r} on thread " in error.message
    for words in ("'runs_default'", "AADSTS7000215", "Check the connection's credential"):
        assert words in error.message
    assert "\n" not in error.message
    assert (error.conn_id, error.transient, len(entra.asked)) == ("runs_default", False, 1)
    assert kind != "client_secret" or WRONG not in chain_of(error)


def test_neither_the_secret_nor_a_token_is_logged(entra, connect, get, caplog):
    caplog.set_level("DEBUG")
    connect()
    get()
    assert len(entra.asked) == 1
    assert "ClientSecretCredential" in caplog.text  # so azure-identity's words are among these
    for secret in (SECRET, "token-1"):
        assert secret not in caplog.text


FAULTS: dict[str, Callable[[TokenEndpoint], None]] = {
    "hangs up": lambda endpoint: setattr(endpoint, "hangs_up", True),
    "503": lambda endpoint: endpoint.faults.extend([503] * 50),
    "429": lambda endpoint: endpoint.faults.extend([429] * 50),
    "no JSON": lambda endpoint: endpoint.faults.extend(["<html>Sign in to this network"] * 50),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("kind", KINDS)
def test_an_endpoint_in_trouble_is_an_outage_that_may_pass(
    entra, machine, identity, get, kind, fault
):
    for endpoint in (entra, machine):
        FAULTS[fault](endpoint)
    identity(kind, max_retries=0)
    with pytest.raises(RunsTransportError, match="Fetching an Entra ID token failed") as caught:
        get()
    assert caught.value.transient
    assert caught.value.conn_id == "runs_default"


def test_an_endpoint_that_is_not_there_is_an_outage(connect, get):
    connect(authority="https://127.0.0.1:1")
    with pytest.raises(RunsTransportError, match="Fetching an Entra ID token failed") as caught:
        get()
    assert caught.value.transient


@pytest.mark.parametrize("kind", KINDS)
def test_an_endpoint_that_is_back_gives_the_token_within_the_same_call(
    entra, machine, identity, get, kind
):
    entra.faults, machine.faults = [503, 503], [503, 503]
    identity(kind, max_retries=2)
    get()
    assert len(entra.asked + machine.asked) == 3


def test_a_machine_without_any_identity_is_a_matter_of_the_connection(connect, get, monkeypatch):
    monkeypatch.setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", "http://127.0.0.1:1")
    monkeypatch.setenv("PATH", "")  # nor a tool of Azure's
    connect("default", max_retries=3)
    with pytest.raises(RunsAuthError, match=r"DefaultAzureCredential failed.*credential, tenant"):
        get()


@pytest.mark.filterwarnings("ignore:Unverified HTTPS")
@pytest.mark.parametrize("verify", [True, False])
def test_an_untrusted_endpoint_gets_the_secret_only_when_nobody_checks(entra, connect, get, verify):
    connect(ca_bundle="", verify=verify, max_retries=0)
    if verify:
        with pytest.raises(RunsTransportError, match="certificate"):
            get()
    else:
        get()
    assert len(entra.asked) == (0 if verify else 1)


def test_a_folder_of_certificates_is_trusted_too(entra, connect, get, ca):
    connect(ca_bundle=str(ca))
    get()
    assert len(entra.asked) == 1


def test_a_fetch_goes_through_the_connections_proxy(entra, machine, connect, get):
    # One that refuses; what it was asked for is what counts.
    connect(proxy=machine.url, max_retries=0)
    with pytest.raises(RunsTransportError, match="Fetching an Entra ID token failed"):
        get()
    assert machine.tunnels
    assert set(machine.tunnels) == {entra.url.removeprefix("https://")}
    assert entra.asked == []


@pytest.mark.parametrize(
    ("credential", "extra", "words"),
    [
        ("client_secret", {"tenant_id": "a b"}, "Invalid tenant ID"),
        ("workload_identity", {}, "tenant_id.*token_file_path"),
    ],
)
def test_what_azure_identity_cannot_use_is_told_of_the_connection_that_says_it(
    connect, call, credential, extra, words
):
    fields = {"client_id": f"client-{next(NUMBERS)}", **extra}
    for conn_id in ("runs_first", "runs_default"):
        connect(credential, conn_id=conn_id, **fields)
    for conn_id in ("runs_first", "runs_default"):
        with pytest.raises(RunsConfigError, match=words) as caught:
            RunsHook(conn_id).get_run("run_1", "thread_1")
        assert f"Connection {conn_id!r} " in caught.value.message
    with pytest.raises(RunsConfigError, match=words):
        call("get_run", "run_1", "thread_1")


MISSING = """
import asyncio, sys
sys.modules.update(dict.fromkeys(sys.argv[1:]))  # as if they were not installed
from airflow_provider_runs.errors import RunsError
from airflow_provider_runs.hooks import RunsHook

for get in (lambda *ids: asyncio.run(RunsHook().aget_run(*ids)), RunsHook().get_run):
    try:
        get("run_1", "thread_1")
    except RunsError as error:
        print("SAID", type(error).__name__, error.message)
print("SAID", *RunsHook().test_connection())
"""


def test_a_missing_extra_is_told_with_the_command_that_adds_it(entra, connect):
    connect()
    printed = in_a_new_process(MISSING, "azure", "azure.core", "azure.identity")
    _, for_asyncio, sync, test = printed.split("SAID ")
    for said in (for_asyncio, sync):
        assert said.startswith("RunsConfigError Connection 'runs_default' ")
    assert test.startswith("False Connection 'runs_default' ")
    for said in (for_asyncio, sync, test):
        assert "pip install azure-identity aiohttp" in said
    assert entra.asked == []


def test_only_asyncio_misses_aiohttp(entra, connect):
    connect()
    _, for_asyncio, sync, test = in_a_new_process(MISSING, "aiohttp").split("SAID ")
    assert for_asyncio.startswith("RunsConfigError Connection 'runs_default' ")
    assert "pip install azure-identity aiohttp" in for_asyncio
    assert sync.startswith("RunNotFound ")
    assert test.startswith("True ")
    assert len(entra.asked) == 1
