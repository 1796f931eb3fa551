"""A run server whose time stands still, and a client of it, in whatever dialect a test asks for.

Where each module of ``airflow_provider_runs.testing`` is tested, in test_run_server_….py:

__init__                    names
__main__                    main
control                     states, dialects
endpoints                   http
errors                      faults, http
faults                      faults
fixtures                    fixtures
forwarding                  gateways
gateways                    gateways
http_server                 lifecycle
json_types                  names
middleware                  faults
paths                       http, dialects, foundry
request_log                 http, dialects, lifecycle
rewriting                   gateways
routes                      http, dialects
rules                       classes
runs                        states
scripts                     states
server                      lifecycle, http
store                       states, http, lifecycle
views                       states
dialects/__init__           names, dialects
dialects/agent_server       langgraph, dialects
dialects/assistants         http, states, dialects
dialects/assistants_json    http, states
dialects/assistants_messages  http
dialects/base               classes, dialects
dialects/foundry            foundry, dialects
dialects/langgraph          langgraph, dialects
dialects/langgraph_json     langgraph
dialects/langgraph_state    langgraph, dialects
dialects/langgraph_threads  langgraph
dialects/openai             http, responses
dialects/pages              http
dialects/responses          responses, dialects
dialects/responses_json     responses

Between all of them, ``imports`` holds the direction of the arrows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx
import pytest

from airflow_provider_runs.testing import RunServer
from tests.moments import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture
def now() -> list[float]:
    """Hold the server's present time, in epoch seconds, as the only item."""
    return [1_800_000_000.0]


@pytest.fixture
def advance(now: list[float]) -> Callable[[float], None]:
    """Return a function that lets seconds go by on the server."""

    def advance(seconds: float) -> None:
        now[0] += seconds

    return advance


@pytest.fixture
def dialect() -> Any:
    """Say what the server speaks; tests parametrize it."""
    return "assistants"


@pytest.fixture
def server(now: list[float], dialect: Any) -> Iterator[RunServer]:
    with RunServer(dialect=dialect, clock=lambda: now[0]) as server:
        yield server


@pytest.fixture
def client(server: RunServer) -> Iterator[httpx.Client]:
    headers = {"Authorization": "Bearer sk-test"}
    name = server.dialect.name
    base_url = server.base_url + ("/v1" if name in {"assistants", "responses"} else "")
    params = {"api-version": "v1"} if name == "foundry" else {}
    with httpx.Client(
        base_url=base_url, headers=headers, params=params, timeout=PATIENCE, trust_env=False
    ) as client:
        yield client
