"""What the environment's variables say of proxies, and which of them is wrong."""

from __future__ import annotations

import ipaddress
import os
from contextlib import suppress
from importlib.util import find_spec
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from airflow_provider_runs.connections.fields import PROXY_SCHEMES, is_url
from airflow_provider_runs.connections.settings import unusable

if TYPE_CHECKING:
    from airflow_provider_runs.connections.settings import Settings

__all__ = ["proxy_of"]


def proxy_of(settings: Settings) -> str | None:
    """Return the URL of the proxy that a connection's requests go through; ``None`` without one.

    It is the connection's, or else that of the environment: ``HTTPS_PROXY``, ``HTTP_PROXY``,
    ``ALL_PROXY``, unless ``NO_PROXY`` names the host.

    :param settings: the connection's settings.
    :raises RunsConfigError: if it cannot be used; the error names the field or the variable.
    """
    if settings.options.proxy:
        return _usable(settings, settings.options.proxy, "its field 'proxy'", "that field")
    url = urlsplit(settings.base_url)
    proxies = getproxies()
    scheme = next((name for name in (url.scheme, "all") if proxies.get(name)), None)
    if scheme is None or _is_exempt(settings.host, url.netloc, proxies.get("no", "")):
        return None
    proxy, variable = proxies[scheme], _variable(scheme)
    where = f"the environment variable {variable}" if variable else "this system's settings"
    return _usable(
        settings, proxy if "://" in proxy else f"http://{proxy}", where, variable or "it"
    )


def _usable(settings: Settings, proxy: str, where: str, name: str) -> str:
    # Nothing shows the proxy itself, which may hold a password.
    if not is_url(proxy, PROXY_SCHEMES):
        schemes = ", ".join(PROXY_SCHEMES)
        problem = f"has a proxy, from {where}, that is not a URL with {schemes}"
        raise unusable(settings.conn_id, f"{problem}; correct or clear {name}")
    if proxy.startswith("socks") and not find_spec("socksio"):
        raise unusable(
            settings.conn_id,
            f"has a SOCKS proxy, from {where}, which needs a package that is not installed: "
            f"pip install 'httpx[socks]', or clear {name}",
        )
    return proxy


def _variable(scheme: str) -> str | None:
    """Return the name of the variable that holds a scheme's proxy; the lower case comes first."""
    names = (f"{scheme}_proxy", f"{scheme}_proxy".upper())
    return next((name for name in names if os.environ.get(name)), None)


def _is_exempt(host: str, netloc: str, exempt: str) -> bool:
    """Return whether ``NO_PROXY`` names a host, by its name, its domain, or its network."""
    if proxy_bypass(netloc) or proxy_bypass(host):
        return True
    with suppress(ValueError):
        address = ipaddress.ip_address(host)
        return any(address in network for network in _networks(exempt))
    return False


def _networks(exempt: str) -> list[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    found = []
    for entry in exempt.split(","):
        with suppress(ValueError):  # it is a name
            found.append(ipaddress.ip_network(entry.strip().strip("[]"), strict=False))
    return found
