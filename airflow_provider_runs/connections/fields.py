"""The fields of a connection's ``extra``: their types, and those that every connection type has.

Each backend has a frozen class of its own, made of these types. The form, the provider info and
the checks are derived from it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import httpx
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

from airflow_provider_runs.status import FINAL, same_spelling

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "PROXY_SCHEMES",
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
    "read_statuses",
]


@dataclass(frozen=True, slots=True)
class Takes:
    """What a field must be, as its error says it."""

    words: str


def _refuse_flag(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("a flag is not a number")  # noqa: TRY004 - pydantic wants this one
    return value


def is_sendable(text: str) -> bool:
    """Return whether a URL or an HTTP header can carry a text."""
    return text.isascii() and (text.isprintable() or not text)


def _check_sendable(text: str | None) -> str | None:
    if text is not None and not is_sendable(text):
        raise PydanticCustomError("field", "with characters that a URL or header cannot carry")
    return text


_HTTP = ("http", "https")
PROXY_SCHEMES = (*_HTTP, "socks5", "socks5h")


def is_url(text: str, schemes: tuple[str, ...] = _HTTP) -> bool:
    """Return whether a text is a URL of one of the schemes, with a host that can be called."""
    try:
        url, port = urlsplit(text), urlsplit(text).port
        httpx.URL(text)  # each refuses what the other one lets pass
        (url.hostname or "").encode("idna")  # as connecting does; it refuses an empty label
    except (ValueError, httpx.InvalidURL):
        return False
    return url.scheme in schemes and bool(url.hostname) and port != 0


def _url_check(*schemes: str) -> Callable[[str | None], str | None]:
    def check(text: str | None) -> str | None:
        if text and not is_url(text, schemes):
            raise PydanticCustomError("field", f"that must be a URL with {' or '.join(schemes)}")
        return text

    return check


def _decode(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        raise PydanticCustomError("field", "that must be a JSON object: check its quotes") from None


#: The characters that are allowed in a header's name (RFC 9110, 5.6.2).
_TOKEN = frozenset("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")


#: Headers that say how a message is sent, or where it ends: whoever sends it sets them.
_FRAMING = frozenset(
    {
        *("accept-encoding", "connection", "content-length", "expect", "keep-alive"),
        *("proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"),
    }
)


def _check_headers(headers: Mapping[str, str]) -> dict[str, str]:
    headers = {name: value.strip() for name, value in headers.items()}
    for name, value in headers.items():
        if name.lower() in _FRAMING:
            raise PydanticCustomError(
                "field",
                "with an extra header {header}, which is not a connection's to set; take it out",
                {"header": repr(name)},
            )
        if not is_sendable(value) or not name or not all(c in _TOKEN for c in name):
            raise PydanticCustomError(
                "field",
                "with an extra header {header} whose name or value HTTP does not allow",
                {"header": repr(name)},
            )
    return headers


# In a connection given by URI, the value of each of them is a string.
Text = Annotated[str | None, Takes("text"), AfterValidator(_check_sendable)]
Number = Annotated[float, Takes("a number"), BeforeValidator(_refuse_flag)]
WholeNumber = Annotated[int, Takes("a whole number"), BeforeValidator(_refuse_flag)]
Flag = Annotated[bool, Takes("true or false")]
Headers = Annotated[
    dict[str, str],
    Takes('a JSON object with text values, such as {"x-team": "data"}'),
    BeforeValidator(_decode),
    AfterValidator(_check_headers),
]
Url = Annotated[Text, AfterValidator(_url_check(*_HTTP))]
_Proxy = Annotated[Text, AfterValidator(_url_check(*PROXY_SCHEMES))]


def read_statuses(text: str) -> dict[str, str]:
    """Return the statuses that words of a server's own mean, by their comparable spelling.

    :param text: pairs of a word and a final status, such as ``done=completed, aborted=cancelled``,
        or a JSON object with the statuses by their words.
    :raises ValueError: if it is something else.
    """
    found: dict[str, str] = {}
    for word, status in _pairs(text):
        name, meaning = same_spelling(word), same_spelling(status)
        if not name or meaning not in FINAL:
            raise ValueError(f"each word must mean one of {', '.join(FINAL)}")
        if found.setdefault(name, meaning) != meaning:
            raise ValueError(f"{name!r} means two of them")
    return found


def _pairs(text: str) -> list[tuple[str, str]]:
    if not text.lstrip().startswith("{"):
        split = [pair.rpartition("=") for pair in text.split(",") if pair.strip()]
        return [(word, status) for word, _, status in split]
    try:
        words = json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError("this is not a JSON object: check its quotes") from None
    return [(word, str(status)) for word, status in words.items()]


def _check_statuses(text: str | None) -> str | None:
    try:
        read_statuses(text or "")
    except ValueError as error:
        raise PydanticCustomError(
            "field",
            "that must be words with the final status that each means, such as "
            "'done=completed, aborted=cancelled': {problem}",
            {"problem": str(error)},
        ) from None
    return text


def _encode(value: object) -> object:
    return json.dumps(dict(value)) if isinstance(value, Mapping) else value


# Not `Text`: a word comes in a body, so it need not fit into a header.
_Statuses = Annotated[
    str | None, Takes("text"), AfterValidator(_check_statuses), BeforeValidator(_encode)
]


class ConnectionOptions(BaseModel):
    """The fields that every connection type has, because every HTTP call needs them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    timeout: Number = Field(
        default=30,
        ge=0.1,
        le=3600,
        title="Timeout (seconds)",
        description="How long each step of a call may take: to connect, send and get an answer.",
    )
    max_retries: WholeNumber = Field(
        default=3,
        ge=0,
        le=100,
        title="Maximum retries",
        description=(
            "How often a call is retried after a lost connection or a 408, 409, 429 or 5xx."
        ),
    )
    max_answer: Number = Field(
        default=4,
        ge=0.001,
        le=1024,
        title="Longest answer (MB)",
        description=(
            "A longer answer is not read. Answers that hold a result may have 32 MB at least."
        ),
    )
    verify: Flag = Field(
        default=True,
        title="Verify TLS certificates",
        description="Turn off only for a test server.",
    )
    ca_bundle: Text = Field(
        default=None,
        title="CA bundle",
        description=(
            "Path of a file or folder with the certificates to trust instead of the default ones."
        ),
    )
    proxy: _Proxy = Field(
        default=None,
        repr=False,  # it may hold a password
        title="Proxy",
        description=(
            "URL of an HTTP or SOCKS proxy. Empty: HTTPS_PROXY and the like in the environment."
        ),
    )
    headers: Headers = Field(
        default_factory=dict,
        repr=False,  # they may hold keys
        title="Extra headers",
        description='Sent with every call, as JSON: {"x-team": "data"}.',
    )
    final_statuses: _Statuses = Field(
        default=None,
        title="Final statuses",
        description=(
            "What the server's own words for the end of a run mean, as word=status pairs: "
            "done=completed, aborted=cancelled. Usual spellings are known without it."
        ),
    )
    console_url: Url = Field(
        default=None,
        title="Console link",
        description=(
            "The page on which the service shows a run: a URL with {run_id} and, if the API has "
            "threads, {thread_id}. Empty: tasks have no link."
        ),
    )
