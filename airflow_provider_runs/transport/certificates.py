"""Which certificates a connection trusts."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import TYPE_CHECKING

import httpx

from airflow_provider_runs.connections.settings import unusable

if TYPE_CHECKING:
    from airflow_provider_runs.connections.settings import Settings

__all__ = ["ssl_context"]


def ssl_context(settings: Settings) -> ssl.SSLContext:
    """Return the TLS context of a connection. This is slow (tens of ms): it reads certificates.

    :param settings: the connection's settings.
    :raises RunsConfigError: if the CA bundle cannot be read.
    """
    bundle = settings.options.ca_bundle
    if not settings.options.verify:
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context
    if bundle:
        try:
            if Path(bundle).is_dir():
                return ssl.create_default_context(capath=bundle)
            return ssl.create_default_context(cafile=bundle)
        except (OSError, ValueError) as error:
            problem = f"has a CA bundle {bundle!r} that cannot be read: {error}"
            raise unusable(settings.conn_id, problem) from error
    if settings.base_url.startswith("http:"):
        # It trusts no certificate, and need not: http has none.
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    return httpx.create_ssl_context()
