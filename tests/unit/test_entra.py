"""Whose tokens are kept; ``tests/integration`` fetches real ones."""

import gc
import weakref
from types import SimpleNamespace

from airflow_provider_runs.backends import FoundryBackend
from airflow_provider_runs.connections.settings import Settings
from airflow_provider_runs.transport.entra import SOURCES, _sources, auth_of


def credential(secret: str = "s3cret-of-a-client", **extra: str):
    conn = SimpleNamespace(
        conn_id="c", host="https://h.example", port=None, schema=None, password=secret
    )
    ids = {"credential": "client_secret", "tenant_id": "t", "client_id": "c", **extra}
    return FoundryBackend(Settings.from_connection(conn, ids, FoundryBackend.form)).credential


def source(*args: str, **extra: str):
    return auth_of(credential(*args, **extra))._source


def test_no_credential_needs_no_auth():
    assert auth_of(None) is None


def test_a_credential_that_nobody_uses_any_more_is_forgotten_with_its_secret():
    gone = credential("s3cret-of-one-that-goes")
    auth_of(gone)
    dropped = weakref.ref(gone)
    del gone
    gc.collect()
    assert dropped() is None


def test_the_same_identity_shares_its_tokens_and_another_does_not():
    own = source()
    assert source() is own
    for other in (
        source("another-secret"),
        source(tenant_id="u"),
        source(client_id="d"),
        source(authority="https://login.example"),
        source(scope="api://other/.default"),
        source(proxy="http://proxy.example:1"),
        source(verify="false"),
    ):
        assert other is not own


def test_sources_are_bounded_and_named_without_a_secret():
    in_use = auth_of(credential("s3cret-in-use"))
    for number in range(2 * SOURCES):
        source(f"s3cret-{number}")
    kept = _sources._sources
    assert len(kept) == SOURCES
    assert b"s3cret" not in b"".join(kept)
    assert source(f"s3cret-{2 * SOURCES - 1}") is list(kept.values())[-1]
    assert in_use._source not in kept.values()  # it goes on with the tokens that it has
