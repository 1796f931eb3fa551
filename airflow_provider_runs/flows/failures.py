"""The errors of failed calls: what came back and why, what to do next, and on what.

All text from outside passes through ``Settings.shown``, so that no error holds the key, forges a
line of a log or fills it.
"""

from __future__ import annotations

import json
import time
from email.utils import parsedate_to_datetime
from itertools import islice
from typing import TYPE_CHECKING, TypeVar

import httpx
from pydantic import ValidationError

from airflow_provider_runs.connections.settings import EXCERPT
from airflow_provider_runs.errors import (
    CancelRefused,
    RunNotFound,
    RunsAPIError,
    RunsAuthError,
    RunsConfigError,
    RunsError,
    RunsRateLimited,
    RunsResponseError,
    RunsServiceGone,
    RunsTransportError,
    located,
)
from airflow_provider_runs.plain_json import quoted

if TYPE_CHECKING:
    from airflow_provider_runs.backends import Backend
    from airflow_provider_runs.backends.wire import Answer, Call, Refusal
    from airflow_provider_runs.models import Run
    from airflow_provider_runs.plain_json import JsonObject

__all__ = [
    "BodyTooLong",
    "TLSFailed",
    "TokenUnavailable",
    "cannot_be_sent",
    "endless",
    "expectation",
    "explain_refusal",
    "no_answer",
    "no_cancel_call",
    "not_understood",
    "refused",
    "retry_after",
]

E = TypeVar("E", bound=RunsError)

#: Characters of a server's code, and of a request's id, that an error shows at most.
_CODE, _REQUEST_ID = 60, 200
#: The longest pause that a server can ask for, in seconds. Beyond that it is a mistake, or worse:
#: the vendors' own SDKs have the same bound.
MAX_RETRY_AFTER = 60.0
#: Names of an object's fields that are shown.
_NAMES = 20
#: How an answer without JSON begins, in bytes: more of it than `scrub` looks at, which takes care
#: of what is cut.
_BEGINNING = 80 * 1024


class TokenUnavailable(httpx.RequestError):
    """Fetching a token failed, so the request was not sent.

    :param message: why, in the words of ``azure-identity``.
    :param refused: whether the credential itself was refused, so that a retry is no use.
    """

    def __init__(self, message: str, *, refused: bool) -> None:
        super().__init__(message)
        self.refused = refused


class TLSFailed(httpx.ConnectError):
    """There is no connection, as the certificate or the handshake is refused."""


class BodyTooLong(httpx.RemoteProtocolError):
    """The body of an answer is longer than what is accepted.

    :param most: what is accepted, in bytes.
    """

    def __init__(self, most: int) -> None:
        super().__init__(f"it is longer than {most / 1024 / 1024:.3g} MB")


def no_answer(backend: Backend, call: Call, error: httpx.RequestError) -> RunsError:
    """Return the error for a request that got no complete answer, or could not be sent.

    :param error: what the HTTP client raised.
    """
    unsent = isinstance(error, _UNSENT)
    if isinstance(error, TokenUnavailable):
        return _error(
            RunsAuthError if error.refused else RunsTransportError,
            backend,
            call,
            f"Fetching an Entra ID token failed: {backend.settings.shown(str(error))}",
            "Check the connection's credential, tenant, client and secret",
            transient=not error.refused,
            unsent=unsent,
        )
    said = backend.settings.shown(str(error)) or type(error).__name__
    if isinstance(error, BodyTooLong):
        advice = "Raise the connection's max_answer if the server means it"
        words = f"The answer is not read: {said}"
        return _error(RunsTransportError, backend, call, words, advice, transient=True)
    # The request itself is wrong, so sending it again would fail again.
    hopeless = isinstance(error, (httpx.LocalProtocolError, httpx.UnsupportedProtocol))
    return _error(
        RunsTransportError,
        backend,
        call,
        f"{_no_answer_words(error)}: {said}",
        f"Check that {backend.settings.base_url} is up, and the connection's host, port, TLS and "
        "proxy settings",
        transient=not hopeless,
        unsent=unsent,
    )


#: The failures before any of a request can have reached the server.
_UNSENT = (
    *(httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError),
    TokenUnavailable,
)

#: What went wrong, by httpx's error; the first class that fits counts.
_WORDS: tuple[tuple[type[httpx.RequestError], str], ...] = (
    (httpx.ConnectTimeout, "Connecting to the host timed out"),
    (httpx.TimeoutException, "The request timed out"),
    (TLSFailed, "TLS failed"),
    (httpx.ConnectError, "The host cannot be reached"),
    (httpx.DecodingError, "The answer cannot be decoded"),
    (httpx.ProxyError, "The proxy refused"),
    (httpx.RequestError, "The connection was lost"),
)


