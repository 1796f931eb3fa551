"""The calls, each as one flow: with retries and the mapping of errors. Lists are in ``lists``."""

from __future__ import annotations

import random
import time
from functools import lru_cache
from typing import TYPE_CHECKING, TypeVar

import httpx

from airflow_provider_runs import metrics
from airflow_provider_runs.backends.wire import Answer, Refusal
from airflow_provider_runs.errors import RunNotFound, RunsAPIError, RunsError, RunsServiceGone
from airflow_provider_runs.flows import failures
from airflow_provider_runs.flows.steps import LAST_LOOK, Flow, Send, Sleep
from airflow_provider_runs.models import Glimpse, Run

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_runs.backends import Backend
    from airflow_provider_runs.backends.wire import Call, Exchange
    from airflow_provider_runs.models import RunRef

__all__ = [
    "ask_to_cancel",
    "backoff",
    "explain_404",
    "get_run",
    "glimpse_run",
    "make_call",
    "measure_poll",
    "perform",
    "probe",
    "settle_run",
    "until_of",
]

T = TypeVar("T")

#: Upper bound of the jittered backoff before the first retry, and its maximum, both in seconds.
FIRST_BACKOFF = 0.5
MAX_BACKOFF = 8.0
#: Bytes of a megabyte, and of the longest answer that may hold what a run has made.
MB = 1024 * 1024
MOST_OF_A_RESULT = 32 * MB
#: Characters of a parameter with which a URL is kept.
_LONG = 100


def get_run(
    backend: Backend,
    ref: RunRef,
    *,
    deadline: float | None = None,
    once: bool = False,
    hurried: bool = False,
) -> Flow[Run]:
    """Fetch a run.

    :param deadline: when to stop trying, in epoch seconds; by default after the call's own budget.
    :param once: do not retry after a transient failure.
    :param hurried: do not rest when the server asks its clients to wait.
    :return: the run.
    :raises RunsError: if there is no usable answer.
    """
    until = until_of(backend, deadline)
    flow = perform(
        backend, lambda: _asked_for(backend.fetch_run(ref), ref), until, once=once, hurried=hurried
    )
    return (yield from explain_404(backend, flow, until))


def glimpse_run(
    backend: Backend, ref: RunRef, *, deadline: float | None = None, glance: bool = False
) -> Flow[Glimpse]:
    """Fetch a run and read only its status; the rest is read when somebody asks for it.

    :param deadline: when to stop trying, in epoch seconds; by default after the call's own budget.
    :param glance: leave long texts out of a long answer.
    :return: the run's status, and what reads the rest.
    :raises RunsError: if there is no usable answer.
    """
    until = until_of(backend, deadline)
    flow = perform(backend, lambda: _asked_for(backend.look_at_run(ref), ref), until, glance=glance)
    return (yield from measure_poll(explain_404(backend, flow, until)))


#: The HTTP statuses of a path, or a method, that a server or gateway does not have; and those with
#: which an API answers to a run that does not exist.
_NO_SUCH_CALL = frozenset({404, 405, 501})
_NO_SUCH_RUN = frozenset({400, 404, 422})


def probe(backend: Backend) -> Flow[bool]:
    """Make the cheap call that succeeds only with a valid key.

    Not all servers and gateways have it. If it is missing, the server is asked for a run that
    cannot exist, and for its landmark: what it says of them shows whether it serves runs.

    :return: whether the call succeeded; otherwise the server serves runs, but has no such call.
    :raises RunsError: if the server refuses the key, or does not serve this API.
    """
    try:
        yield from perform(backend, lambda: make_call(backend.probe(), backend.read_probe), None)
    except RunsAPIError as error:
        if error.status_code not in _NO_SUCH_CALL or backend.is_gone():
            raise
        missing = error
    else:
        return True
    if (yield from _serves_runs(backend)):
        return False
    if isinstance(missing, RunsServiceGone):
        raise missing
    words = "It has no runs either, so it does not serve this API: check the connection's host."
    raise missing.adding(words)


def _serves_runs(backend: Backend) -> Flow[bool]:
    """Return whether the server answers as this API does, for a run or for its landmark.

    :raises RunsError: if it does not say: it refuses the key, is busy or down, or shows a web page.
    """
    try:
        yield from perform(backend, lambda: backend.fetch_run(backend.no_run), None)
    except RunsAPIError as error:
        status = error.status_code
        if status in _NO_SUCH_RUN and not error.is_routers:
            return True
        if status not in _NO_SUCH_RUN | _NO_SUCH_CALL:
            raise
    else:
        return True
    landmark = backend.landmark()
    if landmark is None or not backend.vague_404:
        return False
    try:
        yield from perform(backend, lambda: make_call(landmark, backend.read_landmark), None)
    except RunsError:
        return False
    return True


