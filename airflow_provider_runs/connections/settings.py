"""What a connection says, checked and ready to use: where, with which key and how."""

from __future__ import annotations

import json
import ssl
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import quote, urlsplit

import httpx
from pydantic import TypeAdapter, ValidationError

from airflow_provider_runs.connections.base_url import read_base_url
from airflow_provider_runs.errors import RunsConfigError
from airflow_provider_runs.text import whole_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_runs.connections.forms import ConnectionForm

__all__ = ["ConnectionLike", "Settings", "is_url"]

#: Python types for the JSON types of the form; pydantic turns the text of a URI into them.
_TYPES: dict[str, TypeAdapter[Any]] = {
    "string": TypeAdapter(str),
    "integer": TypeAdapter(int),
    "number": TypeAdapter(float),
    "boolean": TypeAdapter(bool),
    "object": TypeAdapter(dict[str, str]),
}


class ConnectionLike(Protocol):
    """The part of Airflow's ``Connection`` that is read here; both of Airflow's classes fit."""

    conn_id: str
    conn_type: str | None
    host: str | None
    port: int | None
    schema: str | None
    password: str | None
    extra: str | None


@dataclass(frozen=True, slots=True)
class Settings:
    """A connection's settings.

    :param conn_id: the connection they came from.
    :param base_url: where every path is appended; no slash at the end.
    :param key: the API key; empty where the server asks for none. Never shown.
    :param timeout: seconds to connect, to send and to wait for an answer, each.
    :param max_retries: how often a call is sent again.
    :param verify: whether TLS certificates are checked.
    :param ca_bundle: path of the certificates to trust instead of the usual ones.
    :param proxy: the proxy's URL; ``None`` leaves it to the environment.
    :param headers: extra headers of every call. Never shown.
    :param console_url: template of the link to a run.
    :param options: the fields that only this connection type has.
    """

    conn_id: str
    base_url: str
    key: str = field(default="", repr=False)
    timeout: float = 30.0
    max_retries: int = 3
    verify: bool = True
    ca_bundle: str | None = None
    proxy: str | None = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    console_url: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def from_connection(
        cls, conn: ConnectionLike, extra: Mapping[str, Any], form: ConnectionForm
    ) -> Settings:
        """Read a connection.

        :param conn: an Airflow connection.
        :param extra: its ``extra``, decoded.
        :param form: what connections of this type hold.
        :raises RunsConfigError: if a value cannot be used; it names the field.
        """
        fail = _Fail(conn.conn_id)
        values = {
            name: _field_value(name, spec["schema"], extra.get(name), fail)
            for name, spec in form.fields.items()
        }
        if unknown := sorted(set(extra) - set(values)):
            raise fail(
                f"has extra fields that are unknown: {', '.join(map(repr, unknown))}; "
                f"a connection of type {form.conn_type!r} knows {', '.join(sorted(values))}"
            )
        key = (conn.password or "").strip()
        if not _is_header_value(key):
            raise fail(
                "has an API key with characters that no HTTP header can carry; "
                "paste the key again, without line breaks"
            )
        for name, value in values.items():
            # All of these end up in headers, in the query or in a URL.
            if isinstance(value, str) and not _is_header_value(value):
                raise fail(f"has a field {name!r} with characters that no URL or header can carry")
        values["headers"] = _headers(values["headers"] or {}, fail)
        shared = {name: values.pop(name) for name in _SHARED}
        for name, schemes in (("console_url", _HTTP), ("proxy", _PROXIES)):
            if shared[name] and not is_url(shared[name], schemes):
                raise fail(f"has a field {name!r} that is no URL with {' or '.join(schemes)}")
        try:
            base_url = read_base_url(
                conn.host or form.default_base_url or "", conn.port, conn.schema or ""
            )
        except ValueError as error:
            raise fail(str(error)) from None
        if not is_url(base_url, _HTTP):
            raise fail("has a host that is no http or https URL")
        return cls(conn_id=conn.conn_id, base_url=base_url, key=key, options=values, **shared)

    @property
    def host(self) -> str:
        """The host that is called, in lower case, without its port."""
        return (urlsplit(self.base_url).hostname or "").lower()

    @property
    def call_budget(self) -> float:
        """Seconds that one call may take with all its retries, if its caller sets no deadline."""
        return self.timeout * (self.max_retries + 1)

    def scrub(self, text: str) -> str:
        """Return a text that came from outside with the key and the headers' values taken out."""
        text = whole_text(text)
        # Headers may hold keys, but also words as common as "data", which are none.
        secrets = [value for value in self.headers.values() if len(value) >= 8]
        secrets += [self.key, urlsplit(self.proxy or "").password or ""]
        for secret in sorted(secrets, key=len, reverse=True):  # one may be a part of another
            if len(secret) >= 4:
                text = text.replace(secret, "***")
        return text

    def ssl_context(self) -> ssl.SSLContext:
        """Return the TLS context; slow (tens of milliseconds), as it reads certificates.

        :raises RunsConfigError: if the CA bundle cannot be read.
        """
        if not self.verify:
            context = ssl.create_default_context()
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            return context
        if self.ca_bundle:
            try:
                return _context_from(self.ca_bundle)
            except (OSError, ValueError) as error:
                raise _Fail(self.conn_id)(
                    f"has a CA bundle {self.ca_bundle!r} that cannot be read: {error}"
                ) from error
        if self.base_url.startswith("http:"):
            # Trusts nobody, and needs to trust nobody: no certificate is ever seen over http.
            return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        return httpx.create_ssl_context()

    def console_link(self, run_id: str, thread_id: str | None) -> str | None:
        """Return the link to a run in the service's own console, or ``None`` if there is none."""
        if not self.console_url:
            return None
        return self.console_url.replace("{run_id}", quote(run_id, safe="")).replace(
            "{thread_id}", quote(thread_id or "", safe="")
        )


