"""The optional transport on aiohttp: when it is used, and that errors read the same with it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
import threading

import pytest

from airflow_provider_runs.errors import RunsTransportError
from airflow_provider_runs.hooks import RunsHook
from airflow_provider_runs.testing import Fault
from airflow_provider_runs.transport.clients import shared_clients

PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch):
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def without_extra(monkeypatch):
    """As if the extra were not installed."""
    monkeypatch.setitem(sys.modules, "airflow_provider_runs.transport.aiohttp", None)


@pytest.fixture(params=["fast", "plain"])
def either(request):
    """Run a test with the extra, and without it."""
    if request.param == "fast":
        pytest.importorskip("aiohttp")
    else:
        request.getfixturevalue("without_extra")


def transport():
    """The module that moves the bytes."""

    async def look():
        async with RunsHook():
            (client,) = shared_clients()
            return type(client._transport).__module__.split(".")[-1]

    return asyncio.run(look())


def error():
    async def get():
        async with RunsHook() as hook:
            await hook.aget_run("run_1", "thread_1")

    with pytest.raises(RunsTransportError) as caught:
        asyncio.run(get())
    return caught.value


@pytest.mark.parametrize("no_proxy", [None, "127.0.0.1", "*"])
@pytest.mark.usefixtures("server")
def test_it_is_used_where_it_is_installed(monkeypatch, no_proxy):
    pytest.importorskip("aiohttp")
    if no_proxy:
        monkeypatch.setenv("NO_PROXY", no_proxy)
    assert transport() == "aiohttp"


@pytest.mark.usefixtures("server", "without_extra")
def test_it_is_not_used_where_it_is_not():
    assert transport() == "plain"


@pytest.mark.usefixtures("server")
def test_it_is_not_used_where_a_proxy_of_the_environment_serves_the_host(monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    assert transport() == "plain"


def test_it_is_not_used_with_a_proxy_of_the_connection(connect):
    connect(proxy="http://127.0.0.1:9")
    assert transport() == "plain"


@pytest.mark.usefixtures("either")
def test_a_host_without_a_server_cannot_be_reached(connect):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    connect(host=f"http://127.0.0.1:{port}", max_retries=0)
    assert "The host cannot be reached" in str(error())


@pytest.mark.usefixtures("either")
def test_a_host_that_lets_nobody_in_does_not_answer_in_time(connect):
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        address = listener.getsockname()
        for _ in range(4):  # until its queue is full
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(address)
        connect(host=f"http://127.0.0.1:{address[1]}", timeout=0.3, max_retries=0)
        assert "Connecting to the host timed out" in str(error())


@pytest.mark.usefixtures("either")
def test_a_server_without_tls_is_called_one(server, connect):
    connect(host=server.url.replace("http:", "https:"), max_retries=0)
    assert "TLS failed" in str(error())


@pytest.mark.usefixtures("either")
def test_a_server_that_is_silent_does_not_answer_in_time(server, connect):
    connect(timeout=1, max_retries=0)  # enough to connect, also on a busy machine
    server.fault(Fault(delay=3600))
    assert "The request timed out" in str(error())


@pytest.mark.usefixtures("either")
@pytest.mark.parametrize("fault", [Fault(drop=True), Fault(cut=True)], ids=["whole", "half"])
def test_an_answer_that_is_lost_is_called_so(server, connect, fault):
    connect(max_retries=0)
    server.fault(fault, times=None)  # aiohttp itself repeats a GET once
    assert "The connection was lost" in str(error())


@pytest.mark.usefixtures("either")
def test_a_server_that_does_not_speak_http_is_a_lost_connection(connect):
    def mumble(listener):
        peer, _ = listener.accept()
        with peer:
            peer.recv(4096)
            peer.sendall(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=mumble, args=(listener,))
        thread.start()
        connect(host=f"http://127.0.0.1:{listener.getsockname()[1]}", max_retries=0)
        said = error()
        thread.join()
    assert "The connection was lost" in str(said)
    assert said.transient
