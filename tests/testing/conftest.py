"""A run server whose time stands still, and a client of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

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
def server(now: list[float]) -> Iterator[RunServer]:
    with RunServer(clock=lambda: now[0]) as server:
        yield server


@pytest.fixture
def client(server: RunServer) -> Iterator[httpx.Client]:
    headers = {"Authorization": "Bearer sk-test"}
    base_url = f"{server.url}/v1"
    with httpx.Client(base_url=base_url, headers=headers, trust_env=False) as client:
        yield client