def ask_to_cancel(
    backend: Backend,
    ref: RunRef,
    action: str | None,
    deadline: float | None,
    *,
    hurried: bool = False,
) -> Flow[Run | None]:
    """Ask the server once to cancel a run.

    It is not retried: whatever comes back, the run must be looked at before the next request.

    :param action: what ``Backend.cancel_action`` returned.
    :param deadline: when to stop trying, in epoch seconds; by default after the call's own budget.
    :param hurried: send it even while the server asks its clients to wait.
    :return: the run, if the answer shows it; ``None`` if it must be fetched.
    :raises RunsError: if the server did not accept.
    """

    def exchange() -> Exchange[Run | None]:
        run = yield from backend.cancel_run(ref, action)
        return run.under(ref.run_id) if run else None

    return (yield from perform(backend, exchange, deadline, once=True, hurried=hurried))


def settle_run(
    backend: Backend, ref: RunRef, run: Run, *, asked: bool, deadline: float
) -> Flow[Run]:
    """Return a run that has ended with what only another call can tell about its end.

    :param run: the run as it was seen last.
    :param asked: whether somebody here has asked to cancel it.
    :param deadline: when to stop trying, in epoch seconds.
    :return: the run; as it was if the call fails.
    """
    try:
        return (yield from perform(backend, lambda: backend.settle(ref, run, asked), deadline))
    except RunsError:
        return run


R = TypeVar("R", Run, Glimpse)


def _asked_for(exchange: Exchange[R], ref: RunRef) -> Exchange[R]:
    """Return the run that an exchange finds, under the id that was asked for."""
    run = yield from exchange
    return run if run.id == ref.run_id else run.under(ref.run_id)


def make_call(call: Call, read: Callable[[Answer], T]) -> Exchange[T]:
    """Make one call, and read its answer.

    :param call: the call.
    :param read: reads a good answer.
    :return: what it reads.
    """
    return read((yield call))


def explain_404(backend: Backend, flow: Flow[T], deadline: float | None) -> Flow[T]:
    """Distinguish a missing run from a wrong base URL where the body of a 404 does not.

    What reads like a router's answer is one, however well the server serves the landmark, unless
    this API's own answer reads like that.

    :param flow: makes the call.
    :param deadline: when to stop trying, in epoch seconds; by default after the call's own budget.
    :raises RunNotFound: if the server does serve this API.
    """
    try:
        return (yield from flow)
    except RunsAPIError as error:
        landmark = backend.landmark()
        if error.status_code != 404 or type(error) is not RunsAPIError or landmark is None:
            raise
        if error.is_routers and not backend.vague_404:
            raise
        try:
            yield from perform(
                backend, lambda: make_call(landmark, backend.read_landmark), deadline
            )
        except RunsError:
            raise error from None
        words = "It does serve this API, so it is the run or the thread that does not exist."
        raise RunNotFound(**error.adding(words).fields()) from None


def perform(
    backend: Backend,
    begin: Callable[[], Exchange[T]],
    deadline: float | None,
    *,
    once: bool = False,
    hurried: bool = False,
    glance: bool = False,
) -> Flow[T]:
    """Make the calls of an exchange, with retries and jittered backoff.

    After a transient failure the exchange starts again from its first call, until its retries are
    used up or its time is over. It does not once a call that is not repeatable has been answered.

    :param begin: starts the exchange.
    :param deadline: when to stop trying, in epoch seconds; by default after the call's own budget.
    :param once: do not retry.
    :param hurried: send it even while the server asks its clients to wait.
    :param glance: leave long texts out of a long answer.
    :return: what the exchange returns.
    :raises RunsError: if there is no usable answer.
    """
    retries = 0 if once else backend.options.max_retries
    until = until_of(backend, deadline)
    for attempt in range(retries + 1):
        exchange, may_restart, answer = begin(), True, None
        try:
            call = next(exchange)
        except StopIteration as end:  # it needed no call
            return end.value  # type: ignore[no-any-return]  # the exchange's own type
        try:
            while True:
                answer = yield from _send(backend, call, until, hurried=hurried, glance=glance)
                may_restart &= call.repeatable  # a call that took effect must not be sent again
                try:
                    call = exchange.send(answer)
                except StopIteration as end:
                    return end.value  # type: ignore[no-any-return]  # the exchange's own type
                except RunsError:
                    raise
                except Exception as error:  # noqa: BLE001 - a body may be anything
                    failure = failures.not_understood(backend, call, answer, error)
                else:
                    continue
                # Not within the block: pydantic's errors show the input, which may echo the key.
                raise failure
        except RunsError as error:
            metrics.count(f"errors.{type(error).__name__}")
            delay = backoff(error, attempt, hurried=hurried)
            again = may_restart and _may_retry(call, error) and attempt < retries
            if not again or time.time() + delay >= until:
                raise
        del exchange, answer, call  # no body is kept while it sleeps
        yield Sleep(delay)
    raise AssertionError  # pragma: no cover - the last attempt returns or raises


