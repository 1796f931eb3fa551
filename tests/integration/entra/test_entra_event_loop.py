"""Tokens are fetched beside the event loop."""

from __future__ import annotations

import asyncio
import json

import pytest

from airflow_provider_runs.hooks import RunsHook
from tests.integration.entra.endpoint import KINDS, in_a_new_process
from tests.moments import auntil, beats

pytest.importorskip("azure.identity")
pytest.importorskip("aiohttp")


@pytest.mark.parametrize("kind", KINDS)
def test_the_event_loop_keeps_beating_while_a_token_is_fetched(
    entra, machine, project, identity, kind
):
    endpoint = machine if kind in {"app_service", "imds"} else entra
    run = project.create_run()
    identity(kind, timeout=600)

    async def beat_while_the_endpoint_is_silent() -> None:
        endpoint.open.clear()
        getting = asyncio.create_task(RunsHook().aget_run(run["id"], run["thread_id"]))
        await auntil(lambda: endpoint.waiting)
        await beats()
        assert endpoint.waiting == 1
        endpoint.open.set()
        assert (await getting).id == run["id"]

    asyncio.run(beat_while_the_endpoint_is_silent())
    assert len(entra.asked + machine.asked) == 1


#: Prints which of the modules that are slow to load are loaded by the event loop's own thread.
FIRST_TOKEN = """
import asyncio, json, sys, threading
from airflow_provider_runs.hooks import RunsHook

SLOW = ("azure", "aiohttp", "msal", "requests", "cryptography")
loaded = {True: [], False: []}

class Watch:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name.startswith(SLOW):
            loaded[threading.current_thread() is threading.main_thread()].append(name)

async def main():
    await RunsHook().aget_run(*sys.argv[1:])

assert not any(name.startswith(("azure", "aiohttp")) for name in sys.modules)
sys.meta_path.insert(0, Watch)
asyncio.run(main())
print("LOADED", json.dumps([loaded[True], loaded[False]]))
"""


def test_the_first_token_of_a_process_is_loaded_beside_the_event_loop(project, connect):
    connect()
    run = project.create_run()
    printed = in_a_new_process(FIRST_TOKEN, run["id"], run["thread_id"])
    on_the_loop, beside_it = json.loads(printed.partition("LOADED")[2])
    assert {"aiohttp", "azure.core", "azure.identity.aio", "msal"} <= set(beside_it)
    assert len(on_the_loop) < 10 < len(beside_it)  # azure-core loads a few when they are first used
