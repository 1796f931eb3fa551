"""Faults: what the client sees, and whether the request had an effect."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from airflow_provider_runs.testing import Fault, RunServer
from tests.moments import PATIENCE, until

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def run(server: RunServer) -> dict[str, Any]:
    return server.create_run()


@pytest.fixture
def path(run: dict[str, Any]) -> str:
    return f"/threads/{run['thread_id']}/runs/{run['id']}"


@pytest.fixture
def no_log(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    yield
    assert not [record for record in caplog.records if record.name.startswith("uvicorn")]


pytestmark = pytest.mark.usefixtures("no_log")


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, ("invalid_request_error", None)),
        (401, ("invalid_request_error", "invalid_api_key")),
        (429, ("requests", "rate_limit_exceeded")),
        (500, ("server_error", None)),
        (503, ("server_error", None)),
    ],
)
def test_a_status_answers_in_place_of_the_server(
    server: RunServer, client: httpx.Client, path: str, status: int, kind: tuple[str, str | None]
) -> None:
    server.fault(Fault(status=status, headers={"retry-after": "7"}))
    answer = client.post(f"{path}/cancel")
    assert answer.status_code == status
    assert answer.headers["retry-after"] == "7"
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-request-id"].startswith("req_")
    error = answer.json()["error"]
    assert (error["type"], error["code"]) == kind
    assert server.accepted_cancels() == 0

    assert client.post(f"{path}/cancel").status_code == 200
    assert [request.status for request in server.requests] == [status, 200]


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (Fault(body=b"<html>"), (200, b"<html>")),
        (Fault(status=502, body=b""), (502, b"")),
        (Fault(status=418, body={"a": 1}), (418, b'{"a": 1}')),
        (Fault(status=204), (204, b"")),
    ],
)
def test_a_fault_may_give_the_body(
    server: RunServer, client: httpx.Client, path: str, fault: Fault, expected: tuple[int, bytes]
) -> None:
    server.fault(fault)
    answer = client.get(path)
    assert (answer.status_code, answer.content) == expected


def test_a_fault_may_only_add_headers(
    server: RunServer, client: httpx.Client, path: str, run: dict[str, Any]
) -> None:
    server.fault(Fault(headers={"openai-poll-after-ms": "50", "X-Request-Id": "mine"}))
    answer = client.get(path)
    assert answer.json() == run
    assert answer.headers["openai-poll-after-ms"] == "50"
    assert answer.headers.get_list("x-request-id") == ["mine"]


def test_an_answer_may_be_replaced_after_the_effect(
    server: RunServer, client: httpx.Client, path: str, run: dict[str, Any]
) -> None:
    server.fault(Fault(status=504, after_effect=True))
    assert client.post(f"{path}/cancel").status_code == 504
    assert server.run(run["id"])["status"] == "cancelling"
    (request,) = server.requests
    assert (request.status, request.accepted_cancel) == (504, True)

    server.fault(Fault(body=b"{", after_effect=True))
    answer = client.post(f"{path}/cancel")
    assert (answer.status_code, answer.content) == (400, b"{")


@pytest.mark.parametrize("after_effect", [False, True])
def test_a_connection_may_be_dropped(
    server: RunServer, client: httpx.Client, path: str, run: dict[str, Any], *, after_effect: bool
) -> None:
    server.fault(Fault(drop=True, after_effect=after_effect))
    with pytest.raises((httpx.NetworkError, httpx.RemoteProtocolError)):
        client.post(f"{path}/cancel")
    expected = "cancelling" if after_effect else "queued"
    assert server.run(run["id"])["status"] == expected
    assert server.accepted_cancels(run["id"]) == int(after_effect)
    assert server.requests[0].status is None
    assert client.get(path).json()["status"] == expected


@pytest.mark.parametrize("status", [None, 500])
def test_an_answer_may_be_cut(
    server: RunServer, client: httpx.Client, path: str, status: int | None
) -> None:
    whole = client.get(path).content if status is None else b""
    server.fault(Fault(status=status, cut=True))
    with client.stream("GET", path) as answer:
        assert answer.status_code == (status or 200)
        chunks: list[bytes] = []
        with pytest.raises(httpx.RemoteProtocolError, match="without sending complete"):
            chunks.extend(answer.iter_raw())
    received = b"".join(chunks)
    assert len(received) == int(answer.headers["content-length"]) // 2
    assert status is not None or received == whole[: len(whole) // 2]
    assert client.get(path).status_code == 200


def test_a_normal_answer_may_be_late(
    server: RunServer, client: httpx.Client, path: str, run: dict[str, Any]
) -> None:
    server.fault(Fault(delay=0.15))
    begun = time.monotonic()
    assert client.get(path).json() == run
    assert time.monotonic() - begun >= 0.15


def test_an_answer_may_be_late_after_the_effect(
    server: RunServer, client: httpx.Client, path: str, run: dict[str, Any]
) -> None:
    server.fault(Fault(delay=2, after_effect=True))
    with pytest.raises(httpx.ReadTimeout):
        client.post(f"{path}/cancel", timeout=httpx.Timeout(PATIENCE, read=0.03))
    until(server.accepted_cancels)  # it is in the log as long as nothing was answered
    (request,) = server.requests
    assert (request.status, request.cancelled) == (None, (run["id"],))


def test_a_client_that_gives_up_does_not_undo_the_effect(
    server: RunServer, client: httpx.Client, path: str, run: dict[str, Any]
) -> None:
    server.fault(Fault(delay=2))
    with pytest.raises(httpx.ReadTimeout):
        client.post(f"{path}/cancel", timeout=httpx.Timeout(PATIENCE, read=0.03))
    until(server.accepted_cancels)
    assert server.accepted_cancels(run["id"]) == 1


def test_faults_match_by_method_and_path(
    server: RunServer, client: httpx.Client, path: str
) -> None:
    server.fault(Fault(status=500), method="post", path="/cancel")
    server.fault(Fault(status=501), path=re.compile(r"^/threads/thread_\w+$"))
    server.fault(Fault(status=502), path="/v1/assistants")
    assert client.get(path).status_code == 200
    assert client.post(f"{path}/cancel").status_code == 500
    assert client.get(path.partition("/runs")[0]).status_code == 501
    assert client.get("/assistants").status_code == 502
    assert client.get("/assistants").status_code == 200


def test_faults_come_in_order_as_often_as_planned(
    server: RunServer, client: httpx.Client, path: str
) -> None:
    server.fault(Fault(status=500), times=2)
    server.fault(Fault(status=429), times=None)
    seen = [client.get(path).status_code for _ in range(5)]
    assert seen == [500, 500, 429, 429, 429]
    server.clear_faults()
    assert client.get(path).status_code == 200
