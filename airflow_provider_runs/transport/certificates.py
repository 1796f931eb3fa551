"""Which certificates a connection trusts."""

from __future__ import annotations

import os
import ssl
from pathlib import Path
from typing import TYPE_CHECKING

import httpx

from airflow_provider_runs.connections.settings import unusable
from airflow_provider_runs.errors import RunsConfigError
from airflow_provider_runs.transport.environment import proxy_of

if TYPE_CHECKING:
    from airflow_provider_runs.connections.settings import Settings

__all__ = ["ssl_context"]


def ssl_context(settings: Settings) -> ssl.SSLContext:
    """Return the TLS context of a connection. This is slow (tens of ms): it reads certificates.

    :param settings: the connection's settings.
    :raises RunsConfigError: if the CA bundle cannot be read.
    """
    bundle = settings.options.ca_bundle if settings.options.verify else None
    try:
        return _context(settings, bundle)
    except RunsConfigError:
        raise
    except (OSError, ValueError) as error:
        if bundle and getattr(error, "filename", bundle) in {bundle, None}:
            problem = f"has a CA bundle {bundle!r} that cannot be read: {error}"
        else:
            problem = f"cannot be used since {_culprit()}: {error}"
        raise unusable(settings.conn_id, problem) from error


def _context(settings: Settings, bundle: str | None) -> ssl.SSLContext:
    if not settings.options.verify:
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context
    if bundle:
        if Path(bundle).is_dir():
            return ssl.create_default_context(capath=bundle)
        return ssl.create_default_context(cafile=bundle)
    if not any(url.startswith("https:") for url in (settings.base_url, proxy_of(settings) or "")):
        # It trusts no certificate, and need not: http has none.
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    return httpx.create_ssl_context()


#: The variables that name files for TLS.
_VARIABLES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "SSLKEYLOGFILE")


def _culprit() -> str:
    given = [name for name in _VARIABLES if os.environ.get(name)]
    if not given:
        return "the certificates of this machine cannot be read"
    names = " or ".join(given)
    return f"the environment variable {names} names a file that cannot be used; correct or unset it"
