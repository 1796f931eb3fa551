"""The errors of failed calls: what was tried, on what, what came back and what to do next.

All text from outside passes through ``Settings.scrub``, so that no error holds the key.
"""

from __future__ import annotations

import ssl
import time
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, TypeVar

import httpx

from airflow_provider_runs.errors import (
    CancelRefused,
    RunNotFound,
    RunsAPIError,
    RunsAuthError,
    RunsError,
    RunsRateLimited,
    RunsResponseError,
    RunsServiceGone,
    RunsTransportError,
)

if TYPE_CHECKING:
    from airflow_provider_runs.backends import Backend
    from airflow_provider_runs.backends.wire import Answer, Call, Refusal
    from airflow_provider_runs.models import Run

__all__ = [
    "TokenUnavailable",
    "explain_refusal",
    "no_answer",
    "not_understood",
    "refused",
    "retry_after",
    "was_not_sent",
]

E = TypeVar("E", bound=RunsError)

#: Characters of a text from outside that an error shows at most.
_EXCERPT = 400


class TokenUnavailable(httpx.RequestError):
    """Fetching a token failed, so the request was not sent.

    :param message: why, in the words of ``azure-identity``.
    :param refused: whether the credential itself was refused, so that a retry is no use.
    """

    def __init__(self, message: str, *, refused: bool) -> None:
        super().__init__(message)
        self.refused = refused


def no_answer(backend: Backend, call: Call, error: httpx.RequestError) -> RunsError:
    """Return the error for a request that got no complete answer, or could not be sent.

    :param error: what the HTTP client raised.
    """
    if isinstance(error, TokenUnavailable):
        return _error(
            RunsAuthError if error.refused else RunsTransportError,
            backend,
            call,
            f"fetching an Entra ID token failed: {error}",
            "Check the connection's credential, tenant, client and secret",
            transient=not error.refused,
        )
    # The request itself is wrong, so sending it again would fail again.
    hopeless = isinstance(error, (httpx.LocalProtocolError, httpx.UnsupportedProtocol))
    return _error(
        RunsTransportError,
        backend,
        call,
        f"{_no_answer_words(error)}: {error or type(error).__name__}",
        "Check the connection's host, port, TLS and proxy settings, and that the server is up",
        transient=not hopeless,
    )


#: What went wrong, by httpx's error; the first class that fits counts.
_WORDS: tuple[tuple[type[httpx.RequestError], str], ...] = (
    (httpx.ConnectTimeout, "connecting to the host timed out"),
    (httpx.TimeoutException, "the request timed out"),
    (httpx.ConnectError, "the host cannot be reached"),
    (httpx.DecodingError, "the answer cannot be decoded"),
    (httpx.ProxyError, "the proxy refused"),
    (httpx.RequestError, "the connection was lost"),
)


def _no_answer_words(error: httpx.RequestError) -> str:
    if isinstance(_root_cause(error), ssl.SSLError):
        return "TLS failed"
    return next(words for kind, words in _WORDS if isinstance(error, kind))


def _root_cause(error: BaseException) -> BaseException:
    while error.__cause__ or error.__context__:
        error = error.__cause__ or error.__context__  # type: ignore[assignment]  # just checked
    return error


def was_not_sent(error: RunsError) -> bool:
    """Return whether a call failed before any of it can have reached the server."""
    unsent = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, TokenUnavailable)
    return isinstance(error.__cause__, unsent)


def not_understood(
    backend: Backend, call: Call, answer: Answer, error: ValueError
) -> RunsResponseError:
    """Return the error for an answer whose status is good but whose body is not of this API.

    :param error: what reading the body raised.
    """
    return _error(
        RunsResponseError,
        backend,
        call,
        f"the answer cannot be understood ({answer.status_code}, "
        f"{_excerpt(answer)}; {type(error).__name__})",
        "Check that the connection's host is the base URL of this API",
        answer=answer,
        transient=True,
    )


