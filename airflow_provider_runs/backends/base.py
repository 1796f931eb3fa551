"""What a wire dialect must tell: how a call is built and what its answer means. No I/O here."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar
from urllib.parse import quote

import httpx

from airflow_provider_runs import __version__
from airflow_provider_runs.errors import RunsConfigError
from airflow_provider_runs.models import Glimpse, Run, RunRef, RunStatus
from airflow_provider_runs.text import whole_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_runs.backends.credentials import EntraID
    from airflow_provider_runs.connections.forms import ConnectionForm
    from airflow_provider_runs.connections.settings import Settings

__all__ = ["PAGE_SIZE", "ROLLBACK", "Backend", "Call", "Page", "segment"]


@dataclass(frozen=True, slots=True)
class Call:
    """One HTTP call to make.

    :param what: what it does, for people: "get run 'run_1'".
    :param method: the HTTP method.
    :param path: appended to the base URL; its parts are percent-encoded already.
    :param ref: the run it is about, if it is about one.
    :param params: its query.
    :param json: its body, if it has one.
    :param has_ids: whether it names a thread or a run, so that a 404 may mean that it is missing.
    :param judged: error statuses that are an answer to be judged, not sent again: a cancel that is
        answered 409 may mean that the run has ended.
    """

    what: str
    method: str
    path: str
    ref: RunRef | None = None
    params: Mapping[str, str | int] = field(default_factory=dict)
    json: Mapping[str, Any] | None = None
    has_ids: bool = True
    judged: frozenset[int] = frozenset()


Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Page(Generic[Item]):
    """One page of a list; ``cursor`` asks for the next one, ``None`` after the last."""

    items: list[Item]
    cursor: str | None


#: Runs, or threads, that a page holds at most.
PAGE_SIZE = 100
#: The cancel action that deletes the run: then its absence is the end that was asked for.
ROLLBACK = "rollback"


class Backend:
    """One wire dialect with one connection's settings. Subclasses say what is their own.

    :param settings: the connection's settings.
    :raises RunsConfigError: if the settings contradict each other.
    """

    form: ClassVar[ConnectionForm]
    #: Where a run's id is, and what its status is called here where that is not our word.
    id_field: ClassVar[str] = "id"
    statuses: ClassVar[Mapping[str, str]] = {}
    #: Why a run that was there a moment ago is not any more.
    vanished: ClassVar[str] = "so it was deleted in the meantime"

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def headers(self) -> dict[str, str]:
        """Return the headers that this API asks for, the key among them."""
        raise NotImplementedError

    def all_headers(self) -> dict[str, str]:
        """Return the headers of every call; the connection's extra ones win over ours."""
        extra = self.settings.headers
        overridden = {name.lower() for name in extra}  # whatever their spelling
        agent = f"airflow-provider-runs/{__version__}"
        own = {"Accept": "application/json", "User-Agent": agent, **self.headers()}
        return {**{k: v for k, v in own.items() if k.lower() not in overridden}, **extra}

    @cached_property
    def sent_headers(self) -> httpx.Headers:
        """The same, ready to be sent."""
        return httpx.Headers(self.all_headers())

    @cached_property
    def credential(self) -> EntraID | None:
        """Whose token each request carries, where a key in a header does not do."""
        return None

    def params(self) -> dict[str, str]:
        """Return the query of every call."""
        return {}

    def get(self, ref: RunRef) -> Call:
        """Return the call that fetches a run.

        :raises RunsConfigError: if an id cannot be part of a path.
        """
        raise NotImplementedError

    def cancel_action(self, wanted: str | None) -> str | None:
        """Return how runs are cancelled: as wanted, else as the connection says.

        :param wanted: one of the API's cancel actions, if it has any.
        :raises RunsConfigError: if it has none of that name.
        """
        if wanted is not None:
            raise self._config_error(
                f"cancel_action {wanted!r} is nothing that this API has; leave it out"
            )
        return None

    def cancel(self, ref: RunRef, action: str | None = None) -> Call:
        """Return the call that asks for a run to be cancelled.

        :param action: as ``cancel_action`` gave it.
        :raises RunsConfigError: if an id cannot be part of a path.
        """
        raise NotImplementedError

    def list_runs(self, thread_id: str, cursor: str | None, limit: int = PAGE_SIZE) -> Call:
        """Return the call that fetches a page of a thread's runs, newest first.

        :param cursor: of the page before; ``None`` for the first one.
        :param limit: how many runs, up to a hundred.
        :raises RunsConfigError: if the id cannot be part of a path.
        """
        raise NotImplementedError

    def busy_threads(self, cursor: str | None) -> Call:
        """Return the call that fetches a page of the threads that have active runs.

        :param cursor: of the page before; ``None`` for the first one.
        :raises RunsConfigError: if the API cannot list threads.
        """
        raise self._config_error("this API cannot list threads; name them in thread_ids")

    def probe(self) -> Call:
        """Return a cheap call that succeeds only with a good key."""
        raise NotImplementedError

    def landmark(self) -> Call | None:
        """Return a call that succeeds wherever this API is served, if there is one.

        It tells a run that is missing from a wrong base URL, where the body of a 404 does not.
        """
        return None

    def read_run(self, body: Any) -> Run:
        """Return the run in the body of an answer.

        :raises ValueError: if there is none (pydantic's ``ValidationError`` is one).
        """
        return Run.model_validate(body)

    def read_cancel(self, body: Any) -> Run | None:
        """Return the run in the answer to a cancel; ``None`` where it has to be fetched.

        :raises ValueError: if there is none.
        """
        return self.read_run(body)

    def glimpse(self, body: Any) -> Glimpse:
        """Return what a look at a run has to know, without reading all of it.

        :raises ValueError: if there is no run in the body.
        """
        found = body if isinstance(body, dict) else {}
        word, run_id = found.get("status"), found.get(self.id_field)
        if not isinstance(word, str) or not isinstance(run_id, str):
            raise ValueError("it is no run")  # noqa: TRY004 - the content is wrong, not a type
        word = whole_text(word)
        status = RunStatus.of(self.statuses.get(word, word))
        return Glimpse(run_id, status, word, lambda: self.read_run(body))

    def read_page(self, body: Any, cursor: str | None, limit: int = PAGE_SIZE) -> Page[Any]:
        """Return the page in the body of an answer, its runs as they came.

        :param cursor: that the page was asked for with.
        :param limit: that the page was asked for with.
        :raises ValueError: if there is none.
        """
        raise NotImplementedError

    def read_threads(self, body: Any, cursor: str | None) -> Page[str]:
        """Return the page of thread ids in the body of an answer.

        :param cursor: that the page was asked for with.
        :raises ValueError: if there is none.
        """
        raise NotImplementedError

    def read_error(self, body: Any) -> tuple[str, str]:
        """Return the server's words for an error and its code; empty where there are none."""
        raise NotImplementedError

    def knows_route(self, body: Any) -> bool:
        """Return whether a 404 came from this API, not from a server that has no such path.

        A wrong base URL must never look like a run that does not exist.

        :param body: the decoded body; ``None`` if it is no JSON.
        """
        raise NotImplementedError

    def is_gone(self) -> bool:
        """Return whether the host is known to have stopped serving this API."""
        return False

    def _segment(self, name: str, value: Any, ref: RunRef | None = None) -> str:
        try:
            return segment(name, value)
        except ValueError as error:
            raise self._config_error(str(error), ref) from None

    def _config_error(self, problem: str, ref: RunRef | None = None) -> RunsConfigError:
        return RunsConfigError(
            f"{problem}. Nothing was sent on connection {self.settings.conn_id!r} "
            f"({self.form.label}).",
            conn_id=self.settings.conn_id,
            run_id=ref.run_id if ref else None,
            thread_id=ref.thread_id if ref else None,
        )


def segment(name: str, value: Any) -> str:
    """Return an id, percent-encoded to be one segment of a path.

    :param name: what the id is, for the error: ``run_id``.
    :param value: the id.
    :raises ValueError: if it is empty, is no text, or could reach another path than it names.
    """
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"{name} is empty ({value!r}): check the task that should have given it")
    if value == "None":
        raise ValueError(f"{name} is 'None', a template's nothing: check the task that gives it")
    bad = sorted({c for c in value if c in "/\\?#" or not c.isprintable()})
    if bad:
        raise ValueError(f"{name} {value!r} cannot be an id: it holds {', '.join(map(repr, bad))}")
    if value == "." or ".." in value:
        raise ValueError(f"{name} {value!r} cannot be an id: it is a step to another path")
    return quote(value, safe="")
