"""The lists: each page is a flow, and a record that cannot be read hides no other."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from airflow_provider_runs.backends.wire import MAX_PAGES, PAGE_SIZE, Answer, Page
from airflow_provider_runs.flows import failures
from airflow_provider_runs.flows.calls import (
    explain_404,
    make_call,
    measure_poll,
    perform,
    until_of,
)
from airflow_provider_runs.models import Glimpse, Run
from airflow_provider_runs.plain_json import one_line
from airflow_provider_runs.run_ref import id_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from airflow_provider_runs.backends import Backend
    from airflow_provider_runs.backends.wire import Call
    from airflow_provider_runs.flows.steps import Flow

__all__ = ["Skipped", "busy_threads", "glimpse_runs", "list_runs"]

S = TypeVar("S")
T = TypeVar("T")

log = logging.getLogger(__name__)

#: Characters that are shown of the id of a record that cannot be read.
SHOWN_ID = 200
#: Seconds for all pages of a list if there is no deadline, and items of a page, where a server
#: gives more than it was asked for.
LIST_BUDGET, MAX_ITEMS = 600.0, 1000
#: Characters of what asks for the next page.
_MAX_CURSOR = 2000


def list_runs(
    backend: Backend,
    thread_id: str,
    *,
    deadline: float | None = None,
    skipped: Callable[[Skipped], None] | None = None,
) -> Iterator[Flow[list[Run]]]:
    """Yield a flow for each page of a thread's runs. Drive each one before you take the next.

    A record that cannot be read is skipped, and a line is logged for its page.

    :param deadline: when to stop trying, in epoch seconds; by default after each call's own budget.
    :param skipped: gets each record that is skipped, too.
    :raises RunsError: from a flow, if there is no usable answer.
    """
    thread_id = id_text(thread_id)

    def read(answer: Answer, cursor: str | None) -> Page[Run]:
        page = backend.read_page(answer.body(), cursor)
        runs, odd = _readable(page.items, backend.read_run, backend.id_field)
        _tell(odd, page, f"in the runs of thread {thread_id!r}", skipped)
        return Page(runs, page.cursor)

    def call(cursor: str | None) -> Call:
        return backend.list_runs(thread_id, cursor)

    yield from _pages(backend, call, read, lambda run: run.id, deadline)


def glimpse_runs(
    backend: Backend, thread_id: str, limit: int, *, deadline: float | None = None
) -> Iterator[Flow[list[Glimpse]]]:
    """Do what ``list_runs`` does, but read only the status of each run, and log no odd record.

    :param limit: how many runs a page has.
    :param deadline: when to stop trying, in epoch seconds; by default after each call's own budget.
    :raises RunsError: from a flow, if there is no usable answer.
    """
    thread_id = id_text(thread_id)

    def read(answer: Answer, cursor: str | None) -> Page[Glimpse]:
        page = backend.read_page(answer.body(), cursor, limit)
        runs, _ = _readable(page.items, backend.glimpse, backend.id_field)
        if answer.is_heavy:  # it is not an event loop that reads them now
            runs, _ = _readable(runs, Glimpse.with_run, backend.id_field)
        return Page(runs, page.cursor)

    def call(cursor: str | None) -> Call:
        return backend.list_runs(thread_id, cursor, limit)

    pages = _pages(backend, call, read, lambda run: run.id, deadline)
    return map(measure_poll, pages)


def busy_threads(
    backend: Backend,
    *,
    deadline: float | None = None,
    skipped: Callable[[Skipped], None] | None = None,
) -> Iterator[Flow[list[str]]]:
    """Yield a flow for each page of the threads that have active runs, as ``list_runs`` does.

    :param deadline: when to stop trying, in epoch seconds; by default after each call's own budget.
    :param skipped: gets each record that is skipped, too.
    :raises RunsConfigError: from a flow, if the API cannot list threads.
    :raises RunsError: from a flow, if there is no usable answer.
    """

    def read(answer: Answer, cursor: str | None) -> Page[str]:
        page = backend.read_threads(answer.body(), cursor)
        threads, odd = _readable(page.items, backend.read_thread, "thread_id")
        _tell(odd, page, "in the list of busy threads", skipped)
        return Page(threads, page.cursor)

    return _pages(backend, backend.busy_threads, read, lambda thread: thread, deadline)


class Skipped(NamedTuple):
    """A record of a list that cannot be read.

    :param id: its id, if it has one.
    :param why: what it does not have, or what else is wrong with it.
    """

    id: str | None
    why: str


def _readable(
    items: Sequence[S], read: Callable[[S], T], id_field: str
) -> tuple[list[T], list[Skipped]]:
    """Return the items that can be read, and the others: one must not hide the rest."""
    good: list[T] = []
    odd: list[Skipped] = []
    for item in items:
        try:
            good.append(read(item))
        except Exception as error:  # noqa: BLE001 - whatever it is, it is about one record
            name = id_text(item.get(id_field)) if isinstance(item, dict) else None
            shown = one_line(name, SHOWN_ID) if isinstance(name, str) and name else None
            odd.append(Skipped(shown, failures.expectation(error)))
    return good, odd


def _tell(
    odd: list[Skipped], page: Page[object], where: str, skipped: Callable[[Skipped], None] | None
) -> None:
    """Log once that records of a page cannot be read."""
    if not odd:
        return
    first = odd[0]
    log.warning(
        "%d of %d records %s cannot be read, and are skipped. The first: %s (id %r)",
        *(len(odd), len(page.items), where, first.why, first.id),
    )
    if skipped:
        for each in odd:
            skipped(each)


def _pages(
    backend: Backend,
    call: Callable[[str | None], Call],
    read: Callable[[Answer, str | None], Page[T]],
    name: Callable[[T], str],
    deadline: float | None,
) -> Iterator[Flow[list[T]]]:
    """Yield a flow for each page of a list, until a page brings nothing new.

    :param call: makes the call for a page.
    :param read: reads a page.
    :param name: returns what is the same of items that are the same.
    :param deadline: when to stop trying, in epoch seconds.
    """
    cursor: str | None = None
    cursors: set[str | None] = set()
    listed: set[str] = set()
    left = LIST_BUDGET  # of the time for requests, not of what is done between them

    def page() -> Flow[list[T]]:
        nonlocal cursor, left
        asked, begun = cursor, time.time()
        if len(cursors) >= MAX_PAGES:
            raise failures.endless(backend, call(asked), MAX_PAGES)
        cursors.add(asked)
        until = min(until_of(backend, None), begun + left) if deadline is None else deadline

        def read_checked(answer: Answer) -> Page[T]:
            return _checked(read(answer, asked))

        flow = perform(backend, lambda: make_call(call(asked), read_checked), until)
        page = yield from explain_404(backend, flow, until)
        left -= time.time() - begun
        # If a server counts from the newest run, one that starts meanwhile shifts the pages.
        fresh = {name(item): item for item in page.items if name(item) not in listed}
        listed.update(fresh)
        cursor = page.cursor if fresh or not page.items else None
        return list(fresh.values())

    yield page()
    while cursor is not None and cursor not in cursors:  # a server's cursors might form a loop
        yield page()


def _checked(page: Page[T]) -> Page[T]:
    """Return a page, if it is one, and what asks for the next one can be sent.

    :raises ValueError: if it holds far more than was asked for, or no URL can carry the cursor.
    """
    if len(page.items) > MAX_ITEMS:
        raise ValueError(f"it holds more than {MAX_ITEMS} items, of which {PAGE_SIZE} are a page")
    cursor = page.cursor
    if cursor is not None and (len(cursor) > _MAX_CURSOR or not cursor.isprintable()):
        raise ValueError("what asks for its next page is no id")
    return page
