"""Starting, stopping, many clients at once, and what an import brings along."""

from __future__ import annotations

import logging
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import httpx
import pytest

import airflow_provider_runs.testing as package
from airflow_provider_runs.testing import Fault, RunServer
from tests.moments import PATIENCE, until

KEY = {"api-key": "x"}


def test_start_and_stop_may_be_repeated() -> None:
    server = RunServer()
    server.stop()
    with pytest.raises(RuntimeError, match="before it is started"):
        _ = server.url
    server.start()
    port = server.port
    server.start()
    assert server.url == f"http://127.0.0.1:{port}"
    run = server.create_run()
    server.stop()
    server.stop()
    with pytest.raises(httpx.ConnectError):
        httpx.get(server.url)

    with server:
        assert server.port == port
        path = f"/threads/{run['thread_id']}/runs/{run['id']}"
        assert httpx.get(server.url + path, headers=KEY).json()["id"] == run["id"]


def test_a_port_that_is_taken_is_an_error() -> None:
    with RunServer() as server, pytest.raises(OSError, match="in use"):
        RunServer(port=server.port).start()


def test_a_stop_does_not_wait_for_clients(caplog: pytest.LogCaptureFixture) -> None:
    threads = threading.active_count()
    with ThreadPoolExecutor() as pool, httpx.Client(headers=KEY) as idle:
        with RunServer() as server:
            idle.get(f"{server.url}/assistants")
            half_sent = socket.create_connection(("127.0.0.1", server.port))
            half_sent.sendall(b"POST /threads HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{")
            server.fault(Fault(delay=3600), times=None)
            url, patient = f"{server.url}/assistants", 5 * PATIENCE
            waiting = pool.submit(httpx.get, url, headers=KEY, timeout=patient)
            until(lambda: len(server.requests) == 2)
            begun = time.monotonic()
            server.stop()
            assert time.monotonic() - begun < PATIENCE
        assert isinstance(waiting.exception(PATIENCE), httpx.TransportError)
        with half_sent:
            half_sent.settimeout(PATIENCE)
            with suppress(ConnectionResetError):
                assert half_sent.recv(1) == b""
    assert threading.active_count() <= threads
    assert not [record for record in caplog.records if record.name.startswith("uvicorn")]


def test_a_client_may_hang_up_in_mid_request(server: RunServer, client: httpx.Client) -> None:
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.sendall(b"POST /threads HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{")
        time.sleep(0.05)
    time.sleep(0.05)
    assert server.requests == []
    assert client.get("/assistants").status_code == 200


def test_a_body_may_come_in_pieces(client: httpx.Client) -> None:
    pieces = [b'{"metadata": ', b'{"x": "', b"y" * 100_000, b'"}}']
    thread = client.post("/threads", content=iter(pieces)).json()
    assert thread["metadata"] == {"x": "y" * 100_000}


def test_of_many_cancels_at_once_one_is_accepted(server: RunServer) -> None:
    run = server.create_run()
    url = f"{server.url}/threads/{run['thread_id']}/runs/{run['id']}/cancel"
    with ThreadPoolExecutor(20) as pool:
        answers = pool.map(lambda _: httpx.post(url, headers=KEY).status_code, range(20))
        assert sorted(answers) == [200] + [400] * 19
    assert server.accepted_cancels(run["id"]) == 1


def test_helpers_may_be_called_from_many_threads(server: RunServer) -> None:
    with ThreadPoolExecutor(8) as pool:
        ids = list(pool.map(lambda _: server.create_run()["id"], range(200)))
    assert len({server.run(run_id)["thread_id"] for run_id in ids}) == 200


def test_requests_are_logged(client: httpx.Client, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger=package.__name__):
        client.get("/assistants")
    lines = [record.message for record in caplog.records if record.name == package.__name__]
    assert lines == ["GET /assistants -> 200"]


def test_the_package_stands_alone() -> None:
    code = (
        "import sys, airflow_provider_runs.testing\n"
        "print(*{n.partition('.')[0] for n in sys.modules} & {'airflow', 'httpx', 'pytest'})\n"
        "print(*[n for n in sys.modules if n.startswith('airflow_provider_runs.')"
        " and not n.startswith('airflow_provider_runs.testing')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
