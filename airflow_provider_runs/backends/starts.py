"""A start of a run: its body, and the marks by which the run is found again."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING
from uuid import UUID, uuid5

if TYPE_CHECKING:
    from airflow_provider_runs.plain_json import JsonObject

__all__ = ["FINGERPRINT", "KEY", "NUMBER", "TRY", "Start", "marks_of"]

#: The marks in a run's metadata: who started it, which of that task's runs it is, in which try of
#: the task it was started, and what was asked for.
KEY, NUMBER, TRY, FINGERPRINT = (
    "airflow_key",
    "airflow_start",
    "airflow_try",
    "airflow_fingerprint",
)
#: The name space of the ids that are derived from a key.
_OURS = UUID("6f1d1f0e-8a61-5f0a-9a53-0c2f3a7b9e11")


@dataclass(frozen=True, slots=True)
class Start:
    """A run to start.

    :param body: the body of the API's own call that starts a run, as its user gives it.
    :param thread_id: the thread to start it on; ``None`` until there is one.
    :param key: names who starts it. One key has one run at a time.
    :param number: which of the key's runs it is, from 1: there is another one once the run before
        has failed, for example. ``None``, to search for the newest of them.
    :param marks: what else is put into the run's metadata.
    :param on_own_thread: whether the thread is this run's alone.
    :param sent: the body as it is sent; ``Backend.prepared`` makes it.
    """

    body: JsonObject
    thread_id: str | None = None
    key: str = ""
    number: int | None = 1
    marks: Mapping[str, str] = field(default_factory=dict)
    on_own_thread: bool = False
    sent: JsonObject = field(default_factory=dict)

    @property
    def _seed(self) -> str:
        return self.key if self.number in {None, 1} else f"{self.key}#{self.number}"

    def derived_uuid(self) -> str:
        """Return the UUID that only this start has: the same whoever asks, and when."""
        return str(uuid5(_OURS, self._seed))

    def derived_digits(self, count: int) -> str:
        """Return hexadecimal digits that only this start has.

        :param count: how many, at most 64.
        """
        return hashlib.sha256(self._seed.encode()).hexdigest()[:count]

    def is_mark_of(self, record: object) -> bool:
        """Return whether a record of a list is a run that this start has brought about.

        :param record: decoded JSON.
        """
        marks = marks_of(record)
        same_number = self.number is None or marks.get(NUMBER) == str(self.number)
        return marks.get(KEY) == self.key and same_number

    def completed(
        self, always: Mapping[str, object], unless_set: Mapping[str, object] | None = None
    ) -> Start:
        """Return the start with the body as it is sent: with all that it needs, and the marks.

        :param always: fields that must have these values.
        :param unless_set: fields that get these values where the body has others.
        :raises ValueError: if the body is none, or says the contrary.
        """
        body = self.body
        if not isinstance(body, Mapping):
            kind = type(body).__name__
            hint = (
                ". A template renders to text: pass what a task returns as it is (task.output), or "
                "set the DAG's render_template_as_native_obj"
                if isinstance(body, str)
                else ""
            )
            raise ValueError(  # noqa: TRY004 - as the others
                f"body is a {kind}, not the JSON object of the call that starts a run{hint}"
            )
        if body.get("stream"):
            raise ValueError(
                "body has 'stream', but the run must go on without whoever started it: leave "
                "'stream' out"
            )
        for name, value in always.items():
            if body.get(name) not in (None, value):  # it may be a list, which no set takes
                raise ValueError(
                    f"body has {name!r}: {body[name]!r}, but a run that a task can leave and find "
                    f"again needs {value!r}: leave {name!r} out"
                )
        return replace(
            self,
            sent={**(unless_set or {}), **body, **always, "metadata": self._metadata(body)},
        )

    def _metadata(self, body: Mapping[str, object]) -> JsonObject:
        given = body.get("metadata")
        if given is None:
            given = {}
        if not isinstance(given, Mapping):
            raise ValueError("body has 'metadata' that is no JSON object")  # noqa: TRY004 - as the others
        own = {KEY: self.key, NUMBER: str(self.number), **self.marks}
        if taken := sorted(own.keys() & given.keys()):
            raise ValueError(
                f"body has {taken[0]!r} in its metadata, which is the provider's own: leave it out"
            )
        return {**given, **own}


def marks_of(record: object) -> Mapping[str, object]:
    """Return the metadata of a record of a list; empty if it has none.

    :param record: decoded JSON.
    """
    metadata = record.get("metadata") if isinstance(record, Mapping) else None
    return metadata if isinstance(metadata, Mapping) else {}
