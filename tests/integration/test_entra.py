"""Entra ID tokens through the real ``azure-identity``, from a token endpoint on loopback."""

from __future__ import annotations

import asyncio
import gc
import hashlib
import ipaddress
import json
import os
import ssl
import subprocess
import sys
import threading
import time
import warnings
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from typing import TYPE_CHECKING, Any, NamedTuple, Self
from urllib.parse import parse_qsl, urlsplit

import pytest
import time_machine
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from airflow_provider_runs.errors import RunsAuthError, RunsConfigError, RunsTransportError
from airflow_provider_runs.hooks import FoundryRunsHook, RunsHook
from airflow_provider_runs.operators import CancelRunOperator
from airflow_provider_runs.testing import Fault, RunScript, RunServer
from tests.moments import PATIENCE, auntil, beats

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytest.importorskip("azure.identity")
pytest.importorskip("aiohttp")

SECRET = "s3cr3t~of.the_client"
ASSERTION = "the.pods.assertion"
HEADER = "the-identity-header"
#: What Entra ID says of a wrong secret, in short.
WRONG_SECRET = "AADSTS7000215: Invalid client secret provided."
_numbers = count(1)


class Asked(NamedTuple):
    """One request for a token."""

    path: str
    form: dict[str, str]
    headers: dict[str, str]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 30

    def __init__(self, endpoint: TokenEndpoint, tls: ssl.SSLContext | None, *args: Any) -> None:
        self.endpoint, self.tls = endpoint, tls
        super().__init__(*args)

    def setup(self) -> None:
        if self.tls:
            self.request = self.tls.wrap_socket(self.request, server_side=True)
        super().setup()

    def finish(self) -> None:
        super().finish()
        self.request.close()

    def do_GET(self) -> None:
        self._answer(*self.endpoint.get(self.path, dict(self.headers)))

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"])).decode()
        self._answer(*self.endpoint.post(self.path, dict(parse_qsl(body)), dict(self.headers)))

    def do_CONNECT(self) -> None:
        self.endpoint.tunnels.append(self.path)
        self._answer(502, {})

    def _answer(self, status: int, body: Any) -> None:
        if not status:
            self.close_connection = True
            return
        content = (body if isinstance(body, str) else json.dumps(body)).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: Any) -> None:
        pass  # a client that hangs up, or does not trust us


class TokenEndpoint:
    """Entra ID over https, or a machine's identity endpoint over http.

    It shows a wrong secret in its refusals, which the real ones do not.

    :param tls: what makes it https.
    """

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.asked: list[Asked] = []
        self.lifetime = 3600
        #: What the next requests get: a status, or text in place of JSON.
        self.faults: list[int | str] = []
        self.hangs_up = False
        #: The hosts that it was to be the proxy for.
        self.tunnels: list[str] = []
        self.open = threading.Event()
        self.open.set()
        #: How many requests wait because it is not open.
        self.waiting = 0
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), partial(_Handler, self, tls))
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.open.set()
        self._server.shutdown()
        self._server.server_close()

    def get(self, path: str, headers: dict[str, str]) -> tuple[int, Any]:
        parts = urlsplit(path)
        if parts.path.endswith("/.well-known/openid-configuration"):
            tenant = f"{self.url}/{parts.path.split('/')[1]}"
            return 0 if self.hangs_up else 200, {
                "issuer": f"{tenant}/v2.0",
                "authorization_endpoint": f"{tenant}/oauth2/v2.0/authorize",
                "token_endpoint": f"{tenant}/oauth2/v2.0/token",
                "jwks_uri": f"{tenant}/discovery/v2.0/keys",
            }
        query = dict(parse_qsl(parts.query))
        good = HEADER in headers.values() or headers.get("Metadata") == "true"
        return self._token(parts.path, query, headers, good=good)

    def post(self, path: str, form: dict[str, str], headers: dict[str, str]) -> tuple[int, Any]:
        good = SECRET in form.values() or ASSERTION in form.values()
        return self._token(path, form, headers, good=good)

    def _token(
        self, path: str, form: dict[str, str], headers: dict[str, str], *, good: bool
    ) -> tuple[int, Any]:
        with self._lock:
            self.asked.append(Asked(path, form, headers))
            number = len(self.asked)
            fault = self.faults.pop(0) if self.faults else None
            self.waiting += 1
        self.open.wait(PATIENCE)
        with self._lock:
            self.waiting -= 1
        if self.hangs_up:
            return 0, None
        if isinstance(fault, str):
            return 200, fault
        if fault:
            return fault, {"error": "temporarily_unavailable", "error_description": "Not now."}
        if not good:
            words = f"{WRONG_SECRET} You sent {form.get('client_secret')!r}."
            return 401, {"error": "invalid_client", "error_description": words}
        now = int(time.time())
        return 200, {
            "access_token": f"token-{number}",
            "token_type": "Bearer",
            "expires_in": self.lifetime,
            "expires_on": now + self.lifetime,
            "resource": form.get("resource", ""),
        }


