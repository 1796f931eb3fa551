"""The calls, each as one flow, with retries, error mapping and the idempotent cancel."""

from __future__ import annotations

import random
import time
from functools import lru_cache
from typing import TYPE_CHECKING, TypeVar

import httpx

from airflow_provider_runs import metrics
from airflow_provider_runs.backends.wire import CANCEL_REFUSED, ROLLBACK, Answer, Page
from airflow_provider_runs.errors import RunNotFound, RunsAPIError, RunsError, RunsServiceGone
from airflow_provider_runs.flows import failures
from airflow_provider_runs.flows.steps import LAST_LOOK, Flow, Send, Sleep
from airflow_provider_runs.models import Glimpse, Run, RunStatus

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from airflow_provider_runs.backends import Backend
    from airflow_provider_runs.backends.wire import Call, Exchange
    from airflow_provider_runs.models import RunRef

__all__ = [
    "busy_threads",
    "cancel_run",
    "get_run",
    "glimpse_run",
    "glimpse_runs",
    "list_runs",
    "probe",
    "rolled_back",
]

T = TypeVar("T")

#: Backoff before the first retry and the longest, in seconds; the real one is drawn below it.
FIRST_BACKOFF = 0.5
MAX_BACKOFF = 8.0


def get_run(backend: Backend, ref: RunRef, *, deadline: float | None = None) -> Flow[Run]:
    """Fetch a run.

    :param deadline: when to stop trying, in epoch seconds; by default after the call's own budget.
    :raises RunsError: if there is no usable answer.
    """
    flow = _perform(backend, lambda: _same(backend.fetch_run(ref), ref), deadline)
    return (yield from _or_missing(backend, flow, deadline))


def glimpse_run(backend: Backend, ref: RunRef, *, deadline: float | None = None) -> Flow[Glimpse]:
    """Fetch a run, of which only the status is read unless it has ended.

    :param deadline: when to stop trying, in epoch seconds; by default after the call's own budget.
    :raises RunsError: if there is no usable answer.
    """
    flow = _perform(backend, lambda: _same(backend.look_at_run(ref), ref), deadline)
    return (yield from _timed(_or_missing(backend, flow, deadline)))


def list_runs(
    backend: Backend, thread_id: str, *, deadline: float | None = None
) -> Iterator[Flow[list[Run]]]:
    """Yield a flow for each page of a thread's runs: drive it before you take the next.

    :param deadline: when to stop trying, in epoch seconds; by default after each call's own budget.
    :raises RunsError: by a flow, if there is no usable answer.
    """
    listed: set[str] = set()

    def read(body: object, cursor: str | None) -> Page[Run]:
        page = backend.read_page(body, cursor)
        runs = [backend.read_run(item) for item in page.items]
        # A run that starts meanwhile shifts the pages of a server that counts from the newest.
        fresh = [run for run in runs if run.id not in listed]
        listed.update(run.id for run in fresh)
        return Page(fresh, page.cursor)

    def call(cursor: str | None) -> Call:
        return backend.list_runs(thread_id, cursor)

    yield from _pages(backend, call, read, deadline)


def glimpse_runs(
    backend: Backend, thread_id: str, limit: int, *, deadline: float | None = None
) -> Iterator[Flow[list[Glimpse]]]:
    """Yield a flow for each page of a thread's runs, of which only the status is read.

    :param limit: how many runs a page has.
    :param deadline: when to stop trying, in epoch seconds; by default after each call's own budget.
    :raises RunsError: by a flow, if there is no usable answer.
    """

    def read(body: object, cursor: str | None) -> Page[Glimpse]:
        page = backend.read_page(body, cursor, limit)
        return Page([backend.glimpse(item) for item in page.items], page.cursor)

    def call(cursor: str | None) -> Call:
        return backend.list_runs(thread_id, cursor, limit)

    return map(_timed, _pages(backend, call, read, deadline))


def busy_threads(backend: Backend, *, deadline: float | None = None) -> Iterator[Flow[list[str]]]:
    """Yield a flow for each page of the threads that have active runs, as ``list_runs`` does.

    :param deadline: when to stop trying, in epoch seconds; by default after each call's own budget.
    :raises RunsConfigError: by a flow, if the API cannot list threads.
    :raises RunsError: by a flow, if there is no usable answer.
    """
    return _pages(backend, backend.busy_threads, backend.read_threads, deadline)


