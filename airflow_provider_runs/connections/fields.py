"""The fields of a connection's ``extra``: their types, and what every connection type has.

Each backend has a frozen class of its own, made of these types. The form, the provider info and
the checks are derived from it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import httpx
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = [
    "ConnectionOptions",
    "Flag",
    "Headers",
    "Number",
    "Takes",
    "Text",
    "Url",
    "WholeNumber",
    "is_sendable",
    "is_url",
]


@dataclass(frozen=True, slots=True)
class Takes:
    """What a field takes, in the words of its error."""

    words: str


def _no_flag(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("a flag is no number")  # noqa: TRY004 - pydantic wants this one
    return value


def is_sendable(text: str) -> bool:
    """Return whether a URL or an HTTP header can carry a text."""
    return text.isascii() and (text.isprintable() or not text)


def _sendable(text: str | None) -> str | None:
    if text is not None and not is_sendable(text):
        raise PydanticCustomError("field", "with characters that no URL or header can carry")
    return text


_HTTP = ("http", "https")


def is_url(text: str, schemes: tuple[str, ...] = _HTTP) -> bool:
    """Return whether a text is a URL of one of the schemes, with a host that can be called."""
    try:
        url, port = urlsplit(text), urlsplit(text).port
        httpx.URL(text)  # each refuses what the other one lets pass
        (url.hostname or "").encode("idna")  # as connecting does; it refuses an empty label
    except (ValueError, httpx.InvalidURL):
        return False
    return url.scheme in schemes and bool(url.hostname) and port != 0


def _url(*schemes: str) -> Callable[[str | None], str | None]:
    def check(text: str | None) -> str | None:
        if text and not is_url(text, schemes):
            raise PydanticCustomError("field", f"that is no URL with {' or '.join(schemes)}")
        return text

    return check


def _decoded(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        raise PydanticCustomError("field", "that is not a JSON object: check its quotes") from None


#: What a header's name may consist of (RFC 9110, 5.6.2).
_TOKEN = frozenset("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")


def _carried(headers: Mapping[str, str]) -> dict[str, str]:
    headers = {name: value.strip() for name, value in headers.items()}
    for name, value in headers.items():
        if not is_sendable(value) or not name or not all(c in _TOKEN for c in name):
            raise PydanticCustomError(
                "field",
                "with an extra header {header} whose name or value no HTTP header can carry",
                {"header": repr(name)},
            )
    return headers


# In a connection that is written as a URI, each of them is a text.
Text = Annotated[str | None, Takes("text"), AfterValidator(_sendable)]
Number = Annotated[float, Takes("a number"), BeforeValidator(_no_flag)]
WholeNumber = Annotated[int, Takes("a whole number"), BeforeValidator(_no_flag)]
Flag = Annotated[bool, Takes("true or false")]
Headers = Annotated[
    dict[str, str],
    Takes('a JSON object with text values, such as {"x-team": "data"}'),
    BeforeValidator(_decoded),
    AfterValidator(_carried),
]
Url = Annotated[Text, AfterValidator(_url(*_HTTP))]
_Proxy = Annotated[Text, AfterValidator(_url(*_HTTP, "socks5", "socks5h"))]


class ConnectionOptions(BaseModel):
    """The fields that every connection type has, because every HTTP call needs them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    timeout: Number = Field(
        default=30,
        ge=0.1,
        le=3600,
        title="Timeout (seconds)",
        description="How long one call may wait to connect, to send and to be answered.",
    )
    max_retries: WholeNumber = Field(
        default=3,
        ge=0,
        le=100,
        title="Maximum retries",
        description=(
            "How often a call is sent again after a lost connection, 408, 409, 429 or 5xx."
        ),
    )
    verify: Flag = Field(
        default=True,
        title="Verify TLS certificates",
        description="Switch off only for a test server.",
    )
    ca_bundle: Text = Field(
        default=None,
        title="CA bundle",
        description=(
            "Path of a file or folder with the certificates to trust instead of the usual ones."
        ),
    )
    proxy: _Proxy = Field(
        default=None,
        repr=False,  # it may hold a password
        title="Proxy",
        description="URL of an HTTP or SOCKS proxy. Empty: HTTPS_PROXY and its kin are obeyed.",
    )
    headers: Headers = Field(
        default_factory=dict,
        repr=False,  # they may hold keys
        title="Extra headers",
        description='Sent with every call, as JSON: {"x-team": "data"}.',
    )
    console_url: Url = Field(
        default=None,
        title="Console link",
        description=(
            "Where the service shows a run: a URL with {run_id} and, where there are threads, "
            "{thread_id}. Empty: tasks have no link."
        ),
    )
