"""What a wire dialect must tell: how a call is built and what its answer means. No I/O here."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import quote

from airflow_provider_runs import __version__
from airflow_provider_runs.errors import RunsConfigError
from airflow_provider_runs.models import Run, RunRef

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_runs.forms import ConnectionForm
    from airflow_provider_runs.settings import Settings

__all__ = ["Backend", "Call", "Page", "segment"]


@dataclass(frozen=True, slots=True)
class Call:
    """One HTTP call to make.

    :param what: what it does, for people: "get run 'run_1'".
    :param method: the HTTP method.
    :param path: appended to the base URL; its parts are percent-encoded already.
    :param ref: the run it is about, if it is about one.
    :param params: its query.
    :param has_ids: whether it names a thread or a run, so that a 404 may mean that it is missing.
    :param judged: error statuses that are an answer to be judged, not sent again: a cancel that is
        answered 409 may mean that the run has ended.
    """

    what: str
    method: str
    path: str
    ref: RunRef | None = None
    params: Mapping[str, str | int] = field(default_factory=dict)
    has_ids: bool = True
    judged: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a list of runs; ``cursor`` asks for the next one, ``None`` after the last."""

    runs: list[Run]
    cursor: str | None


class Backend:
    """One wire dialect with one connection's settings. Subclasses say what is their own.

    :param settings: the connection's settings.
    """

    form: ClassVar[ConnectionForm]

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

    def params(self) -> dict[str, str]:
        """Return the query of every call."""
        return {}

    def get(self, ref: RunRef) -> Call:
        """Return the call that fetches a run.

        :raises RunsConfigError: if an id cannot be part of a path.
        """
        raise NotImplementedError

    def cancel(self, ref: RunRef) -> Call:
        """Return the call that asks for a run to be cancelled.

        :raises RunsConfigError: if an id cannot be part of a path.
        """
        raise NotImplementedError

    def list_runs(self, thread_id: str, cursor: str | None) -> Call:
        """Return the call that fetches a page of a thread's runs, newest first.

        :param cursor: of the page before; ``None`` for the first one.
        :raises RunsConfigError: if the id cannot be part of a path.
        """
        raise NotImplementedError

    def probe(self) -> Call:
        """Return a cheap call that succeeds only with a good key."""
        raise NotImplementedError

    def read_run(self, body: Any) -> Run:
        """Return the run in the body of an answer.

        :raises ValueError: if there is none (pydantic's ``ValidationError`` is one).
        """
        return Run.model_validate(body)

    def read_page(self, body: Any) -> Page:
        """Return the page of runs in the body of an answer.

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
            raise RunsConfigError(
                f"{error}. Nothing was sent on connection {self.settings.conn_id!r}.",
                conn_id=self.settings.conn_id,
                run_id=ref.run_id if ref else None,
                thread_id=ref.thread_id if ref else None,
            ) from None


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