def _no_answer_words(error: httpx.RequestError) -> str:
    return next(words for kind, words in _WORDS if isinstance(error, kind))


def not_understood(
    backend: Backend, call: Call, answer: Answer, error: Exception
) -> RunsResponseError:
    """Return the error for an answer whose status is good but whose body is not of this API.

    :param error: what reading the body raised: which expectation failed.
    """
    problem = "it is a web page, not the API" if _is_page(answer) else expectation(error)
    problem, excerpt = backend.settings.shown(problem), _excerpt(backend, answer)
    return _error(
        RunsResponseError,
        backend,
        call,
        f"The answer cannot be understood: {problem} ({answer.status_code}, {excerpt})",
        _wrong_base_url(backend),
        answer=answer,
        transient=True,
    )


def expectation(error: Exception) -> str:
    """Return which expectation an answer has failed, without the answer: it may echo the key.

    :param error: what reading it raised.
    """
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    if isinstance(error, json.JSONDecodeError):
        return f"it is not JSON ({error.msg} at character {error.pos})"
    if isinstance(error, ValueError):
        return str(error) or type(error).__name__
    return f"reading it fails ({type(error).__name__})"


def _is_page(answer: Answer) -> bool:
    kind = answer.headers.get("content-type", "")
    return "html" in kind or answer.content[:200].lstrip().lower().startswith(_PAGE)


#: How web pages begin.
_PAGE = (b"<!doctype", b"<html", b"<head", b"<body")


def _wrong_base_url(backend: Backend) -> str:
    return (
        f"Check that the connection's host, {backend.settings.base_url}, is the base URL of this "
        "API"
    )


def refused(backend: Backend, call: Call, answer: Answer, refusal: Refusal) -> RunsAPIError:
    """Return the error for an answer that refuses its call.

    :param refusal: why, as the backend reads the answer.
    """
    status = refusal.status
    kind, why, advice = _meaning(backend, call, refusal)
    shown = backend.settings.shown
    words, code = shown(refusal.words), shown(refusal.code, _CODE)
    said = quoted(words, EXCERPT) if words else _excerpt(backend, answer)
    if 300 <= status < 400 and (moved := answer.headers.get("location")):
        said = f"it redirects to {quoted(shown(moved), EXCERPT)}"
    also = f" [{code}]" if code and code != str(status) and code not in words else ""
    return _error(
        kind,
        backend,
        call,
        f"{status}{f', {why}' if why else ''}: {said}{also}",
        advice,
        answer=answer,
        status_code=status,
        transient=not _NO_QUOTA & refusal.codes and _is_transient(status),
        retry_after=retry_after(answer),
        should_retry=_SHOULD_RETRY.get(answer.headers.get("x-should-retry", "")),
        is_routers=not refusal.is_ours,
    )


def _meaning(backend: Backend, call: Call, refusal: Refusal) -> tuple[type[RunsAPIError], str, str]:
    """Return the class of the error for a refusal, why it was refused, and what to do."""
    status = refusal.status
    if status == 404:
        return _meaning_of_404(backend, call, refusal)
    if status in {401, 403}:
        advice = "Put a key that is allowed to do this into the connection's password"
        return RunsAuthError, "the key was refused", advice
    if status == 429:
        return RunsRateLimited, "", "Wait, or raise the account's limit or quota"
    if 300 <= status < 400:
        return RunsAPIError, "", _wrong_base_url(backend)
    if status >= 500:
        return RunsAPIError, "", "The server has a problem. Try again later"
    return RunsAPIError, "", "The server's message says why"


def _meaning_of_404(
    backend: Backend, call: Call, refusal: Refusal
) -> tuple[type[RunsAPIError], str, str]:
    if backend.is_gone() or not call.has_ids:
        why = f"{backend.settings.base_url} does not serve this API, or no longer does"
        advice = (
            "Check that the connection's host is the base URL of this API, or choose another host "
            "or another connection type. This 404 says nothing about any run"
        )
        return RunsServiceGone, why, advice
    if refusal.names_run:
        return RunNotFound, "", "Check the ids. The server may also have deleted the record"
    if refusal.is_ours and 404 in call.judged:
        return RunsAPIError, "", "The server's message says why"
    return RunsAPIError, "which says nothing about the run", _wrong_base_url(backend)


