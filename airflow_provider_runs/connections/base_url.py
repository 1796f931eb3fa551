"""The server's base URL, made from the host, port and schema of a connection."""

from __future__ import annotations

import ipaddress
from urllib.parse import SplitResult, urlsplit

__all__ = ["is_loopback", "read_base_url"]


def read_base_url(host: str, port: int | None, schema: str) -> str:
    """Return the base URL of a connection, without a slash at its end.

    :param host: a full URL, or a bare name or address. Without a scheme it is https, but http on
        this machine itself.
    :param port: the connection's port, if it has one.
    :param schema: the path, as in connections given by URI, or the scheme, as in Airflow's HTTP
        connections.
    :raises ValueError: if they do not make a URL; the message continues "Connection X …".
    """
    path = schema.strip("/ ")
    scheme = None
    if path.lower() in {"http", "https"}:
        scheme, path = path.lower(), ""
    url = _split(host.strip(), scheme)
    if url.username is not None or url.query or url.fragment or set(path) & set("?#"):
        raise ValueError(
            "has a host with a user name, a query or a fragment; "
            "put the key into the password, and an API version into its own field"
        )
    name = url.hostname or ""
    netloc = f"[{name}]" if ":" in name else name
    if number := _port(url, port):
        netloc += f":{number}"
    full_path = "/".join(part for part in (url.path.strip("/"), path) if part)
    return f"{url.scheme}://{netloc}/{full_path}".rstrip("/")


_NO_URL = "has a host that is not an http or https URL, such as 'https://gateway.example/v1'"


def _split(text: str, scheme: str | None) -> SplitResult:
    # No message repeats the text: people paste keys and passwords into the wrong field.
    if not text.isprintable():  # before it is split, which drops line breaks
        raise ValueError(_NO_URL)
    if not text:
        raise ValueError("has no host; put the server's base URL there")
    if ".azureml.ms;" in text.lower():
        raise ValueError(
            "has an old Foundry connection string as its host; put the endpoint of the project "
            "there: https://RESOURCE.services.ai.azure.com/api/projects/PROJECT"
        )
    if "://" not in text:
        if _is_address(text):
            text = f"[{text}]" if ":" in text else text
        host = _parse(f"//{text}").hostname or ""
        text = f"{scheme or ('http' if is_loopback(host) else 'https')}://{text}"
    url = _parse(text)
    name = url.hostname or " "
    if "[" in url.netloc and not _is_address(name):
        raise ValueError(_NO_URL)
    if url.scheme not in {"http", "https"} or set(name) & set(" ;,") or not name.isprintable():
        raise ValueError(_NO_URL)
    if scheme and url.scheme != scheme:
        raise ValueError(f"has {url.scheme} in its host and {scheme} in its schema; keep one")
    return url


def _parse(text: str) -> SplitResult:
    try:
        return urlsplit(text)
    except ValueError:
        raise ValueError(_NO_URL) from None


def _port(url: SplitResult, given: int | None) -> int | None:
    try:
        ports = [url.port, int(given or 0) or None]
    except ValueError:
        raise ValueError(_NO_PORT) from None
    named = {port for port in ports if port is not None}
    if len(named) > 1:
        raise ValueError(f"has port {ports[0]} in its host and {ports[1]} in its field; keep one")
    if any(not 0 < port < 65536 for port in named):
        raise ValueError(_NO_PORT)
    return named.pop() if named else None


_NO_PORT = "has a port that is not a number from 1 to 65535"


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def is_loopback(host: str) -> bool:
    """Return whether a host is this machine itself.

    :param host: its name or address.
    """
    if _is_address(host):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost" or host.endswith(".localhost")
