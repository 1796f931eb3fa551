"""A connection's settings, checked and ready to use: the base URL, the key and the options."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Protocol, get_args
from urllib.parse import quote, unquote, urlsplit

from pydantic import ValidationError

from airflow_provider_runs.connections.base_url import is_loopback, read_base_url
from airflow_provider_runs.connections.fields import Takes, is_sendable, is_url
from airflow_provider_runs.connections.scrubbing import scrubbed
from airflow_provider_runs.errors import RunsConfigError
from airflow_provider_runs.plain_json import one_line, whole_text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pydantic.fields import FieldInfo
    from pydantic_core import ErrorDetails

    from airflow_provider_runs.connections.fields import ConnectionOptions
    from airflow_provider_runs.connections.forms import ConnectionForm

__all__ = ["EXCERPT", "ConnectionLike", "Settings", "unusable"]


log = logging.getLogger(__name__)

#: Characters of a text from outside that are shown at most.
EXCERPT = 400
#: How a key begins that was copied with what carries it: a header, or a variable.
_CARRIER = re.compile(
    r"""["']?((authorization|bearer)(\W|$)|[\w-]*api[-_]key["']?(\s*[:=]\s*\S|\s))""", re.IGNORECASE
)


class ConnectionLike(Protocol):
    """The part of Airflow's ``Connection`` that is read here; both of Airflow's classes have it."""

    conn_id: str
    conn_type: str | None
    host: str | None
    port: int | None
    schema: str | None
    password: str | None
    extra: str | None


@dataclass(frozen=True, slots=True)
class Settings:
    """A connection's settings.

    :param conn_id: the connection that they come from.
    :param base_url: the URL that every path is appended to, without a slash at its end.
    :param options: what the connection's ``extra`` holds.
    :param key: the API key; empty if the server asks for none. Never shown.
    """

    conn_id: str
    base_url: str
    options: ConnectionOptions
    key: str = field(default="", repr=False)

    @classmethod
    def from_connection(
        cls, conn: ConnectionLike, extra: Mapping[str, object], form: ConnectionForm
    ) -> Settings:
        """Read a connection.

        :param conn: an Airflow connection.
        :param extra: its ``extra``, decoded.
        :param form: the form of its connection type.
        :return: its settings.
        :raises RunsConfigError: if a value cannot be used; the error names the field.
        """
        fail = partial(unusable, conn.conn_id)
        options = _read_options(form, extra, fail)
        key = (conn.password or "").strip()
        if not is_sendable(key):
            raise fail(
                "has an API key with characters that an HTTP header cannot carry; "
                "paste the key again, without line breaks"
            )
        if _CARRIER.match(key):
            raise fail(
                "has an API key that begins with what carries it, such as 'Bearer' or "
                "'x-api-key:'; paste only the key itself"
            )
        try:
            base_url = read_base_url(
                conn.host or form.default_base_url or "", conn.port, conn.schema or ""
            )
        except ValueError as error:
            raise fail(str(error)) from None
        if not is_url(base_url):
            raise fail("has a host that is not an http or https URL")
        settings = cls(conn.conn_id, base_url, options, key)
        if base_url.startswith("http:") and not is_loopback(settings.host):
            _warn_of_http(conn.conn_id, settings.host)
        return settings

    def with_options(self, **changes: object) -> Settings:
        """Return the same settings with some options changed.

        :param changes: new values of options, by name; they are not checked.
        """
        return replace(self, options=self.options.model_copy(update=changes))

    @property
    def host(self) -> str:
        """The name of the server's host, in lower case, without the port."""
        return (urlsplit(self.base_url).hostname or "").lower()

    @property
    def call_budget(self) -> float:
        """Seconds that a call may take with all its retries, if its caller sets no deadline."""
        return self.options.timeout * (self.options.max_retries + 1)

    def scrub(self, text: str) -> str:
        """Return a text from outside without the key, the proxy's password and header values.

        :param text: the text; ``***`` takes the place of each secret.
        """
        password = urlsplit(self.options.proxy or "").password or ""
        secrets = {self.key, password, unquote(password), *self.options.headers.values()}
        return scrubbed(whole_text(text), frozenset(filter(None, secrets)))

    def shown(self, text: str, most: int = EXCERPT) -> str:
        """Return a text from outside as it may be shown: scrubbed, on one line, and cut.

        :param text: the text.
        :param most: how many characters are kept.
        """
        return one_line(self.scrub(text), most)

    def console_link(self, run_id: str, thread_id: str | None) -> str | None:
        """Return the link to a run in the service's console; ``None`` without ``console_url``."""
        url = self.options.console_url
        if not url:
            return None
        return url.replace("{run_id}", quote(run_id, safe="")).replace(
            "{thread_id}", quote(thread_id or "", safe="")
        )


@lru_cache(maxsize=256)
def _warn_of_http(conn_id: str, host: str) -> None:
    """Warn once of a connection that sends its key as it is."""
    log.warning(
        "Connection %r calls %s by http: whoever is on the way can read its key, and change what "
        "the server says of a run. Use https unless you know the whole way",
        *(conn_id, host),
    )


def unusable(conn_id: str, problem: str) -> RunsConfigError:
    """Return the error for a connection that cannot be used.

    :param problem: what is wrong with it; it continues the sentence "Connection X …".
    """
    return RunsConfigError(f"Connection {conn_id!r} {problem}.", conn_id=conn_id)


def _read_options(
    form: ConnectionForm, extra: Mapping[str, object], fail: Callable[[str], RunsConfigError]
) -> ConnectionOptions:
    known = form.options.model_fields
    if unknown := sorted(set(extra) - set(known)):
        raise fail(
            f"has unknown extra fields: {', '.join(map(repr, unknown))}; "
            f"a connection of type {form.conn_type!r} takes {', '.join(sorted(known))}"
        )
    given = {name: value for name, value in extra.items() if value is not None and value != ""}
    try:
        return form.options.model_validate(given)
    except ValidationError as error:
        # Not chained: pydantic's errors show the value, which may be a key in the wrong field.
        first = error.errors(include_url=False, include_input=False)[0]
    name = str(first["loc"][0])
    raise fail(f"has a field {name!r} {_problem(first, known[name])}")


def _problem(error: ErrorDetails, field: FieldInfo) -> str:
    match error["type"]:
        case "field":
            return error["msg"]
        case "literal_error":
            return f"that must be one of {', '.join(map(repr, get_args(field.annotation)))}"
        case "greater_than_equal" | "less_than_equal":
            low, high = (
                next(filter(None, (getattr(rule, name, None) for rule in field.metadata)), 0)
                for name in ("ge", "le")
            )
            return f"that must be a number from {low} to {high}"
    takes = next((rule.words for rule in field.metadata if isinstance(rule, Takes)), "text")
    return f"of the wrong type; it must be {takes}"