def refused(backend: Backend, call: Call, answer: Answer, refusal: Refusal) -> RunsAPIError:
    """Return the error for an answer that refuses its call.

    :param refusal: why, as the backend reads the answer.
    """
    status, code, where = refusal.status, refusal.code, backend.settings.base_url
    came_back = f"{status}{f' {code}' if code else ''}: {refusal.words or _excerpt(answer)}"
    kind: type[RunsAPIError] = RunsAPIError
    advice = "The server's message says why"
    if status in {401, 403}:
        kind = RunsAuthError
        advice = "Put a key that is allowed to do this into the connection's password"
    elif status == 429:
        kind, advice = RunsRateLimited, "Wait, or raise the account's limit or quota"
    elif status == 404 and (backend.is_gone() or not call.has_ids):
        kind = RunsServiceGone
        came_back = f"404: {where} does not serve this API, or no longer does"
        advice = (
            "Check that the connection's host is the base URL of this API, or choose another "
            "host or another connection type. This 404 says nothing about any run"
        )
    elif status == 404 and refusal.is_ours:
        kind, advice = RunNotFound, "Check the ids. The server may also have deleted the record"
    elif status == 404 or 300 <= status < 400:
        moved = answer.headers.get("location")
        came_back += f" (it redirects to {moved})" if moved else ""
        advice = "Check that the connection's host is the base URL of this API"
    elif status >= 500:
        advice = "The server has a problem. Try again later"
    return _error(
        kind,
        backend,
        call,
        came_back,
        advice,
        answer=answer,
        status_code=status,
        transient=code not in _NO_QUOTA and _is_transient(status),
        retry_after=retry_after(answer),
        should_retry=_SHOULD_RETRY.get(answer.headers.get("x-should-retry", "")),
    )


#: The values of ``x-should-retry``: whether the same call may be sent again.
_SHOULD_RETRY = {"true": True, "false": False}
#: Codes of a 429 that no retry cures: somebody has to pay first.
_NO_QUOTA = frozenset({"insufficient_quota", "billing_not_active", "billing_hard_limit_reached"})


def _is_transient(status: int) -> bool:
    return status in {408, 409, 429} or status >= 500


def retry_after(answer: Answer) -> float | None:
    """Return how long the server asks its clients to wait, in seconds; ``None`` if it does not.

    ``retry-after-ms`` comes first, then ``retry-after``, in seconds or as an HTTP date.
    """
    for name, scale in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        if (number := answer.number(name)) is not None:
            return number * scale
    try:
        date = parsedate_to_datetime(answer.headers["retry-after"])
        return max(0.0, date.timestamp() - time.time())
    except (KeyError, ValueError, OverflowError):
        return None


def explain_refusal(refusal: RunsAPIError, run: Run) -> CancelRefused:
    """Return the error for a cancel that the server refused although the run is still active.

    :param refusal: the server's answer to the cancel.
    :param run: the run as it was seen after that.
    """
    words = f"The run is still {run.status.value!r}: it was not cancelled."
    return CancelRefused(**refusal.adding(words).replacing(run=run.to_json()).fields())


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
) -> E:
    settings, ref = backend.settings, call.ref
    request_id = answer.headers.get("x-request-id") if answer else None
    request_id = settings.scrub(request_id)[:_EXCERPT] if request_id else None
    came_back = settings.scrub(came_back)[:_EXCERPT].rstrip(".")
    return kind(
        f"Could not {call.what} (connection {settings.conn_id!r}, {call.method} "
        f"{settings.base_url}{call.path}): {came_back}. {advice}."
        + (f" Request id: {request_id}." if request_id else ""),
        conn_id=settings.conn_id,
        run_id=ref.run_id if ref else None,
        thread_id=ref.thread_id if ref else None,
        status_code=status_code or (answer.status_code if answer else None),
        request_id=request_id,
        transient=transient,
        retry_after=retry_after,
        should_retry=should_retry,
    )


def _excerpt(answer: Answer) -> str:
    text = answer.content[: _EXCERPT * 4].decode(errors="replace").strip()
    return repr(text) if text else "no body"
