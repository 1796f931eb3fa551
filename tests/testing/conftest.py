"""A run server whose time stands still, and a client of it, in whatever dialect a test asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx
import pytest

from airflow_provider_runs.testing import RunServer

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
    with httpx.Client(base_url=base_url, headers=headers, params=params, trust_env=False) as client:
        yield client