@pytest.fixture(scope="module")
def ca(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of trusted certificates, ``ca.pem``, with a server's for 127.0.0.1 beside it."""
    folder = tmp_path_factory.mktemp("ca")
    ca_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    ca_name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "tests' CA")])

    def certificate(name: x509.Name, public_key: Any, *, is_ca: bool) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        usage = dict.fromkeys(
            (
                "content_commitment",
                "key_encipherment",
                "data_encipherment",
                "key_agreement",
                "encipher_only",
                "decipher_only",
            ),
            False,
        )
        return (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(ca_name)
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
            .add_extension(
                x509.KeyUsage(**usage, digital_signature=True, key_cert_sign=is_ca, crl_sign=is_ca),
                critical=True,
            )
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()),
                critical=False,
            )
        )

    root = certificate(ca_name, ca_key.public_key(), is_ca=True).sign(ca_key, hashes.SHA256())
    host = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    leaf = (
        certificate(x509.Name([]), key.public_key(), is_ca=False)
        .add_extension(host, critical=True)
        .sign(ca_key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (folder / "ca.pem").write_bytes(root.public_bytes(pem))
    # A folder of certificates is searched by a hash of their names, in lower case and bare.
    bare = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "tests' ca")]).public_bytes()[2:]
    digest = int.from_bytes(hashlib.sha1(bare).digest()[:4], "little")
    (folder / f"{digest:08x}.0").write_bytes(root.public_bytes(pem))
    (folder / "server.pem").write_bytes(
        leaf.public_bytes(pem)
        + key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return folder


@pytest.fixture
def entra(ca: Path) -> Iterator[TokenEndpoint]:
    """Entra ID."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(ca / "server.pem")
    with TokenEndpoint(tls) as endpoint:
        yield endpoint


@pytest.fixture
def machine() -> Iterator[TokenEndpoint]:
    """The identity endpoint of a machine."""
    with TokenEndpoint() as endpoint:
        yield endpoint


@pytest.fixture
def project() -> Iterator[RunServer]:
    """A Foundry project whose runs go on for ever, and end soon after a cancel."""
    script = RunScript(queued_for=0, runs_for=float("inf"), cancelling_for=0.3)
    with RunServer(dialect="foundry", script=script, thread_lock=False) as server:
        yield server


@pytest.fixture
def connect(
    entra: TokenEndpoint, project: RunServer, ca: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., str]:
    """Return a function that makes a connection, and returns its client's id.

    Tokens are kept for the process, by identity, so each connection is another client.
    """

    def connect(
        credential: str = "client_secret",
        password: str = SECRET,
        *,
        host: str | None = None,
        conn_id: str = "runs_default",
        **extra: Any,
    ) -> str:
        client_id = f"client-{next(_numbers)}"
        fields = {
            "credential": credential,
            "tenant_id": "tenant" if credential == "client_secret" else "",
            "client_id": client_id,
            "authority": entra.url,
            "ca_bundle": str(ca / "ca.pem"),
            "max_retries": 1,
            "timeout": 10,
        }
        conn = {
            "conn_type": "runs_foundry",
            "host": host or project.base_url,
            "password": password if credential == "client_secret" else "",
            "extra": {**fields, **extra},
        }
        monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps(conn))
        return fields["client_id"]

    return connect


@pytest.fixture(autouse=True)
def no_identity(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide what this machine may tell azure-identity."""
    for name in os.environ:
        if name.startswith(("AZURE_", "IDENTITY_", "MSI_", "IMDS_")):
            monkeypatch.delenv(name)


@pytest.fixture
def identity(
    machine: TokenEndpoint,
    connect: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> Callable[..., str]:
    """Return a function that gives this machine an identity and connects with it."""

    def identity(kind: str, *, secret: str = SECRET, **extra: Any) -> str:
        if kind == "client_secret":
            return connect(kind, secret, **extra)
        if kind == "app_service":
            monkeypatch.setenv("IDENTITY_ENDPOINT", f"{machine.url}/msi/token")
            monkeypatch.setenv("IDENTITY_HEADER", HEADER if secret == SECRET else "wrong")
            return connect("managed_identity", **extra)
        if kind == "imds":
            monkeypatch.setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", machine.url)
            return connect("managed_identity", **extra)
        monkeypatch.setenv("AZURE_TENANT_ID", "tenant")
        if kind == "environment":
            monkeypatch.setenv("AZURE_CLIENT_ID", "client-of-the-environment")
            monkeypatch.setenv("AZURE_CLIENT_SECRET", secret)
            return connect("default", **extra)
        assert kind == "workload_identity"
        file = tmp_path / "assertion"
        file.write_text(ASSERTION if secret == SECRET else "wrong")
        monkeypatch.setenv("AZURE_FEDERATED_TOKEN_FILE", str(file))
        return connect(kind, **extra)

    return identity


@pytest.fixture
def get(project: RunServer, call: Callable[..., Any]) -> Callable[[], Any]:
    """Return a function that fetches a run, blocking or for asyncio."""
    run = project.create_run()
    return lambda: call("get_run", run["id"], run["thread_id"])


@pytest.fixture
def clock() -> Iterator[time_machine.Traveller]:
    """A clock that stands still unless it is put forward."""
    with time_machine.travel(time.time(), tick=False) as traveller:
        yield traveller


KINDS = ("client_secret", "environment", "workload_identity", "app_service", "imds")
SCOPE = "https://ai.azure.com/.default"


@pytest.mark.parametrize("kind", KINDS)
def test_each_credential_brings_the_token_that_the_calls_need(entra, machine, identity, call, kind):
    with RunServer(dialect="foundry", api_key="token-1") as strict:
        client_id = identity(kind, host=strict.base_url)
        run = strict.create_run()
        assert call("get_run", run["id"], run["thread_id"]).id == run["id"]
        assert call("cancel_run", run["id"], run["thread_id"]).status == "cancelling"
        assert {r.query["api-version"] for r in strict.requests} == {"v1"}
    (asked,) = entra.asked + machine.asked
    if kind in {"app_service", "imds"}:
        assert asked.form["resource"] == SCOPE.removesuffix("/.default")
        assert asked.form["client_id"] == client_id
        assert asked.path == {"app_service": "/msi/token"}.get(kind, IMDS)
        return
    assert asked.path == "/tenant/oauth2/v2.0/token"
    assert (asked.form["grant_type"], asked.form["scope"]) == ("client_credentials", SCOPE)
    assert asked.form["client_id"] == (
        "client-of-the-environment" if kind == "environment" else client_id
    )
    assert asked.form.get("client_secret") == (None if kind == "workload_identity" else SECRET)


IMDS = "/metadata/identity/oauth2/token"


def test_another_scope_is_asked_for_when_the_connection_says_so(entra, connect, get):
    connect(scope="api://gateway/.default")
    get()
    assert entra.asked[0].form["scope"] == "api://gateway/.default"


def test_a_process_fetches_one_token_for_all_hooks_and_both_drivers(entra, project, connect):
    connect(conn_id="the_same", client_id=connect())
    runs = [project.create_run() for _ in range(3)]

    async def get_all() -> None:
        for run in runs:
            await RunsHook("the_same").aget_run(run["id"], run["thread_id"])
            await asyncio.to_thread(RunsHook().get_run, run["id"], run["thread_id"])

    for run in runs:
        RunsHook().get_run(run["id"], run["thread_id"])
    asyncio.run(get_all())  # each of these is an event loop of its own
    asyncio.run(get_all())
    assert len(project.requests) == 15
    assert len(entra.asked) == 1


def test_calls_that_come_at_once_wait_for_one_token(entra, project, connect):
    connect()
    run = project.create_run()

    async def get_at_once() -> None:
        hooks = [RunsHook() for _ in range(50)]
        await asyncio.gather(*(hook.aget_run(run["id"], run["thread_id"]) for hook in hooks))

    asyncio.run(get_at_once())
    assert len(project.requests) == 50
    assert len(entra.asked) == 1


def test_two_identities_have_two_tokens(entra, connect, get):
    for _ in range(2):
        connect()
        get()
        get()
    assert len(entra.asked) == 2


def test_a_caller_that_goes_away_takes_no_token_from_the_others(entra, project, connect):
    connect()
    run = project.create_run()

    async def one_goes() -> str:
        entra.open.clear()
        first, second = (
            asyncio.create_task(RunsHook().aget_run(run["id"], run["thread_id"])) for _ in range(2)
        )
        await auntil(lambda: entra.waiting)
        first.cancel()
        with suppress(asyncio.CancelledError):
            await first
        entra.open.set()
        return (await second).id

    assert asyncio.run(one_goes()) == run["id"]
    assert len(entra.asked) == 1


def test_a_loop_that_ends_amid_a_fetch_leaves_the_next_one_free(entra, project, connect):
    connect()
    run = project.create_run()

    async def give_up() -> None:
        entra.open.clear()
        waiting = asyncio.create_task(RunsHook().aget_run(run["id"], run["thread_id"]))
        await auntil(lambda: entra.waiting)
        waiting.cancel()

    asyncio.run(give_up())
    with warnings.catch_warnings():
        # aiohttp needs the loop to end TLS in good form; this one has ended without that.
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()
    entra.open.set()
    assert asyncio.run(RunsHook().aget_run(run["id"], run["thread_id"])).id == run["id"]
    assert len(entra.asked) == 2


# -- renewal --------------------------------------------------------------------------------------


def test_a_token_is_renewed_some_minutes_before_its_end(entra, connect, get, clock):
    connect()
    get()
    clock.shift(3600 - 300 - 60)
    get()
    assert len(entra.asked) == 1
    clock.shift(60)
    get()
    get()
    assert len(entra.asked) == 2


def test_a_token_whose_renewal_fails_is_used_until_its_end(entra, connect, get, clock):
    connect(max_retries=0)
    get()
    entra.faults = [503] * 3
    clock.shift(3600 - 300)
    get()
    assert len(entra.asked) == 2
    clock.shift(20)
    get()
    assert len(entra.asked) == 2  # a renewal that failed is not tried again at once
    clock.shift(11)
    get()
    assert len(entra.asked) == 3
    clock.shift(300)
    with pytest.raises(RunsTransportError, match="no Entra ID token") as caught:
        get()
    assert caught.value.transient
    get()
    assert len(entra.asked) == 5


def test_a_renewal_that_is_refused_is_an_outage_while_the_old_token_has_worked(
    entra, connect, get, clock
):
    connect(max_retries=0)
    get()
    entra.faults = [400]
    clock.shift(3600)
    with pytest.raises(RunsTransportError, match="Not now"):
        get()


@pytest.mark.usefixtures("clock")
def test_a_short_lived_token_does_not_mean_a_fetch_for_each_call(entra, connect, get):
    entra.lifetime = 120
    connect()
    for _ in range(5):
        get()
    assert len(entra.asked) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_a_token_that_the_service_refuses_is_replaced_once(entra, machine, identity, call, kind):
    with RunServer(dialect="foundry", api_key="token-2") as strict:
        identity(kind, host=strict.base_url)
        run = strict.create_run()
        for _ in range(2):
            assert call("get_run", run["id"], run["thread_id"]).id == run["id"]
        assert [r.status for r in strict.requests] == [401, 200, 200]
    assert len(entra.asked + machine.asked) == 2


def test_a_service_that_refuses_the_new_token_too_is_not_asked_again(entra, project, connect, get):
    connect(max_retries=3)
    project.fault(Fault(status=401), times=None)
    with pytest.raises(RunsAuthError, match="401") as caught:
        get()
    assert [r.status for r in project.requests] == [401, 401]
    assert len(entra.asked) == 2
    assert not caught.value.transient


def test_calls_that_are_refused_at_once_share_the_new_token(entra, project, connect):
    connect()
    run = project.create_run()

    async def get_at_once() -> None:
        hooks = [RunsHook() for _ in range(20)]
        await hooks[0].aget_run(run["id"], run["thread_id"])
        project.fault(Fault(status=401), times=20)
        await asyncio.gather(*(hook.aget_run(run["id"], run["thread_id"]) for hook in hooks))

    asyncio.run(get_at_once())
    assert len(project.requests) == 41
    assert len(entra.asked) == 2


def test_a_refused_token_that_cannot_be_replaced_is_an_outage(entra, project, connect, get):
    connect(max_retries=0)
    get()
    project.fault(Fault(status=401))
    entra.hangs_up = True
    with pytest.raises(RunsTransportError, match="no Entra ID token") as caught:
        get()
    assert caught.value.transient


# -- failures -------------------------------------------------------------------------------------

WRONG = "not~the.secret_0815"


def chain_of(error: BaseException | None) -> str:
    shown = ""
    while error is not None:
        shown += f"{error!r} {error} {getattr(error, 'to_json', dict)()}"
        error = error.__cause__ or error.__context__
    return shown


@pytest.mark.parametrize("kind", ["client_secret", "environment", "workload_identity"])
def test_a_wrong_secret_is_told_without_it_and_not_tried_again(entra, identity, get, kind):
    identity(kind, secret=WRONG, max_retries=3)
    with pytest.raises(RunsAuthError) as caught:
        get()
    error = caught.value
    assert error.message.startswith(f"Could not get run {error.run_id!r} on thread ")
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
    with pytest.raises(RunsTransportError, match="no Entra ID token could be had") as caught:
        get()
    assert caught.value.transient
    assert caught.value.conn_id == "runs_default"


def test_an_endpoint_that_is_not_there_is_an_outage(connect, get):
    connect(authority="https://127.0.0.1:1")
    with pytest.raises(RunsTransportError, match="no Entra ID token could be had") as caught:
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
    with pytest.raises(RunsTransportError, match="no Entra ID token"):
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
    fields = {"client_id": f"client-{next(_numbers)}", **extra}
    for conn_id in ("runs_first", "runs_default"):
        connect(credential, conn_id=conn_id, **fields)
    for conn_id in ("runs_first", "runs_default"):
        with pytest.raises(RunsConfigError, match=words) as caught:
            RunsHook(conn_id).get_run("run_1", "thread_1")
        assert f"Connection {conn_id!r} " in caught.value.message
    with pytest.raises(RunsConfigError, match=words):
        call("get_run", "run_1", "thread_1")


# -- the event loop -------------------------------------------------------------------------------


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


def in_a_new_process(script: str, *args: str) -> str:
    """Return what a script prints; with a connection of this process's environment."""
    done = subprocess.run(
        [sys.executable, "-c", script, *args], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_first_token_of_a_process_is_loaded_beside_the_event_loop(project, connect):
    connect()
    run = project.create_run()
    printed = in_a_new_process(FIRST_TOKEN, run["id"], run["thread_id"])
    on_the_loop, beside_it = json.loads(printed.partition("LOADED")[2])
    assert {"aiohttp", "azure.core", "azure.identity.aio", "msal"} <= set(beside_it)
    assert len(on_the_loop) < 10 < len(beside_it)  # azure-core loads a few when they are first used


# -- what is missing ------------------------------------------------------------------------------

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
        assert "pip install 'airflow-provider-runs[azure]'" in said
    assert entra.asked == []


def test_only_asyncio_misses_aiohttp(entra, connect):
    connect()
    _, for_asyncio, sync, test = in_a_new_process(MISSING, "aiohttp").split("SAID ")
    assert for_asyncio.startswith("RunsConfigError Connection 'runs_default' ")
    assert "pip install 'airflow-provider-runs[azure]'" in for_asyncio
    assert sync.startswith("RunNotFound ")
    assert test.startswith("True ")
    assert len(entra.asked) == 1


# -- the rest of the hook, and the tasks ----------------------------------------------------------


@pytest.fixture(params=["test_connection", "atest_connection"])
def tested(request: pytest.FixtureRequest) -> Callable[[], tuple[bool, str]]:
    """Return a function that tests the connection, blocking or for asyncio."""

    def tested() -> tuple[bool, str]:
        result = getattr(FoundryRunsHook(), request.param)()
        return asyncio.run(result) if asyncio.iscoroutine(result) else result

    return tested


def test_a_good_connection_is_told_as_good(entra, project, connect, tested):
    connect()
    assert tested() == (True, f"Connected to {project.base_url}, and the key is good.")
    assert len(entra.asked) == 1


def test_a_wrong_secret_is_told_when_the_connection_is_tested(connect, tested):
    connect(password=WRONG)
    good, words = tested()
    assert not good
    assert "AADSTS7000215" in words
    assert WRONG not in words


def test_a_test_waits_for_a_silent_endpoint_only_for_seconds(entra, connect):
    connect(timeout=5 * PATIENCE)
    entra.open.clear()
    begun = time.monotonic()
    good, words = FoundryRunsHook().test_connection()
    assert not good
    assert "no Entra ID token could be had" in words
    assert time.monotonic() - begun < PATIENCE


def test_the_client_for_other_calls_brings_a_token_along(entra, connect):
    with RunServer(dialect="foundry", api_key="token-2") as strict:
        connect(host=strict.base_url)
        with RunsHook() as hook:
            assert hook.get_conn().post("/threads", json={}).status_code == 200
            assert hook.get_conn().get("/assistants").status_code == 200
        assert [r.status for r in strict.requests] == [401, 200, 200]
        assert strict.requests[-1].query == {"api-version": "v1"}
    assert len(entra.asked) == 2


@pytest.mark.parametrize("deferrable", [False, True], ids=["worker", "deferred"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_task_cancels_a_run(entra, machine, project, identity, run_task, kind, deferrable):
    identity(kind)
    run = project.create_run()
    task = CancelRunOperator(
        task_id="cancel",
        run_id=run["id"],
        thread_id=run["thread_id"],
        deferrable=deferrable,
        poll_interval=0.2,
        timeout=120,
    )
    assert run_task(task)["status"] == "cancelled"
    assert project.accepted_cancels(run["id"]) == 1
    assert len(entra.asked + machine.asked) == 1


@pytest.mark.parametrize("deferrable", [False, True], ids=["worker", "deferred"])
def test_a_task_fails_at_once_for_a_wrong_secret(entra, project, connect, run_task, deferrable):
    connect(password=WRONG)
    run = project.create_run()
    ids = {"run_id": run["id"], "thread_id": run["thread_id"]}
    task = CancelRunOperator(task_id="cancel", **ids, deferrable=deferrable, timeout=20)
    with pytest.raises(Exception, match="AADSTS7000215") as caught:
        run_task(task)
    assert WRONG not in chain_of(caught.value)
    assert project.requests == []
    assert len(entra.asked) == 1