def _pages(
    backend: Backend,
    call: Callable[[str | None], Call],
    read: Callable[[object, str | None], Page[T]],
    deadline: float | None,
) -> Iterator[Flow[list[T]]]:
    cursor: str | None = None
    seen: set[str | None] = set()

    def page() -> Flow[list[T]]:
        nonlocal cursor
        asked = cursor
        seen.add(asked)
        flow = _perform(
            backend, lambda: _one(call(asked), lambda a: read(a.body(), asked)), deadline
        )
        page = yield from _or_missing(backend, flow, deadline)
        cursor = page.cursor
        return page.items

    yield page()
    while cursor is not None and cursor not in seen:  # some server might turn in circles
        yield page()


def probe(backend: Backend) -> Flow[None]:
    """Make the cheap call that needs a good key.

    :raises RunsError: if it fails.
    """
    yield from _perform(backend, lambda: _one(backend.probe(), lambda _: None), None)


def cancel_run(
    backend: Backend, ref: RunRef, *, action: str | None = None, deadline: float | None = None
) -> Flow[Run]:
    """Ask for a run to be cancelled, and return it as it is then: often still ``cancelling``.

    Servers differ in how they refuse to cancel a run that needs no cancelling, so what they say
    is not read: the run is fetched, and its status decides.

    :param action: how to cancel, where the API has several ways; by default the connection's.
    :param deadline: when to stop trying, in epoch seconds; by default after the call's own budget.
    :raises CancelRefused: if the server refused and the run is still active.
    :raises RunsError: if there is no usable answer.
    """
    action = backend.cancel_action(action)
    if action != ROLLBACK:
        return (yield from _cancel(backend, ref, action, deadline))
    # Once it has been seen, its absence is the end that was asked for.
    seen = yield from get_run(backend, ref, deadline=deadline)
    if seen.is_final:
        return seen
    try:
        return (yield from _cancel(backend, ref, action, deadline))
    except RunNotFound:
        return rolled_back(seen)
    except RunsError as error:
        raise error.replacing(run=error.run or seen.to_json()) from error.__cause__


def rolled_back(seen: Run) -> Run:
    """Return a run that was deleted, as was asked for: cancelled.

    :param seen: the run when it was seen last.
    """
    return seen.model_copy(update={"status": RunStatus.CANCELLED, "raw_status": "rolled back"})


def _cancel(backend: Backend, ref: RunRef, action: str | None, deadline: float | None) -> Flow[Run]:
    try:
        run = yield from _perform(backend, lambda: backend.cancel_run(ref, action), deadline)
    except RunsAPIError as refusal:
        if refusal.status_code not in CANCEL_REFUSED or isinstance(refusal, RunsServiceGone):
            raise
        run = yield from get_run(backend, ref, deadline=deadline)
        if run.is_final or run.status is RunStatus.CANCELLING:
            metrics.count("cancels.accepted")
            return run
        metrics.count("cancels.refused")
        raise failures.explain_refusal(refusal, run) from refusal
    metrics.count("cancels.accepted")
    # Some servers accept without sending the run along, and some send another.
    same = run is not None and run.id == ref.run_id
    return run if run and same else (yield from get_run(backend, ref, deadline=deadline))


R = TypeVar("R", Run, Glimpse)


def _same(exchange: Exchange[R], ref: RunRef) -> Exchange[R]:
    """Return what an exchange finds, if it is the run that was asked for.

    :raises ValueError: if it is not: another's end would be reported as this one's.
    """
    run = yield from exchange
    if run.id != ref.run_id:
        raise ValueError("it is another object")
    return run


def _one(call: Call, read: Callable[[Answer], T]) -> Exchange[T]:
    """Make one call, and read its answer."""
    return read((yield call))


