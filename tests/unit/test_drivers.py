"""The two drivers: the same flow, the same requests, the same end."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from contextlib import contextmanager
from importlib.util import find_spec

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_runs.backends import LangGraphBackend, ResponsesBackend
from airflow_provider_runs.errors import RunsConfigError, RunsError, RunsTransportError
from airflow_provider_runs.flows.calls import get_run, glimpse_run
from airflow_provider_runs.flows.cancel import cancel_run
from airflow_provider_runs.flows.lists import list_runs
from airflow_provider_runs.models import RunRef
from airflow_provider_runs.transport import clients
from airflow_provider_runs.transport.clients import (
    BlockingClient,
    SharedClient,
    make_client,
    shared_client,
)
from airflow_provider_runs.transport.drivers import adrive, drive
from tests.unit.backends import backend_of

REF = RunRef("run_1", "thread_1")

bodies = st.sampled_from(
    [
        b"",
        b"{",
        b'{"id": "run_1", "status": "cancelling"}',
        b'{"id": "run_1", "status": "odd", "extra": [1]}',
        b'{"data": [{"id": "run_1", "status": "queued"}], "has_more": true}',
        b'{"error": {"message": "No.", "code": "insufficient_quota"}}',
    ]
)
answers = st.builds(
    httpx.Response,
    st.sampled_from([200, 202, 307, 400, 401, 404, 409, 429, 500]),
    content=bodies,
    headers=st.sampled_from([{}, {"x-should-retry": "true"}, {"x-should-retry": "false"}]),
)
losses = [httpx.ConnectError("no"), httpx.ReadTimeout("slow"), httpx.ReadError("cut")]
#: A lost one costs a real pause, so most are answers.
replies = st.one_of(answers, answers, answers, answers, st.sampled_from(losses))
calls = st.sampled_from(
    [
        lambda backend: get_run(backend, REF),
        lambda backend: cancel_run(backend, REF),
        lambda backend: next(list_runs(backend, "thread_1")),
    ]
)


def arriving(status, content=b"", headers=None):
    """An answer whose body has still to be read, as that of a server."""
    return httpx.Response(status, headers=headers, stream=httpx.ByteStream(content))


class Tape:
    """Plays a server from a list, the last item for ever, and notes what it was asked."""

    def __init__(self, items):
        self.items = list(items)
        self.asked = []

    def __call__(self, request):
        self.asked.append((request.method, str(request.url), sorted(request.headers.items())))
        item = self.items.pop(0) if len(self.items) > 1 else self.items[0]
        if isinstance(item, Exception):
            raise item
        # Made anew, as each can be read once only; and none of them is worth a pause.
        headers = {**item.headers, "retry-after-ms": "0"}
        return arriving(item.status_code, item.content, headers)


def outcome(run):
    try:
        return run()
    except RunsError as error:
        return error.to_json()


@given(script=st.lists(replies, min_size=1, max_size=5), call=calls)
@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    max_examples=30,
)
def test_both_drivers_do_the_same(make_backend, script, call):
    backend = make_backend(max_retries=1)
    blocking, awaiting = Tape(script), Tape(script)

    async def awaited():
        async with SharedClient(httpx.MockTransport(awaiting)) as client:
            return await adrive(call(backend), client)

    with BlockingClient(httpx.MockTransport(blocking)) as client:
        first = outcome(lambda: drive(call(backend), client))
    assert outcome(lambda: asyncio.run(awaited())) == first
    assert awaiting.asked == blocking.asked


@contextmanager
def raw_server(chunks, pause):
    """Serve one answer in pieces, byte by byte if need be, on a plain socket."""

    def serve():
        try:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                for chunk in chunks:
                    connection.sendall(chunk)
                    time.sleep(pause)
        except OSError:
            pass  # the client has hung up, as it should

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    thread.join()


@pytest.fixture(params=["sync", "async"])
def fetch(request):
    """Return a function that fetches a run with a real client."""

    def fetch(backend, deadline=None):
        flow = get_run(backend, REF, deadline=deadline)
        if request.param == "sync":
            with make_client(backend) as client:
                return drive(flow, client)

        async def awaited():
            async with shared_client(backend.settings) as client:
                return await adrive(flow, client)

        return asyncio.run(awaited())

    return fetch


HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"


def test_an_answer_that_drips_in_is_cut_off_at_the_deadline(make_backend, fetch):
    # Each piece comes well within the timeout, so only the deadline can end it; or the end of the
    # pieces, a minute later and in other words.
    answer = raw_server([HEAD, *[b" "] * 1200], 0.05)
    with answer as url, pytest.raises(RunsTransportError, match="timed out"):
        fetch(make_backend(base_url=url, max_retries=0), time.time() + 2.5)


def test_an_answer_that_is_far_too_long_is_not_read_to_its_end(make_backend, fetch):
    huge = b"HTTP/1.1 200 OK\r\nContent-Length: 999999999\r\n\r\n"
    answer = raw_server([huge, *[b" " * 1_000_000] * 60], 0)
    with answer as url, pytest.raises(RunsTransportError, match="longer than"):
        fetch(make_backend(base_url=url, max_retries=0))


def test_a_bad_ca_bundle_is_reported_and_leaves_nothing_behind(make_backend, fetch):
    with pytest.raises(RunsConfigError, match="CA bundle"):
        fetch(make_backend(ca_bundle="/no/such/file"))


@pytest.mark.anyio
async def test_who_comes_and_goes_at_once_shares_one_client(backend):
    seen = set()

    async def borrow(seconds):
        async with shared_client(backend.settings) as client:
            seen.add(client)
            await asyncio.sleep(seconds)
            assert not client.is_closed

    await asyncio.gather(*(borrow(seconds) for seconds in (0, 0.05, 0.1)))
    (client,) = seen
    assert client.is_closed
    assert clients.shared_clients() == []


@pytest.mark.anyio
async def test_another_server_has_another_client(make_backend):
    one, other = make_backend(), make_backend(base_url="https://other.test/v1")
    async with shared_client(one.settings) as first, shared_client(other.settings) as second:
        assert first is not second
        assert len(clients.shared_clients()) == 2


@pytest.mark.anyio
async def test_a_client_outlives_a_borrower_that_was_cancelled_while_it_was_made(backend):
    async def borrow():
        async with shared_client(backend.settings) as client:
            return client

    hasty, patient = asyncio.create_task(borrow()), asyncio.create_task(borrow())
    await asyncio.sleep(0)
    hasty.cancel()
    assert (await patient).is_closed
    with pytest.raises(asyncio.CancelledError):
        await hasty
    assert clients.shared_clients() == []


def test_headers_that_drip_in_do_not_hold_up_the_event_loop(make_backend):
    async def fetch():
        backend = make_backend(base_url=url, max_retries=0)
        async with shared_client(backend.settings) as client:
            return await adrive(get_run(backend, REF, deadline=time.time() + 2), client)

    # A minute's worth, at whose end the server would hang up.
    lines = [b"x-%d: y\r\n" % number for number in range(600)]
    answer = raw_server([b"HTTP/1.1 200 OK\r\n", *lines], 0.1)
    with answer as url, pytest.raises(RunsTransportError, match="timed out"):
        asyncio.run(fetch())


@pytest.mark.skipif(find_spec("socksio") is not None, reason="SOCKS works here")
def test_a_socks_proxy_without_its_package_says_what_to_install(make_backend, fetch):
    with pytest.raises(RunsConfigError, match=r"pip install 'httpx.socks.'"):
        fetch(make_backend(proxy="socks5://127.0.0.1:1"))


class Renewal(httpx.Auth):
    """A token whose renewal fails."""

    def auth_flow(self, request):
        yield request
        raise httpx.RequestError("no new token")


class Leaky(httpx.BaseTransport, httpx.AsyncBaseTransport):
    """Refuses all, and counts the answers that are still open."""

    def __init__(self):
        self.open = 0

    def handle_request(self, request):
        self.open += 1
        return httpx.Response(401, stream=Counted(self))

    async def handle_async_request(self, request):
        return self.handle_request(request)


class Counted(httpx.SyncByteStream, httpx.AsyncByteStream):
    def __init__(self, transport):
        self.transport = transport

    def __iter__(self):
        yield b""

    def close(self):
        self.transport.open -= 1

    async def aclose(self):
        self.close()


def test_no_connection_is_lost_where_a_token_cannot_be_renewed():
    request, transport = httpx.Request("GET", "http://h"), Leaky()
    with BlockingClient(transport) as client, pytest.raises(httpx.RequestError, match="no new"):
        client.begin(request, Renewal())

    async def begin():
        async with SharedClient(transport) as client:
            await client.begin(request, Renewal())

    with pytest.raises(httpx.RequestError, match="no new"):
        asyncio.run(begin())
    assert transport.open == 0


@pytest.mark.anyio
@pytest.mark.parametrize("value", ["1000000000", "1e300", "Fri, 31 Dec 9999 23:59:59 GMT"])
async def test_no_server_silences_a_client_for_long(make_backend, value):
    def answer(_):
        return arriving(429, headers={"retry-after": value})

    async with SharedClient(httpx.MockTransport(answer)) as client:
        with pytest.raises(RunsError, match="429"):
            await adrive(get_run(make_backend(max_retries=0), REF), client)
        assert 50 < client.quiet_until - time.time() <= 60


@pytest.mark.anyio
@pytest.mark.parametrize("action", ["interrupt", "rollback"])
async def test_a_last_cancel_does_not_rest(action):
    backend = backend_of(LangGraphBackend, cancel_action=action, max_retries=3)
    ref = RunRef(*["0b5e4a3c-1111-4222-8333-444455556666"] * 2)
    asked = []

    def answer(request):
        asked.append(request.method)
        if len(asked) < 3:
            return arriving(429, headers={"retry-after": "30"})
        run = {"run_id": ref.run_id, "thread_id": ref.thread_id, "status": "running"}
        return arriving(200, json.dumps(run).encode()) if request.method == "GET" else arriving(202)

    async with SharedClient(httpx.MockTransport(answer)) as client:
        client.quiet_until = time.time() + 60
        await asyncio.wait_for(adrive(cancel_run(backend, ref, hurried=True), client), 20)
    assert "POST" in asked


@pytest.mark.anyio
async def test_a_request_that_gets_no_turn_in_time_was_not_sent(make_backend):
    tape = Tape([arriving(200)])
    async with SharedClient(httpx.MockTransport(tape)) as client:
        flow = get_run(make_backend(max_retries=0), REF, deadline=time.time())
        with pytest.raises(RunsTransportError, match="too many other requests") as caught:
            await adrive(flow, client, asyncio.Semaphore(0))
    assert caught.value.unsent
    assert tape.asked == []


def test_whatever_a_library_raises_is_a_lost_connection(make_backend):
    def fail(_):
        raise UnicodeDecodeError("ascii", b"sk-secret-key", 0, 1, "no sk-secret-key")

    backend = make_backend(max_retries=0)

    async def awaited():
        async with SharedClient(httpx.MockTransport(fail)) as client:
            await adrive(get_run(backend, REF), client)

    def blocked():
        with BlockingClient(httpx.MockTransport(fail)) as client:
            drive(get_run(backend, REF), client)

    for act in (lambda: asyncio.run(awaited()), blocked):
        with pytest.raises(RunsTransportError, match="The connection was lost") as caught:
            act()
        assert "sk-secret-key" not in repr(caught.value)
        assert caught.value.__context__ is None


class Pieces(httpx.AsyncByteStream):
    """A body that arrives in pieces."""

    def __init__(self, content):
        self.content = content

    async def __aiter__(self):
        for at in range(0, len(self.content), 64 * 1024):
            yield self.content[at : at + 64 * 1024]


@pytest.mark.anyio
@pytest.mark.parametrize("glance", [True, False])
async def test_a_glance_at_a_long_result_leaves_its_texts_out(glance):
    fields = {"id": "resp_1", "object": "response", "status": "completed", "output": ["a" * 5**10]}
    body = json.dumps(fields).encode()
    backend, ref = backend_of(ResponsesBackend), RunRef("resp_1")
    transport = httpx.MockTransport(lambda _: httpx.Response(200, stream=Pieces(body)))
    async with SharedClient(transport) as client:
        seen = await adrive(glimpse_run(backend, ref, glance=glance), client)
    assert seen.status == "completed"
    assert seen.read().to_json()["output"] == ([""] if glance else fields["output"])
