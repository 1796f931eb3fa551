"""A proxy that speaks TLS, and behind it a server that does too, or that drips: TLS within TLS."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Self

import pytest

from airflow_provider_runs.errors import RunsTransportError
from airflow_provider_runs.models import Run
from tests.hostile.answers import RUN_ID
from tests.hostile.asking import BOUND, SLACK, Way
from tests.integration.entra.conftest import ca

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.hostile.asking import Outcome
    from tests.hostile.reporting import Report

__all__ = ["ca"]

BODY = b'{"id": "%s", "status": "in_progress"}' % RUN_ID.encode()
GOOD = [b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(BODY) + BODY]
#: A byte now and then, for longer than anybody waits.
HEADS = [b"HTTP/1.1 200 OK\r\nx: ", *[b"y"] * 600]


class TLSProxy:
    """A proxy that speaks TLS. It is its own target: within its tunnel it answers with TLS.

    :param context: with its certificate.
    :param answer: the answer of the target, in pieces.
    :param pause: seconds between two pieces.
    :param handshake: whether the target answers the handshake; else it drips nonsense.
    """

    def __init__(
        self, context: ssl.SSLContext, answer: list[bytes], pause: float, *, handshake: bool = True
    ) -> None:
        self._context, self._answer, self._pause = context, answer, pause
        self._handshake = handshake
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._end = threading.Event()

    def __enter__(self) -> Self:
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._listener.close()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                peer, _ = self._listener.accept()
                threading.Thread(target=self._tunnel, args=(peer,), daemon=True).start()

    def _tunnel(self, peer: socket.socket) -> None:
        with suppress(OSError), self._context.wrap_socket(peer, server_side=True) as outer:
            outer.recv(65536)
            outer.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            if not self._handshake:
                self._send(outer.sendall, [b"\x16\x03\x03\x40\x00", *[b"\x02"] * 600])
                return
            incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
            inner = self._context.wrap_bio(incoming, outgoing, server_side=True)

            def carried(act: Callable[[], Any]) -> Any:
                while True:
                    try:
                        result = act()
                    except ssl.SSLWantReadError:
                        outer.sendall(outgoing.read())
                        data = outer.recv(65536)
                        if not data:
                            raise OSError("hung up") from None
                        incoming.write(data)
                    else:
                        outer.sendall(outgoing.read())
                        return result

            carried(inner.do_handshake)
            carried(lambda: inner.read(65536))
            self._send(lambda piece: carried(lambda: inner.write(piece)), self._answer)

    def _send(self, send: Callable[[bytes], Any], pieces: list[bytes]) -> None:
        for piece in pieces:
            send(piece)
            if self._end.wait(self._pause):
                return


@pytest.fixture
def context(ca: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(ca / "server.pem")
    return context


@pytest.fixture
def ask_through(ca: Path, ask: Callable[..., Outcome]) -> Callable[[TLSProxy], Outcome]:
    """Return a function that asks a target through its proxy."""

    def ask_through(proxy: TLSProxy) -> Outcome:
        url = f"https://127.0.0.1:{proxy.port}"
        return ask(url, proxy=url, ca_bundle=str(ca / "ca.pem"))

    return ask_through


@pytest.fixture(autouse=True)
def two_ways(way: Way) -> None:
    """Skip what is the plain way again: nothing goes through a proxy in the fast one."""
    if way is Way.FAST:
        pytest.skip("a proxy is not used with it")


def test_a_target_is_reached_through_a_proxy_with_tls(context, ask_through) -> None:
    with TLSProxy(context, GOOD, 0.0) as proxy:
        outcome = ask_through(proxy)
    assert isinstance(outcome.value, Run), outcome.words
    assert outcome.value.id == RUN_ID


@pytest.mark.parametrize("handshake", [True, False], ids=["its answer", "its handshake"])
def test_what_drips_through_a_proxy_with_tls_is_cut_off(
    context, ask_through, handshake: bool, report: Report
) -> None:
    report.tried()
    begun = time.monotonic()
    with TLSProxy(context, HEADS, 0.1, handshake=handshake) as proxy:
        outcome = ask_through(proxy)
    report.took(time.monotonic() - begun, BOUND)
    assert isinstance(outcome.error, RunsTransportError), outcome.words
    assert outcome.seconds <= BOUND + SLACK, outcome.words
    report.held()