def _or_missing(backend: Backend, flow: Flow[T], deadline: float | None) -> Flow[T]:
    """Tell a missing run from a wrong base URL also where the body of a 404 does not.

    :raises RunNotFound: if the server does serve this API.
    """
    try:
        return (yield from flow)
    except RunsAPIError as error:
        landmark = backend.landmark()
        if error.status_code != 404 or type(error) is not RunsAPIError or landmark is None:
            raise
        try:
            yield from _perform(backend, lambda: _one(landmark, Answer.body), deadline)
        except RunsError:
            raise error from None
        words = "It does serve this API: so the run or the thread is what it does not know."
        raise RunNotFound(**error.adding(words).fields()) from None


def _perform(backend: Backend, begin: Callable[[], Exchange[T]], deadline: float | None) -> Flow[T]:
    """Make the calls of an exchange until all have usable answers.

    One that fails in a way that may pass is begun anew, until its retries are used up or its time
    is over.

    :param begin: begins the exchange.
    :param deadline: when to stop trying, in epoch seconds; by default after the call's own budget.
    :raises RunsError: if there is no usable answer.
    """
    retries = backend.options.max_retries
    until = time.time() + backend.settings.call_budget if deadline is None else deadline
    for attempt in range(retries + 1):
        exchange, may_begin_anew = begin(), True
        call = next(exchange)
        try:
            while True:
                answer = yield from _answer(backend, call, until)
                may_begin_anew &= call.repeatable  # what has had its effect is not done twice
                try:
                    call = exchange.send(answer)
                except StopIteration as end:
                    return end.value  # type: ignore[no-any-return]  # the exchange's own type
                except ValueError as error:
                    if isinstance(error, RunsError):
                        raise
                    # Not chained: pydantic's errors show the input; a server may echo the key.
                    raise failures.not_understood(backend, call, answer, error) from None
        except RunsError as error:
            metrics.count(f"errors.{type(error).__name__}")
            delay = error.retry_after
            if delay is None:
                # Full jitter: callers that failed together do not come back together.
                delay = random.uniform(0, min(MAX_BACKOFF, FIRST_BACKOFF * 2**attempt))  # noqa: S311
            again = may_begin_anew and _again(call, error) and attempt < retries
            if not again or time.time() + delay >= until:
                raise
        yield Sleep(delay)
    raise AssertionError  # pragma: no cover - the last attempt returns or raises


def _again(call: Call, error: RunsError) -> bool:
    """Whether a call that failed is to be made again."""
    if error.status_code in call.judged:
        return False
    if not call.repeatable:
        # What was refused for its haste has had no effect.
        return error.transient and (error.status_code == 429 or failures.was_not_sent(error))
    return error.transient if error.should_retry is None else error.should_retry


def _answer(backend: Backend, call: Call, until: float) -> Flow[Answer]:
    """Send a call once.

    :raises RunsError: if no answer comes, or it says something against the call.
    """
    until = max(until, time.time() + LAST_LOOK)
    try:
        answer = yield Send(_request(backend, call, until), until, backend.credential)
    except httpx.RequestError as error:
        raise failures.no_answer(backend, call, error) from error
    assert isinstance(answer, Answer)  # noqa: S101 - what a driver sends back for a Send
    if refusal := backend.judge(call, answer):
        if refusal.status == 429:
            metrics.count("rate_limited")
        raise failures.refused(backend, call, answer, refusal)
    return answer


def _request(backend: Backend, call: Call, until: float) -> httpx.Request:
    seconds = min(backend.options.timeout, until - time.time())
    params = {**backend.params(), **call.params}
    return httpx.Request(
        call.method,
        _url(backend.settings.base_url + call.path, tuple(params.items())),
        json=call.json,
        headers=backend.sent_headers,
        extensions={"timeout": dict.fromkeys(("connect", "read", "write", "pool"), seconds)},
    )


@lru_cache(maxsize=10_000)  # a run is looked at again and again, and to parse takes its time
def _url(text: str, params: tuple[tuple[str, str | int], ...]) -> httpx.URL:
    return httpx.URL(text).copy_merge_params(dict(params)) if params else httpx.URL(text)


def _timed(flow: Flow[T]) -> Flow[T]:
    """Count a look at runs."""
    begun = time.monotonic()
    try:
        return (yield from flow)
    finally:
        metrics.count("polls")
        metrics.took("poll_seconds", time.monotonic() - begun)