#: The values of ``x-should-retry``: whether the same call may be sent again.
_SHOULD_RETRY = {"true": True, "false": False}
#: Codes of a 429 that no retry cures: somebody has to pay first.
_NO_QUOTA = frozenset({"insufficient_quota", "billing_not_active", "billing_hard_limit_reached"})


def _is_transient(status: int) -> bool:
    return status in {408, 409, 429} or status >= 500


def retry_after(answer: Answer) -> float | None:
    """Return how long the server asks its clients to wait, in seconds; ``None`` if it does not.

    It is ``MAX_RETRY_AFTER`` at most. ``retry-after-ms`` comes first, then ``retry-after``, in
    seconds or as an HTTP date.
    """
    for name, scale in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        if (number := answer.number(name)) is not None:
            return min(number * scale, MAX_RETRY_AFTER)
    try:
        date = parsedate_to_datetime(answer.headers["retry-after"])
        return min(max(0.0, date.timestamp() - time.time()), MAX_RETRY_AFTER)
    except (KeyError, ValueError, OverflowError, TypeError, IndexError):
        return None


def cannot_be_sent(backend: Backend, call: Call, error: Exception) -> RunsConfigError:
    """Return the error for a request that cannot be built.

    :param error: why: a part of it is no text, or none that a URL or a body can carry.
    """
    return _error(
        RunsConfigError,
        backend,
        call,
        f"The request cannot be built: {backend.settings.shown(str(error))}. Nothing was sent",
        "Check the ids, the body and the connection's fields",
    )


def endless(backend: Backend, call: Call, pages: int) -> RunsResponseError:
    """Return the error for a list that goes on and on.

    :param pages: how many pages of it were read.
    """
    return _error(
        RunsResponseError,
        backend,
        call,
        f"The list does not end: the server still has more after {pages} pages",
        "Check the server. Nothing beyond these pages was looked at",
    )


def explain_refusal(refusal: RunsAPIError, run: Run) -> CancelRefused:
    """Return the error for a cancel that the server refused although the run is still active.

    :param refusal: the server's answer to the cancel.
    :param run: the run as it was seen after that.
    """
    words = f"The run is still {run.status.value!r}: it was not cancelled."
    return CancelRefused(**refusal.adding(words).replacing(run=run.to_json()).fields())


def no_cancel_call(refusal: RunsError, run: JsonObject | None) -> CancelRefused:
    """Return the error for a server that shows a run but has no such path as its cancel.

    :param refusal: the answer to the cancel, which a router or gateway gave.
    :param run: the run as it was seen after that, as plain JSON.
    """
    words = (
        f"This server serves runs but has no cancel call: {refusal.status_code} to the cancel, "
        "while the run can be read and is still active. Cancel it in the service itself, or have "
        "the gateway forward the call."
    )
    return CancelRefused(**refusal.instead(words).replacing(run=run).fields())


def _error(
    kind: type[E],
    backend: Backend,
    call: Call,
    came_back: str,
    advice: str,
    *,
    answer: Answer | None = None,
    status_code: int | None = None,
    transient: bool = False,
    retry_after: float | None = None,
    should_retry: bool | None = None,
    unsent: bool = False,
    is_routers: bool = False,
) -> E:
    settings, ref = backend.settings, call.ref
    request_id = answer.headers.get("x-request-id") if answer else None
    request_id = settings.shown(request_id, _REQUEST_ID) if request_id else None
    came_back = came_back.rstrip(".")
    words = f"{came_back}. {advice}." + (f" Request id: {request_id}." if request_id else "")
    error = kind(
        located(words, call.what, settings.conn_id),
        conn_id=settings.conn_id,
        run_id=ref.run_id if ref else None,
        thread_id=ref.thread_id if ref else call.thread_id,
        status_code=status_code or (answer.status_code if answer else None),
        request_id=request_id,
        transient=transient,
        retry_after=retry_after,
        should_retry=should_retry,
    )
    if unsent:
        error.unsent = True
    if is_routers:
        error.is_routers = True
    return error


def _excerpt(backend: Backend, answer: Answer) -> str:
    """Return how an answer begins; of JSON only its shape: a run holds what people wrote."""
    text = answer.content[:_BEGINNING].decode(errors="replace").strip()
    if not text.startswith(("{", "[", '"')):
        return repr(backend.settings.shown(text)) if text else "no body"
    try:
        body = answer.body()
    except ValueError:
        return f"{len(answer.content)} bytes that begin like JSON"
    if isinstance(body, dict):
        names = (repr(backend.settings.shown(name, _CODE)) for name in islice(body, _NAMES))
        return f"a JSON object with {', '.join(names) or 'nothing in it'}"
    return f"a JSON {'array' if isinstance(body, list) else 'text'}"