_SHARED = ("timeout", "max_retries", "verify", "ca_bundle", "proxy", "headers", "console_url")


_HTTP = ("http", "https")
_PROXIES = (*_HTTP, "socks5", "socks5h")


def is_url(text: str, schemes: tuple[str, ...]) -> bool:
    """Return whether a text is a URL of one of the schemes, with a host that can be called."""
    try:
        url, port = urlsplit(text), urlsplit(text).port
        httpx.URL(text)  # each refuses what the other one lets pass
        (url.hostname or "").encode("idna")  # as connecting does; it refuses an empty label
    except (ValueError, httpx.InvalidURL):
        return False
    return url.scheme in schemes and bool(url.hostname) and port != 0


class _Fail:
    """Makes the errors of one connection."""

    def __init__(self, conn_id: str) -> None:
        self.conn_id = conn_id

    def __call__(self, problem: str) -> RunsConfigError:
        return RunsConfigError(f"Connection {self.conn_id!r} {problem}.", conn_id=self.conn_id)


def _field_value(name: str, schema: Mapping[str, Any], value: Any, fail: _Fail) -> Any:
    if value is None or value == "":
        return schema["default"]
    kind = schema["type"][0]
    if kind == "object" and isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            raise fail(
                f"has a field {name!r} that is not a JSON object: check its quotes"
            ) from None
    wrong = fail(f"has a field {name!r} of the wrong type; it takes {_TAKES[kind]}")
    if isinstance(value, bool) and kind != "boolean":
        raise wrong
    try:
        value = _TYPES[kind].validate_python(value)
    except ValidationError:
        # The value itself stays out: it may be a key that was put into the wrong field.
        raise wrong from None
    if "enum" in schema and value not in schema["enum"]:
        raise fail(f"has a field {name!r} that takes one of {', '.join(map(repr, schema['enum']))}")
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None and not low <= value <= high:
        raise fail(f"has a field {name!r} that takes a number from {low} to {high}")
    return value


_TAKES = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "object": 'a JSON object with text values, such as {"x-team": "data"}',
}


def _is_header_value(text: str) -> bool:
    return text.isascii() and (text.isprintable() or not text)


def _headers(headers: Mapping[str, str], fail: _Fail) -> dict[str, str]:
    headers = {name: value.strip() for name, value in headers.items()}
    for name, value in headers.items():
        if not _is_header_value(value) or not name or not all(c in _TOKEN for c in name):
            raise fail(f"has an extra header {name!r} whose name or value no HTTP header can carry")
    return headers


#: What a header's name may consist of (RFC 9110, 5.6.2).
_TOKEN = frozenset("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")


def _context_from(path: str) -> ssl.SSLContext:
    from pathlib import Path

    if Path(path).is_dir():
        return ssl.create_default_context(capath=path)
    return ssl.create_default_context(cafile=path)
