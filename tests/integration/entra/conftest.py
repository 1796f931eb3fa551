"""Entra ID and a machine's identity endpoint, a Foundry project, and the connection to it."""

from __future__ import annotations

import hashlib
import ipaddress
import json
import os
import ssl
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
import time_machine
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from airflow_provider_runs.testing import RunScript, RunServer
from tests.integration.entra.endpoint import ASSERTION, HEADER, NUMBERS, SECRET, TokenEndpoint

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


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
        client_id = f"client-{next(NUMBERS)}"
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
