"""The errors of HTTP libraries, as those of httpx, which flows know."""

from __future__ import annotations

import ssl

import httpx

from airflow_provider_runs.flows.failures import TLSFailed

__all__ = ["failure_of"]


def failure_of(error: Exception, kind: type[httpx.RequestError]) -> httpx.RequestError:
    """Return httpx's error for that of another library.

    Raise it outside the ``except`` block: so it does not hold the other one, which may show lines
    of the answer, and in them the key.

    :param error: what the library has raised.
    :param kind: the class of the error, unless TLS has failed.
    """
    if issubclass(kind, httpx.ConnectError) and _is_tls(error):
        kind = TLSFailed
    return kind(str(error) or type(error).__name__)


def _is_tls(error: BaseException | None) -> bool:
    while error and not isinstance(error, ssl.SSLError):
        error = error.__cause__ or error.__context__
    return error is not None