def until_of(backend: Backend, deadline: float | None) -> float:
    """Return when to stop trying, in epoch seconds; by default after the call's own budget."""
    return time.time() + backend.settings.call_budget if deadline is None else deadline


def backoff(error: RunsError, attempt: int, *, hurried: bool = False) -> float:
    """Return how long to wait before the next attempt, in seconds.

    :param error: how this one failed.
    :param attempt: its number; the first one is 0.
    :param hurried: do not rest when the server asks its clients to wait.
    """
    if error.retry_after is not None and not hurried:
        return error.retry_after
    # Full jitter: callers that failed together do not retry together.
    return random.uniform(0, min(MAX_BACKOFF, FIRST_BACKOFF * 2**attempt))  # noqa: S311


def _may_retry(call: Call, error: RunsError) -> bool:
    """Whether a call that failed may be sent again."""
    if error.status_code in call.judged:
        return False
    if not call.repeatable:
        # A call that was rate limited has had no effect.
        return error.transient and (error.status_code == 429 or error.unsent)
    return error.transient if error.should_retry is None else error.should_retry


def _send(
    backend: Backend, call: Call, until: float, *, hurried: bool, glance: bool
) -> Flow[Answer]:
    """Send a call once.

    :raises RunsError: if no answer comes, or the answer refuses the call.
    """
    until = max(until, time.time() + LAST_LOOK)
    most = int(backend.options.max_answer * MB)
    if call.holds_result:
        most = max(most, MOST_OF_A_RESULT)
    request = _request(backend, call, until)
    try:
        answer = yield Send(request, until, backend.credential, most, hurried, glance)
    except httpx.RequestError as error:
        failure = failures.no_answer(backend, call, error)
    else:
        assert isinstance(answer, Answer)  # noqa: S101 - what a driver sends back for a Send
        if refusal := _judged(backend, call, answer):
            if refusal.status == 429:
                metrics.count("rate_limited")
            raise failures.refused(backend, call, answer, refusal)
        return answer
    raise failure  # not within the block: the HTTP client's error may show what was sent


def _judged(backend: Backend, call: Call, answer: Answer) -> Refusal | None:
    """Return what an answer says against its call, also where the backend cannot read it.

    :raises RunsResponseError: if a good status has a body that the backend cannot judge.
    """
    try:
        return backend.judge(call, answer)
    except RunsError:
        raise
    except Exception as error:  # noqa: BLE001 - a body may be anything
        if not 200 <= answer.status_code < 300:
            return Refusal(answer.status_code, is_ours=False)
        failure = failures.not_understood(backend, call, answer, error)
    raise failure


def _request(backend: Backend, call: Call, until: float) -> httpx.Request:
    """Build the request of a call.

    :raises RunsConfigError: if it cannot be built.
    """
    seconds = min(backend.options.timeout, until - time.time())
    params = {**backend.params(), **call.params}
    # What a server gives for a cursor must not fill the cache.
    is_long = bool(params) and any(len(str(value)) > _LONG for value in params.values())
    url = _url.__wrapped__ if is_long else _url
    try:
        return httpx.Request(
            call.method,
            url(backend.settings.base_url + call.path, tuple(params.items())),
            json=call.json,
            headers=_headers(backend, call),
            extensions={"timeout": dict.fromkeys(("connect", "read", "write", "pool"), seconds)},
        )
    except (httpx.InvalidURL, ValueError, TypeError, RecursionError) as error:
        failure = failures.cannot_be_sent(backend, call, error)
    raise failure


def _headers(backend: Backend, call: Call) -> httpx.Headers:
    """Return the headers of a call; those of every call are made once."""
    if not call.headers:
        return backend.sent_headers
    return httpx.Headers({**backend.sent_headers, **call.headers})


@lru_cache(maxsize=10_000)  # a run is polled again and again, and parsing its URL takes time
def _url(text: str, params: tuple[tuple[str, str | int], ...]) -> httpx.URL:
    return httpx.URL(text).copy_merge_params(dict(params)) if params else httpx.URL(text)


def measure_poll(flow: Flow[T]) -> Flow[T]:
    """Count and time a request that polls runs.

    :param flow: makes the request.
    :return: what it returns.
    """
    begun = time.monotonic()
    try:
        return (yield from flow)
    finally:
        metrics.count("polls")
        metrics.took("poll_seconds", time.monotonic() - begun)
