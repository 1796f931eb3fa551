"""The errors this provider raises.

RunsError
├── RunsConfigError          the connection or an argument cannot be used; nothing was sent
├── RunsTransportError       no usable answer: unreachable host, lost connection, timeout
├── RunsResponseError        an answer that cannot be understood: truncated, garbage, not a run
├── RunsAPIError             an answer with an error status
│   ├── RunsAuthError        401, 403: the server refused the key
│   ├── RunNotFound          404: no such run or thread
│   ├── RunsServiceGone      404 from a host that no longer serves this API at all
│   ├── RunsRateLimited      429: too many requests, or no quota left
│   └── CancelRefused        the server refused to cancel a run that is still active
├── StartLost                a run may have been started, and cannot be found
├── RunFailed                the run ended in another status than expected
└── RunTimeout               the wait timed out before the run was seen final

Every message says first what happened and why, then what to do, and last, in parentheses, on which
run and connection (see ``located``). It never holds the key. Errors cross from the triggerer to the
worker as plain JSON: see ``RunsError.to_json``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_runs.plain_json import short_json
from airflow_provider_runs.summary import summary_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Self

    from airflow_provider_runs.plain_json import JsonObject

__all__ = [
    "CancelRefused",
    "RunFailed",
    "RunNotFound",
    "RunTimeout",
    "RunsAPIError",
    "RunsAuthError",
    "RunsConfigError",
    "RunsError",
    "RunsRateLimited",
    "RunsResponseError",
    "RunsServiceGone",
    "RunsTransportError",
    "StartLost",
    "located",
]


def located(words: str, what: object, conn_id: str) -> str:
    """Return a message: the words, then on what and with which connection.

    :param words: what happened and what to do: whole sentences.
    :param what: what was done, or on which run; nothing if it is empty.
    :param conn_id: the connection.
    """
    where = f"connection {conn_id!r}"
    return f"{words} ({what}, {where})" if what else f"{words} ({where})"


class RunsError(Exception):
    """Base of all errors of this provider.

    :param message: what happened, what to do next, and on which run and connection.
    :param conn_id: the Airflow connection that was used.
    :param run_id: the run that the call was about, if any.
    :param thread_id: the thread of that run, if it has one.
    :param status_code: the HTTP status of the answer, if there was an answer.
    :param request_id: the server's id of the request (``x-request-id``), to give to its support.
    :param run: the run as it was last seen, as plain JSON, if it was seen.
    :param transient: whether the same call may succeed a little later, so that a wait continues.
    :param retry_after: seconds that the server asked its clients to wait, if it did.
    :param should_retry: whether the server says that the call may be sent again
        (``x-should-retry``); ``None`` if it does not say.
    """

    #: Whether the call failed before any of it can have reached the server, and whether its refusal
    #: comes from a router or gateway that has no such path. Neither leaves the process.
    unsent = False
    is_routers = False

    def __init__(
        self,
        message: str,
        *,
        conn_id: str | None = None,
        run_id: str | None = None,
        thread_id: str | None = None,
        status_code: int | None = None,
        request_id: str | None = None,
        run: JsonObject | None = None,
        transient: bool = False,
        retry_after: float | None = None,
        should_retry: bool | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.conn_id = conn_id
        self.run_id = run_id
        self.thread_id = thread_id
        self.status_code = status_code
        self.request_id = request_id
        self.run = run
        self.transient = transient
        self.retry_after = retry_after
        self.should_retry = should_retry

    def adding(self, words: str) -> Self:
        """Return the same error with more text in its message, before the part that says on what.

        :param words: the text to add; nothing is added if it is empty.
        """
        if not words:
            return self.replacing()
        said, where = self._parts()
        return self.replacing(message=f"{said} {words}{where}")

    def instead(self, words: str) -> Self:
        """Return the same error with another text, but the part that says on what.

        :param words: the text.
        """
        return self.replacing(message=f"{words}{self._parts()[1]}")

    @property
    def said(self) -> str:
        """What the message says, without the part that says on what."""
        return self._parts()[0]

    def _parts(self) -> tuple[str, str]:
        """Return what the message says, and its part that says on what: see ``located``."""
        cut = self.message.rfind(" (")
        if cut < 0 or not self.message.endswith(f"connection {self.conn_id!r})"):
            return self.message, ""
        return self.message[:cut], self.message[cut:]

    def replacing(self, **fields: Any) -> Self:
        """Return the same error with some fields changed.

        :param fields: parameters of the error, by name.
        """
        again = type(self)(**{**self.fields(), **fields})
        for name in {"unsent", "is_routers"} & vars(self).keys():
            setattr(again, name, getattr(self, name))
        return again

    def fields(self) -> JsonObject:
        """Return the parameters that the error was made with, by name."""
        return {name: getattr(self, name) for name in _FIELDS}

    def to_json(self) -> JsonObject:
        """Return the error as plain JSON; ``RunsError.from_json`` is its inverse.

        It leaves the process in events, which Airflow logs, so its run is only a summary.
        """
        fields = self.fields()
        fields["run"] = summary_of(self.run) if self.run else self.run
        del fields["should_retry"]  # nobody there sends the call again, and 0.1.0 does not know it
        told: JsonObject = short_json({"type": type(self).__name__, **fields})
        return told

    @staticmethod
    def from_json(data: JsonObject) -> RunsError:
        """Return the error from its JSON; an unknown type becomes a plain ``RunsError``.

        :param data: what ``to_json`` returned.
        :raises TypeError: if ``data`` has no message, or a field that no error has.
        """
        fields = dict(data)
        known = {cls.__name__: cls for cls in _tree(RunsError)}
        if not isinstance(fields.get("message"), str):
            raise TypeError("an error needs a message")
        return known.get(fields.pop("type", ""), RunsError)(**fields)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle all fields: the default would lose the keyword arguments."""
        return _make, (type(self), self.fields())


