"""The words of failed calls: what was tried, on what, what came back and what to do next.

Whatever came from outside passes ``Settings.scrub`` on its way, so that no error holds the key.
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

#: Characters of what came from outside that an error shows at most.
_EXCERPT = 400


class TokenUnavailable(httpx.RequestError):
    """No token could be had, so the request was not sent.

    :param message: why, in the words of ``azure-identity``.
    :param refused: whether the credential itself was refused, so that trying again is no use.
    """

    def __init__(self, message: str, *, refused: bool) -> None:
        super().__init__(message)
        self.refused = refused


def no_answer(backend: Backend, call: Call, error: httpx.RequestError) -> RunsError:
    """Return the error for a request that got no whole answer, or could not be sent."""
    if isinstance(error, TokenUnavailable):
        return _error(
            RunsAuthError if error.refused else RunsTransportError,
            backend,
            call,
            f"no Entra ID token could be had: {error}",
            "Check the connection's credential, tenant, client and secret",
            transient=not error.refused,
        )
    # Wrong by construction, not by bad luck: sending it again would fail again.
    hopeless = isinstance(error, (httpx.LocalProtocolError, httpx.UnsupportedProtocol))
    return _error(
        RunsTransportError,
        backend,
        call,
        f"{_no_answer_words(error)}: {error or type(error).__name__}",
        "Check the connection's host, port, TLS and proxy settings and that the server is up",
        transient=not hopeless,
    )


#: What went wrong, by httpx's error; the first that fits.
_WORDS: tuple[tuple[type[httpx.RequestError], str], ...] = (
    (httpx.ConnectTimeout, "the host did not answer in time"),
    (httpx.TimeoutException, "the answer did not come in time"),
    (httpx.ConnectError, "the host cannot be reached"),
    (httpx.DecodingError, "the answer cannot be decoded"),
    (httpx.ProxyError, "the proxy refused"),
    (httpx.RequestError, "the connection was lost"),
)


def _no_answer_words(error: httpx.RequestError) -> str:
    if isinstance(_root(error), ssl.SSLError):
        return "TLS failed"
    return next(words for kind, words in _WORDS if isinstance(error, kind))


def _root(error: BaseException) -> BaseException:
    while error.__cause__ or error.__context__:
        error = error.__cause__ or error.__context__  # type: ignore[assignment]  # just checked
    return error


def was_not_sent(error: RunsError) -> bool:
    """Return whether a call failed before anything of it can have reached the server."""
    unsent = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, TokenUnavailable)
    return isinstance(error.__cause__, unsent)


def not_understood(
    backend: Backend, call: Call, answer: Answer, error: ValueError
) -> RunsResponseError:
    """Return the error for a good status with a body that is not what the API promises."""
    return _error(
        RunsResponseError,
        backend,
        call,
        f"an answer came that cannot be understood ({answer.status_code}, "
        f"{_excerpt(answer)}; {type(error).__name__})",
        "Check that the connection's host is the base URL of this API",
        answer=answer,
        transient=True,
    )


def refused(backend: Backend, call: Call, answer: Answer, refusal: Refusal) -> RunsAPIError:
    """Return the error for an answer that says something against its call.

    :param refusal: what it says.
    """
    status, code, where = refusal.status, refusal.code, backend.settings.base_url
    came_back = f"{status}{f' {code}' if code else ''}: {refusal.words or _excerpt(answer)}"
    kind: type[RunsAPIError] = RunsAPIError
    advice = "The server's words say what it did not like"
    if status in {401, 403}:
        kind, advice = RunsAuthError, "Put a key into the connection's password that may do this"
    elif status == 429:
        kind, advice = RunsRateLimited, "Wait, or raise the account's limit or quota"
    elif status == 404 and (backend.is_gone() or not call.has_ids):
        kind = RunsServiceGone
        came_back = f"404: {where} does not serve this API, or no longer"
        advice = (
            "Check that the connection's host is the base URL of this API, or choose another "
            "host or another connection type; this says nothing about any run"
        )
    elif status == 404 and refusal.is_ours:
        kind, advice = RunNotFound, "Check the ids; the record may also have been deleted"
    elif status == 404 or 300 <= status < 400:
        moved = answer.headers.get("location")
        came_back += f" (it points to {moved})" if moved else ""
        advice = "Check that the connection's host is the base URL of this API"
    elif status >= 500:
        advice = "The server has a problem of its own; try again later"
    return _error(
        kind,
        backend,
        call,
        came_back,
        advice,
        answer=answer,
        status_code=status,
        transient=code not in _NO_QUOTA and _may_pass(status),
        retry_after=retry_after(answer),
        should_retry=_VERDICTS.get(answer.headers.get("x-should-retry", "")),
    )


#: What ``x-should-retry`` says of sending the same call again.
_VERDICTS = {"true": True, "false": False}
#: Codes of a 429 that waiting does not cure: somebody has to pay first.
_NO_QUOTA = frozenset({"insufficient_quota", "billing_not_active", "billing_hard_limit_reached"})


def _may_pass(status: int) -> bool:
    return status in {408, 409, 429} or status >= 500


def retry_after(answer: Answer) -> float | None:
    """Return the seconds for which the server wants to be left alone, if it named any.

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
    """Return the error for a cancel that was refused although the run is still active."""
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
