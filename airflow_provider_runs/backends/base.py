"""What a wire dialect defines: how calls are built and what their answers mean. No I/O here."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import httpx

from airflow_provider_runs._version import __version__
from airflow_provider_runs.backends.refusals import read_refusal, read_text
from airflow_provider_runs.backends.wire import (
    MAX_ID,
    MAX_PAGES,
    PAGE_SIZE,
    Call,
    Page,
    Refusal,
    segment,
)
from airflow_provider_runs.connections.fields import read_statuses
from airflow_provider_runs.connections.settings import unusable
from airflow_provider_runs.errors import RunsConfigError, located
from airflow_provider_runs.models import LONGEST, Glimpse, Run, RunStatus
from airflow_provider_runs.plain_json import printable, short_json
from airflow_provider_runs.run_ref import RunRef, id_text, same_id
from airflow_provider_runs.status import FINAL, USUAL_WORDS, same_spelling

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_runs.backends.credentials import EntraID
    from airflow_provider_runs.backends.starts import Start
    from airflow_provider_runs.backends.wire import Answer, Exchange
    from airflow_provider_runs.connections.fields import ConnectionOptions
    from airflow_provider_runs.connections.forms import ConnectionForm
    from airflow_provider_runs.connections.settings import Settings
    from airflow_provider_runs.plain_json import JsonObject

__all__ = ["Backend"]

#: The longest pause before the next poll that a server can ask for, in seconds.
MAX_POLL_AFTER = 60.0


class Backend(ABC):
    """One wire dialect with the settings of one connection. Subclasses define what differs.

    Polling, fetching and cancelling a run are exchanges: one call each by default, more where an
    API needs more. Everything else is a single call.

    :param settings: the connection's settings, with the options of this backend's form.
    :raises RunsConfigError: if the settings contradict each other.
    """

    form: ClassVar[ConnectionForm]
    #: The field that holds a run's id, and the API's own statuses mapped onto those of ``Run``.
    id_field: ClassVar[str] = "id"
    statuses: ClassVar[Mapping[str, str]] = {}
    #: A run that cannot exist: what a server says of it shows whether it serves this API.
    no_run: ClassVar[RunRef]
    #: Whether this API's own 404 for a run reads like that of a router, so that only the landmark
    #: can tell them apart.
    vague_404: ClassVar[bool] = False
    #: Why a run that existed before no longer does; it continues "It was 'queued' before, …".
    vanished: ClassVar[str] = "so it was deleted in the meantime"

    options: ConnectionOptions

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.options = settings.options
        if problem := self.base_url_problem() or self._statuses_problem():
            raise unusable(settings.conn_id, problem)

    def base_url_problem(self) -> str | None:
        """Return why the base URL cannot be that of this API; ``None`` if it can.

        Only of hosts that are known for certain: behind a domain of its own, a gateway may serve
        anything anywhere.

        :return: what continues the sentence "Connection X …", with what to do.
        """
        return None

    # -- what goes with every call ---------------------------------------------------------------

    @abstractmethod
    def headers(self) -> dict[str, str]:
        """Return the headers that this API asks for, including the key."""

    def params(self) -> dict[str, str]:
        """Return the query parameters of every call."""
        return {}

    @cached_property
    def credential(self) -> EntraID | None:
        """The credential whose token each request carries; ``None`` if a header holds the key."""
        return None

    def all_headers(self) -> dict[str, str]:
        """Return the headers of every call; the connection's extra headers override the others."""
        extra = self.options.headers
        overridden = {name.lower() for name in extra}  # names of headers ignore case
        agent = f"airflow-provider-runs/{__version__}"
        own = {
            "Accept": "application/json",
            "Accept-Encoding": "identity",  # see transport.bodies
            "User-Agent": agent,
            **self.headers(),
        }
        return {**{k: v for k, v in own.items() if k.lower() not in overridden}, **extra}

    @cached_property
    def sent_headers(self) -> httpx.Headers:
        """The headers of every call, ready to be sent."""
        return httpx.Headers(self.all_headers())

    # -- exchanges -------------------------------------------------------------------------------

    def fetch_run(self, ref: RunRef) -> Exchange[Run]:
        """Fetch a run.

        :return: the run.
        :raises RunsConfigError: if an id cannot be part of a path.
        :raises ValueError: if the answer holds no run.
        """
        return self._read_own((yield self.get(ref)), ref)

    def look_at_run(self, ref: RunRef) -> Exchange[Glimpse]:
        """Poll a run.

        :return: its status, and what reads the rest.
        :raises RunsConfigError: if an id cannot be part of a path.
        :raises ValueError: if the answer holds no run.
        """
        answer = yield self.get(ref)
        body = answer.body()
        seen = self.glimpse(body)
        self._check_same(seen.id, body, ref)
        if answer.is_heavy:
            seen = seen.with_run()  # now, since it is not an event loop that reads it
        wanted = answer.number("openai-poll-after-ms")
        return replace(seen, poll_after=min(wanted / 1000, MAX_POLL_AFTER)) if wanted else seen

    def cancel_run(self, ref: RunRef, action: str | None = None) -> Exchange[Run | None]:
        """Ask the server to cancel a run.

        :param action: what ``cancel_action`` returned.
        :return: the run, if the answer holds it; ``None`` if it must be fetched instead.
        :raises RunsConfigError: if an id cannot be part of a path.
        :raises ValueError: if the answer is not one of this API's, so that nothing was accepted.
        """
        answer = yield self.cancel(ref, action)
        return self.read_cancel(answer, ref)

    def settle(self, ref: RunRef, run: Run, asked: bool) -> Exchange[Run]:
        """Find out, at the end of a wait, what only another call can tell about how a run ended.

        :param run: the run as it was seen last.
        :param asked: whether the wait has asked to cancel it.
        :return: the run, with what was found out. By default nothing is, and no call is made.
        """
        yield from ()
        return run

    # -- starting --------------------------------------------------------------------------------

    @abstractmethod
    def prepared(self, start: Start) -> Start:
        """Check a start, and make the body that is sent: the run must go on without its task.

        :param start: a start, which may have been prepared with another number.
        :return: the start, as the methods below want it.
        :raises RunsConfigError: if the body says the contrary; nothing was sent.
        """

    def place(self, start: Start) -> Exchange[Start]:
        """Return the start with the thread that its run will be on.

        Where the API has threads and none is given, one is made. It may be made twice, since an
        empty thread costs nothing.

        :param start: what ``prepared`` returned.
        :raises ValueError: if the answer holds no thread.
        """
        yield from ()
        return start

    @abstractmethod
    def start(self, start: Start) -> Exchange[Run]:
        """Start a run. Its call is ``repeatable`` only if that cannot start another one.

        :param start: what ``place`` returned.
        :return: the run.
        :raises RunsConfigError: if an id cannot be part of a path.
        :raises ValueError: if the answer holds no run, although one may have been started.
        """

    def may_start_again(self, start: Start) -> bool:
        """Return whether a start may be sent again after its answer was lost."""
        return False

    def finds(self, start: Start) -> bool:
        """Return whether the API can be asked for a run whose id is not known."""
        return True

    def has_own_place(self, start: Start) -> bool:
        """Return whether each run of the key has an id or a thread of its own, known beforehand.

        Then a search by number is needed for each.
        """
        return False

    @abstractmethod
    def find_started(self, start: Start) -> Exchange[Run | None]:
        """Search for the run that a start has brought about; the newest if there are several.

        :param start: what ``place`` returned.
        :return: the run; ``None`` if there is none.
        :raises RunsConfigError: if the API cannot be asked.
        :raises ValueError: if an answer, or the run in it, cannot be read.
        """

    @abstractmethod
    def output(self, ref: RunRef, run: Run) -> Exchange[Any]:
        """Return what a run has made, as this API gives it: decoded JSON.

        :param run: the run, which has ended.
        :raises RunsError: if the server no longer has it.
        :raises ValueError: if an answer cannot be read.
        """

    # -- calls -----------------------------------------------------------------------------------

    @abstractmethod
    def get(self, ref: RunRef) -> Call:
        """Return the call that fetches a run.

        :raises RunsConfigError: if an id cannot be part of a path.
        """

    @abstractmethod
    def cancel(self, ref: RunRef, action: str | None = None) -> Call:
        """Return the call that asks the server to cancel a run.

        :param action: what ``cancel_action`` returned.
        :raises RunsConfigError: if an id cannot be part of a path.
        """

    def cancel_action(self, wanted: str | None) -> str | None:
        """Return how runs are cancelled; ``None`` if the API has only one way.

        :param wanted: one of the API's cancel actions; ``None`` for the connection's.
        :raises RunsConfigError: if the API has no such action.
        """
        if wanted is not None:
            raise self._config_error(
                f"This API has no cancel_action {wanted!r}, as it has only one way to cancel; "
                "leave it out"
            )
        return None

    @abstractmethod
    def list_runs(self, thread_id: str, cursor: str | None, limit: int = PAGE_SIZE) -> Call:
        """Return the call that fetches a page of a thread's runs, newest first.

        :param cursor: the cursor that the page before holds; ``None`` for the first page.
        :param limit: how many runs to return, at most a hundred.
        :raises RunsConfigError: if the id cannot be part of a path, or the API cannot list runs.
        """

    def busy_threads(self, cursor: str | None) -> Call:
        """Return the call that fetches a page of the threads that have active runs.

        :param cursor: the cursor that the page before holds; ``None`` for the first page.
        :raises RunsConfigError: if the API cannot list threads.
        """
        raise self._config_error("This API cannot list threads; name them in thread_ids")

    @abstractmethod
    def probe(self) -> Call:
        """Return a cheap call that succeeds only with a valid key."""

    def landmark(self) -> Call | None:
        """Return a call that succeeds on every server of this API; ``None`` if there is none.

        It distinguishes a missing run from a wrong base URL where the body of a 404 does not.
        """
        return None

    def read_probe(self, answer: Answer) -> None:
        """Check that a good answer to ``probe`` comes from this API.

        :raises ValueError: if it does not.
        """
        body = answer.body()
        if not isinstance(body, dict) or not isinstance(body.get("data"), list):
            raise ValueError("it is not a list object, with its items in 'data'")  # noqa: TRY004 - the content is wrong, not a type

    def read_landmark(self, answer: Answer) -> None:
        """Check that an answer to ``landmark`` comes from this API.

        :raises ValueError: if it does not.
        """
        answer.body()

    # -- answers ---------------------------------------------------------------------------------

    def judge(self, call: Call, answer: Answer) -> Refusal | None:
        """Return why an answer refuses its call; ``None`` if it does not.

        By default the HTTP status decides.

        :param call: the call.
        :param answer: its complete answer.
        :raises ValueError: if the body is not what this API answers. The HTTP status decides then:
            it is an answer that cannot be understood, or a refusal without words.
        """
        if 200 <= answer.status_code < 300:
            return None
        try:
            said = read_refusal(answer.body())
        except ValueError:
            said = read_text(answer.content)
        ref = call.ref
        ids = (ref.run_id, ref.thread_id) if ref else (call.thread_id,)
        return Refusal(
            answer.status_code,
            said.words,
            said.code,
            said.codes,
            is_ours=said.is_api(ids),
            names_run=said.names_run(ids),
        )

    def status_of(self, word: str) -> RunStatus:
        """Return the status for a word of this API; an unknown word is not final.

        The connection's own words come first, then those of the API, then usual spellings.
        """
        known = self._known_statuses.get(word)
        if known is None:
            word = self._word(word)
            known = self._known_statuses.get(same_spelling(word), word)
        return RunStatus.of(known)

    def _raw(self, word: str, status: RunStatus) -> str:
        """Return the word for a status as the server spells it, as it may be shown."""
        if status.is_known and len(word) <= LONGEST and word.isprintable():
            return word
        return self._word(word)

    def _word(self, word: str) -> str:
        """Return a server's own word for a status as it may be shown."""
        return printable(self.settings.scrub(word), LONGEST)

    @cached_property
    def _known_statuses(self) -> Mapping[str, str]:
        own = read_statuses(self.options.final_statuses or "")
        return {**USUAL_WORDS, **self.statuses, **own}

    def _statuses_problem(self) -> str | None:
        """Return what is wrong with the connection's own words for the end of a run."""
        known = {**USUAL_WORDS, **self.statuses}
        for word in read_statuses(self.options.final_statuses or ""):
            if not RunStatus.of(known.get(word, FINAL[0])).is_final:
                return (
                    f"has a field 'final_statuses' with the word {word!r}, which this API has for "
                    "runs that have not ended; take it out"
                )
        return None

    def read_run(self, body: object) -> Run:
        """Return the run in the body of an answer.

        :param body: the decoded body, or an item of a list in it.
        :raises ValueError: if there is none (pydantic's ``ValidationError`` is a ``ValueError``).
        """
        fields = self.run_fields(body) if isinstance(body, dict) else None
        if fields is None:
            raise ValueError("it is not a run")
        word = fields.get("status")
        told = {"id": self._own_id(fields.get("id")), "status": word, "raw_status": word}
        if isinstance(word, str):
            told["status"] = status = self.status_of(word)
            told["raw_status"] = self._raw(word, status)
        for name in ("last_error", "incomplete_details"):
            if reason := fields.get(name):
                told[name] = self.scrubbed(reason)
        return Run.model_validate({**fields, **told})

    def scrubbed(self, error: object) -> Any:
        """Return why a run failed, as the server says it: it is told in errors and logs.

        :param error: decoded JSON.
        """
        return short_json(error, self.settings.scrub)

    def run_fields(self, body: JsonObject) -> JsonObject:
        """Return a run's fields under the names that ``Run`` uses."""
        return body

    def same_run(self, run_id: str, body: object, ref: RunRef) -> bool:
        """Return whether an object in an answer is the run that was asked for.

        :param run_id: the object's id.
        :param body: the object.
        :param ref: the run that was asked for.
        """
        return same_id(run_id, ref.run_id)

    def read_cancel(self, answer: Answer, ref: RunRef) -> Run | None:
        """Return the run in the answer to a cancel; ``None`` if it must be fetched instead.

        :param answer: an answer that does not refuse.
        :param ref: the run.
        :raises ValueError: if it is not what this API answers.
        """
        return self._read_own(answer, ref)

    def _read_own(self, answer: Answer, ref: RunRef) -> Run:
        body = answer.body()
        run = self.read_run(body)
        self._check_same(run.id, body, ref)
        return run

    def _check_same(self, run_id: str, body: object, ref: RunRef) -> None:
        """Check that an answer is about the run that was asked for.

        :raises ValueError: if it is not: the end of another run would be reported as its end.
        """
        if not self.same_run(run_id, body, ref):
            raise ValueError("it is another object")

    def glimpse(self, body: object) -> Glimpse:
        """Return the status of the run in the body of an answer, without reading all of the run.

        :param body: the decoded body, or an item of a list in it.
        :raises ValueError: if there is no run in the body.
        """
        found = body if isinstance(body, dict) else {}
        word, run_id = found.get("status"), self._own_id(found.get(self.id_field))
        if not isinstance(word, str) or not isinstance(run_id, str):
            missing = self.id_field if isinstance(word, str) else "status"
            raise ValueError(f"it is not a run, as it has no {missing!r}")  # noqa: TRY004 - the content is wrong, not a type
        status = self.status_of(word)
        return Glimpse(run_id, status, self._raw(word, status), _ReadOnce(self, body))

    @abstractmethod
    def read_page(self, body: object, cursor: str | None, limit: int = PAGE_SIZE) -> Page[object]:
        """Return the page of runs in the body of an answer; the runs are not read yet.

        :param body: the decoded body.
        :param cursor: the cursor that the page was requested with.
        :param limit: the limit that the page was requested with.
        :raises ValueError: if there is no list of runs.
        """

    def read_threads(self, body: object, cursor: str | None) -> Page[object]:
        """Return the page of threads in the body of an answer to ``busy_threads``, unread.

        :param body: the decoded body.
        :param cursor: the cursor that the page was requested with.
        :raises ValueError: if there is no list of threads.
        """
        raise ValueError("this API cannot list threads")

    def read_thread(self, body: object) -> str:
        """Return the id of a thread.

        :param body: an item of a list of threads.
        :raises ValueError: if it is no thread.
        """
        found = self._own_id(body.get("thread_id")) if isinstance(body, dict) else None
        if not isinstance(found, str) or not found:
            raise ValueError("it is not a thread, as it has no 'thread_id'")
        return found

    def _find_in_list(self, start: Start) -> Exchange[Run | None]:
        """Search a thread's runs, newest first, for the marks of a start.

        :raises ValueError: if the list does not end, or the run that has the marks cannot be read:
            it must not be taken for one that is not there.
        """
        cursor = None
        for _ in range(MAX_PAGES):
            answer = yield self.list_runs(str(start.thread_id), cursor)
            page = self.read_page(answer.body(), cursor)
            for record in page.items:
                if start.is_mark_of(record):
                    return self._read_started(record, start)
            cursor = page.cursor
            if cursor is None or not page.items:
                return None
        raise ValueError(f"the list of runs goes on after {MAX_PAGES} pages")

    def _read_started(self, body: object, start: Start) -> Run:
        """Return the run of a start, on the thread that it was started on.

        :raises ValueError: if it is none, or none that can be asked for.
        """
        run = self.read_run(body)
        if start.thread_id is not None:
            run = run.model_copy(update={"thread_id": start.thread_id})
        try:
            self.get(RunRef(run.id, run.thread_id))
        except RunsConfigError as error:
            problem = error.said
        else:
            return run
        raise ValueError(f"it is no run that can be asked for: {problem}")

    def _prepare(
        self, start: Start, always: JsonObject, unless_set: JsonObject | None = None
    ) -> Start:
        """Complete the body of a start; see ``Start.completed``."""
        try:
            return start.completed(always, unless_set)
        except ValueError as error:
            raise self._config_error(f"No run can be started so: {error}") from None

    def is_gone(self) -> bool:
        """Return whether the host is known to no longer serve this API."""
        return False

    # -- inside ----------------------------------------------------------------------------------

    def _segment(self, name: str, value: object, ref: RunRef | None = None) -> str:
        try:
            return segment(name, value)
        except ValueError as error:
            raise self._config_error(str(error), ref) from None

    def _config_error(self, problem: str, ref: RunRef | None = None) -> RunsConfigError:
        return RunsConfigError(
            located(f"{problem}. Nothing was sent.", self.form.label, self.settings.conn_id),
            conn_id=self.settings.conn_id,
            run_id=ref.run_id if ref else None,
            thread_id=ref.thread_id if ref else None,
        )

    def _own_id(self, value: object) -> object:
        """Return an object's id as text that can be logged; anything else is returned as it is."""
        name = id_text(value)
        if not isinstance(name, str):
            return name
        key = self.settings.key
        return printable(self.settings.scrub(name) if key and key in name else name, MAX_ID)


class _ReadOnce:
    """Reads the run in an answer when somebody asks for it; all waits for that run share it.

    `functools.cache` takes longer to make than all the rest of a poll's reading.
    """

    __slots__ = ("_backend", "_body", "_run")

    def __init__(self, backend: Backend, body: object) -> None:
        self._backend = backend
        self._body = body
        self._run: Run | None = None

    def __call__(self) -> Run:
        if self._run is None:
            self._run = self._backend.read_run(self._body)
        return self._run