_FIELDS = (
    "message",
    "conn_id",
    "run_id",
    "thread_id",
    "status_code",
    "request_id",
    "run",
    "transient",
    "retry_after",
    "should_retry",
)


def _make(kind: type[RunsError], fields: JsonObject) -> RunsError:
    return kind(**fields)


def _tree(cls: type[RunsError]) -> Iterator[type[RunsError]]:
    # Only this module's own classes: a subclass elsewhere may share a name.
    for sub in cls.__subclasses__():
        if sub.__module__ == __name__:
            yield sub
            yield from _tree(sub)


class RunsConfigError(RunsError, ValueError):
    """The connection or an argument cannot be used. Nothing was sent."""


class RunsTransportError(RunsError):
    """No usable answer came: the host is unreachable, the connection was lost, or it timed out."""


class RunsResponseError(RunsError):
    """The answer cannot be understood: it is truncated, not JSON, or not a run."""


class RunsAPIError(RunsError):
    """The server answered with an error status."""


class RunsAuthError(RunsAPIError):
    """The server refused the key (401, 403)."""


class RunNotFound(RunsAPIError):
    """The server has no such run or thread (404)."""


class RunsServiceGone(RunsAPIError):
    """The host no longer serves this API: its 404 says nothing about the run."""


class RunsRateLimited(RunsAPIError):
    """There were too many requests, or no quota is left (429)."""


class CancelRefused(RunsAPIError):
    """The server refused to cancel a run that is still active."""


class StartLost(RunsError):
    """The answer to a start was lost, and the run cannot be found: one may be out there."""


class RunFailed(RunsError):
    """The run ended in another status than expected; ``run`` holds it."""


class RunTimeout(RunsError):
    """The wait timed out before the run was seen final; ``run`` holds the run as last seen."""

    #: What to do about a run that is left alone; not said of one that is cancelled then.
    ADVICE = "It may keep running and cost money: cancel it, or set a longer timeout."
