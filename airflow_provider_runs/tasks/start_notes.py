"""What a task notes of the run that it starts, so that a later try finds the run again.

Airflow 3.3 has a store that outlives a try (``task_state_store``). Before, only the run's own
metadata does: XComs are cleared at each retry.
"""

from __future__ import annotations

import hashlib
import json
import logging
from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from airflow_provider_runs.errors import RunsError, located
from airflow_provider_runs.plain_json import one_line, plain_json

if TYPE_CHECKING:
    from airflow.sdk import Context

__all__ = ["Note", "Notes", "Who", "fingerprint_of"]

log = logging.getLogger(__name__)

_KEY = "airflow_provider_runs.start"
#: Characters of a key: a value in the metadata of OpenAI's objects has 512 at most.
_LONGEST, _KEPT, _DIGITS = 300, 260, 16


@dataclass(frozen=True, slots=True)
class Who:
    """Whose run it is: one task instance, whichever try.

    :param key: names the task instance, in the run's metadata too.
    :param attempt: the number of this try.
    :param cleared_at: the number of the last try before a person cleared the task; 0 if nobody did.
    :param max_tries: the try after which there is but one more; clearing the task raises it.
    """

    key: str
    attempt: int
    cleared_at: int
    max_tries: int

    @classmethod
    def of(cls, context: Context) -> Who:
        """Return whose run it is.

        Clearing a task raises its ``max_tries`` to the tries it has had and its ``retries``; a
        retry leaves ``max_tries`` as it is. Clearing a task that runs looks like a retry.

        :param context: of the task.
        """
        ti: Any = context["ti"]
        index = ti.map_index if isinstance(ti.map_index, int) and ti.map_index >= 0 else None
        mapped = "" if index is None else f"[{index}]"
        key = f"{ti.dag_id}/{ti.run_id}/{ti.task_id}{mapped}"
        if len(key) > _LONGEST or not key.isprintable():
            digits = hashlib.sha256(key.encode(errors="replace")).hexdigest()[:_DIGITS]
            key = f"{one_line(key, _KEPT)}~{digits}"
        retries = int(getattr(ti.task, "retries", 0) or 0)
        attempt, max_tries = int(ti.try_number), int(getattr(ti, "max_tries", None) or 0)
        return cls(key, attempt, max(0, max_tries - retries), max_tries)

    @property
    def is_first_try(self) -> bool:
        """Whether there was no try before."""
        return self.attempt <= 1

    @property
    def is_last_try(self) -> bool:
        """Whether Airflow will not retry the task."""
        return self.attempt > self.max_tries

    def was_cleared_after(self, attempt: int | None, max_tries: int | None) -> bool:
        """Return whether a person has cleared the task after a try.

        :param attempt: the try; ``None`` if it is not known.
        :param max_tries: what ``max_tries`` was then; ``None`` if nobody has noted it. Without it
            a change of the task's ``retries`` looks like a clear.
        """
        if max_tries is not None:
            return self.max_tries != max_tries
        return attempt is not None and attempt <= self.cleared_at


@dataclass(frozen=True, slots=True)
class Note:
    """What is noted of a start.

    :param key: whose run it is.
    :param fingerprint: what was asked for.
    :param number: which of the key's runs it is.
    :param attempt: the try that began with it.
    :param at: when it was about to be sent last, in epoch seconds.
    :param thread_id: the run's thread.
    :param own_thread: whether the thread was made for this run.
    :param run_id: the run; ``None`` as long as it is not known.
    :param sent: whether a run may have been started: the server has not refused it.
    :param deferred: whether the task left its worker to wait for the run.
    :param conn_id: the connection by which it was started; empty for the task's.
    :param told: the try that has told that the run is lost; 0 if none has.
    :param server: where that connection led, as a fingerprint; empty if it is not known.
    :param max_tries: the task's, when this was noted last; ``None`` if it is not known.
    """

    key: str
    fingerprint: str
    number: int
    attempt: int
    at: float
    thread_id: str | None = None
    own_thread: bool = False
    run_id: str | None = None
    sent: bool = True
    deferred: bool = False
    conn_id: str = ""
    told: int = 0
    server: str = ""
    max_tries: int | None = None

    def now(self, **changes: Any) -> Note:
        """Return the note with some fields changed."""
        return replace(self, **changes)


class Notes:
    """The notes of a task instance, from one try to the next.

    :param context: of the task.
    :param conn_id: the connection, for errors.
    """

    def __init__(self, context: Context, conn_id: str) -> None:
        self._store: Any = context.get("task_state_store")
        self._conn_id = conn_id

    @property
    def last(self) -> bool:
        """Whether they outlive a try."""
        return self._store is not None

    def read(self, key: str) -> Note | None:
        """Return what was noted; ``None`` if nothing was.

        :param key: whose run it is.
        :raises RunsError: if the store cannot be read: then nothing may be started.
        """
        if self._store is None:
            return None
        try:
            found = self._store.get(_KEY)
        except Exception as error:  # noqa: BLE001 - whatever it is
            raise self._failed("read", error) from None
        known = {field.name for field in fields(Note)}
        if not isinstance(found, dict) or found.get("key") != key:
            return None
        try:
            return Note(**{name: value for name, value in found.items() if name in known})
        except TypeError as error:
            raise self._failed("read", error) from None

    def end_deferral(self, key: str) -> None:
        """Note that nobody waits in the triggerer any more; an error is only logged.

        :param key: whose run it is.
        """
        try:
            if (note := self.read(key)) and note.deferred:
                self.write(note.now(deferred=False))
        except RunsError as error:
            log.warning("Could not note that the task waits no more. %s", error.message)

    def write(self, note: Note) -> None:
        """Store a note.

        :raises RunsError: if the store cannot be written.
        """
        if self._store is None:
            return
        try:
            self._store.set(_KEY, plain_json(asdict(note)))
        except Exception as error:  # noqa: BLE001 - whatever it is
            raise self._failed("written", error) from None

    def _failed(self, what: str, error: Exception) -> RunsError:
        words = (
            f"Airflow's task state store could not be {what} ({type(error).__name__}), and without "
            "it a later try could start a second run. This try starts none. Check Airflow's API "
            "server, and let the task be retried."
        )
        return RunsError(located(words, "", self._conn_id), conn_id=self._conn_id, transient=True)


def fingerprint_of(*asked: object) -> str:
    """Return a fingerprint of what a start asks for.

    :param asked: JSON values; what is none is taken as its text.
    """
    # Read again, so that all names are text: others cannot be sorted.
    as_sent = json.loads(json.dumps(asked, default=str, skipkeys=True))
    text = json.dumps(as_sent, sort_keys=True)
    return hashlib.sha256(text.encode(errors="replace")).hexdigest()[:_DIGITS]
