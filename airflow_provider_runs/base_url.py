"""Where the server is: the base URL out of the host, port and schema of a connection."""

from __future__ import annotations

import ipaddress
from urllib.parse import SplitResult, urlsplit

__all__ = ["read_base_url"]


def read_base_url(host: str, port: int | None, schema: str) -> str:
    """Return the base URL that a connection means, without a slash at its end.

    :param host: a full URL, or a bare name or address. Without a scheme it is https, but http on
        this machine itself.
    :param port: the connection's port, if it has one.
    :param schema: the path, as connections given by URI have it, or the scheme, as Airflow's HTTP
        connections have it.
    :raises ValueError: if they make no URL; the text fits behind "Connection X …".
    """
    if not host.strip():
        raise ValueError("has no host; put the server's base URL there")
    path = schema.strip("/ ")
    scheme = None
    if path in {"http", "https"}:
        scheme, path = path, ""
    url = _split(host.strip(), scheme)
    if url.username is not None or url.query or url.fragment:
        raise ValueError(
            "has a host with a user name, a query or a fragment; "
            "the key belongs into the password, an API version into its own field"
        )
    name = url.hostname or ""
    netloc = f"[{name}]" if ":" in name else name
    if number := _port(url, port):
        netloc += f":{number}"
    full_path = "/".join(part for part in (url.path.strip("/"), path) if part)
    return f"{url.scheme}://{netloc}/{full_path}".rstrip("/")


def _split(text: str, scheme: str | None) -> SplitResult:
    if "://" not in text:
        if text.count(":") > 1 and not text.startswith("["):
            text = f"[{text}]"  # a bare IPv6 address
        host = urlsplit(f"//{text}").hostname or ""
        text = f"{scheme or ('http' if _is_loopback(host) else 'https')}://{text}"
    try:
        url = urlsplit(text)
    except ValueError as error:
        raise ValueError(f"has a host that is no URL: {error}") from None
    if url.scheme not in {"http", "https"} or not url.hostname:
        raise ValueError(
            "has a host that is no http or https URL, such as 'https://gateway.example/v1'"
        )
    return url


def _port(url: SplitResult, given: int | None) -> int | None:
    try:
        port = url.port
    except ValueError:
        raise ValueError("has a host with a port that is no number from 1 to 65535") from None
    if port and given and port != given:
        raise ValueError(
            f"has port {port} in its host and {given} in its port field; keep one of them"
        )
    return port or given


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
