"""What a wire dialect must tell: how a call is built and what its answer means. No I/O here."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

import httpx

from airflow_provider_runs._version import __version__
from airflow_provider_runs.backends.wire import PAGE_SIZE, Call, Page, Refusal, segment
from airflow_provider_runs.errors import RunsConfigError
from airflow_provider_runs.models import Glimpse, Run, RunStatus
from airflow_provider_runs.plain_json import whole_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_runs.backends.credentials import EntraID
    from airflow_provider_runs.backends.wire import Answer, Exchange
    from airflow_provider_runs.connections.fields import ConnectionOptions
    from airflow_provider_runs.connections.forms import ConnectionForm
    from airflow_provider_runs.connections.settings import Settings
    from airflow_provider_runs.models import RunRef
    from airflow_provider_runs.plain_json import JsonObject

__all__ = ["Backend"]


class Backend(ABC):
    """One wire dialect with one connection's settings. Subclasses say what is their own.

    A look, a fetch and a cancel are exchanges: one call each by default, more where an API needs
    more. All else is a single call.

    :param settings: the connection's settings, with the options of this backend's form.
    :raises RunsConfigError: if the settings contradict each other.
    """

    form: ClassVar[ConnectionForm]
    #: Where a run's id is, and what its status is called here where that is not our word.
    id_field: ClassVar[str] = "id"
    statuses: ClassVar[Mapping[str, str]] = {}
    #: Why a run that was there a moment ago is not any more.
    vanished: ClassVar[str] = "so it was deleted in the meantime"

    options: ConnectionOptions

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.options = settings.options

    # -- what goes with every call ---------------------------------------------------------------

    @abstractmethod
    def headers(self) -> dict[str, str]:
        """Return the headers that this API asks for, the key among them."""

    def params(self) -> dict[str, str]:
        """Return the query of every call."""
        return {}

    @cached_property
    def credential(self) -> EntraID | None:
        """Whose token each request carries, where a key in a header does not do."""
        return None

    def all_headers(self) -> dict[str, str]:
        """Return the headers of every call; the connection's extra ones win over ours."""
        extra = self.options.headers
        overridden = {name.lower() for name in extra}  # whatever their spelling
        agent = f"airflow-provider-runs/{__version__}"
        own = {"Accept": "application/json", "User-Agent": agent, **self.headers()}
        return {**{k: v for k, v in own.items() if k.lower() not in overridden}, **extra}

    @cached_property
    def sent_headers(self) -> httpx.Headers:
        """The same, ready to be sent."""
        return httpx.Headers(self.all_headers())

    # -- exchanges -------------------------------------------------------------------------------

    def fetch_run(self, ref: RunRef) -> Exchange[Run]:
        """Fetch a run.

        :raises RunsConfigError: if an id cannot be part of a path.
        :raises ValueError: if an answer holds no run.
        """
        answer = yield self.get(ref)
        return self.read_run(answer.body())

    def look_at_run(self, ref: RunRef) -> Exchange[Glimpse]:
        """Fetch what a look at a run has to know.

        :raises RunsConfigError: if an id cannot be part of a path.
        :raises ValueError: if an answer holds no run.
        """
        answer = yield self.get(ref)
        seen = self.glimpse(answer.body())
        wanted = answer.number("openai-poll-after-ms")
        return replace(seen, poll_after=wanted / 1000) if wanted else seen

    def cancel_run(self, ref: RunRef, action: str | None = None) -> Exchange[Run | None]:
        """Ask for a run to be cancelled.

        :param action: as ``cancel_action`` gave it.
        :return: the run, if the server sends it along.
        :raises RunsConfigError: if an id cannot be part of a path.
        """
        answer = yield self.cancel(ref, action)
        try:
            return self.read_cancel(answer.body())
        except ValueError:
            return None

    # -- calls -----------------------------------------------------------------------------------

    @abstractmethod
    def get(self, ref: RunRef) -> Call:
        """Return the call that fetches a run.

        :raises RunsConfigError: if an id cannot be part of a path.
        """

    @abstractmethod
    def cancel(self, ref: RunRef, action: str | None = None) -> Call:
        """Return the call that asks for a run to be cancelled.

        :param action: as ``cancel_action`` gave it.
        :raises RunsConfigError: if an id cannot be part of a path.
        """

    def cancel_action(self, wanted: str | None) -> str | None:
        """Return how runs are cancelled: as wanted, else as the connection says.

        :param wanted: one of the API's cancel actions, if it has any.
        :raises RunsConfigError: if it has none of that name.
        """
        if wanted is not None:
            raise self._config_error(
                f"There is no cancel_action {wanted!r}: this API cancels in one way; leave it out"
            )
        return None

    @abstractmethod
    def list_runs(self, thread_id: str, cursor: str | None, limit: int = PAGE_SIZE) -> Call:
        """Return the call that fetches a page of a thread's runs, newest first.

        :param cursor: of the page before; ``None`` for the first one.
        :param limit: how many runs, up to a hundred.
        :raises RunsConfigError: if the id cannot be part of a path, or the API lists no runs.
        """

    def busy_threads(self, cursor: str | None) -> Call:
        """Return the call that fetches a page of the threads that have active runs.

        :param cursor: of the page before; ``None`` for the first one.
        :raises RunsConfigError: if the API cannot list threads.
        """
        raise self._config_error("This API cannot list threads; name them in thread_ids")

    @abstractmethod
    def probe(self) -> Call:
        """Return a cheap call that succeeds only with a good key."""

    def landmark(self) -> Call | None:
        """Return a call that succeeds wherever this API is served, if there is one.

        It tells a run that is missing from a wrong base URL, where the body of a 404 does not.
        """
        return None

    # -- answers ---------------------------------------------------------------------------------

    def judge(self, call: Call, answer: Answer) -> Refusal | None:
        """Return what a whole answer says against its call; ``None`` if it says nothing.

        By default its HTTP status decides.
        """
        if 200 <= answer.status_code < 300:
            return None
        try:
            body = answer.body()
        except ValueError:
            body = None
        words, code = self.read_error(body)
        return Refusal(answer.status_code, words, code, is_ours=self.knows_route(body))

    @abstractmethod
    def read_error(self, body: object) -> tuple[str, str]:
        """Return the server's words for an error and its code; empty where there are none."""

    @abstractmethod
    def knows_route(self, body: object) -> bool:
        """Return whether a 404 came from this API, not from a server that has no such path.

        A wrong base URL must never look like a run that does not exist.

        :param body: the decoded body; ``None`` if it is no JSON.
        """

    def status_of(self, word: str) -> RunStatus:
        """Return the status that a word of this API means."""
        return RunStatus.of(self.statuses.get(word, word))

    def read_run(self, body: object) -> Run:
        """Return the run in the body of an answer.

        :raises ValueError: if there is none (pydantic's ``ValidationError`` is one).
        """
        fields = self.run_fields(body) if isinstance(body, dict) else None
        if fields is None:
            raise ValueError("it is no run")
        word = fields.get("status")
        status = self.status_of(word) if isinstance(word, str) else word
        return Run.model_validate({**fields, "status": status, "raw_status": word})

    def run_fields(self, body: JsonObject) -> JsonObject:
        """Return a run's fields under the names that ``Run`` has for them."""
        return body

    def read_cancel(self, body: object) -> Run | None:
        """Return the run in the answer to a cancel; ``None`` where it has to be fetched.

        :raises ValueError: if there is none.
        """
        return self.read_run(body)

    def glimpse(self, body: object) -> Glimpse:
        """Return what a look at a run has to know, without reading all of it.

        :raises ValueError: if there is no run in the body.
        """
        found = body if isinstance(body, dict) else {}
        word, run_id = found.get("status"), found.get(self.id_field)
        if not isinstance(word, str) or not isinstance(run_id, str):
            raise ValueError("it is no run")  # noqa: TRY004 - the content is wrong, not a type
        word = whole_text(word)
        return Glimpse(run_id, self.status_of(word), word, lambda: self.read_run(body))

    @abstractmethod
    def read_page(self, body: object, cursor: str | None, limit: int = PAGE_SIZE) -> Page[object]:
        """Return the page in the body of an answer, its runs as they came.

        :param cursor: that the page was asked for with.
        :param limit: that the page was asked for with.
        :raises ValueError: if there is none.
        """

    def read_threads(self, body: object, cursor: str | None) -> Page[str]:
        """Return the page of thread ids in the body of an answer to ``busy_threads``.

        :param cursor: that the page was asked for with.
        :raises ValueError: if there is none.
        """
        raise ValueError("this API lists no threads")

    def is_gone(self) -> bool:
        """Return whether the host is known to have stopped serving this API."""
        return False

    # -- inside ----------------------------------------------------------------------------------

    def _segment(self, name: str, value: object, ref: RunRef | None = None) -> str:
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
