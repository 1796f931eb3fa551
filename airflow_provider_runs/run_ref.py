"""How a run is named."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TypeVar
from uuid import UUID

__all__ = ["RunRef", "as_uuid", "canonical", "id_text", "same_id"]

T = TypeVar("T")

#: Bits of a number that may be an id.
_BITS = 64

#: The spellings of a UUID. `uuid.UUID` takes more for one, such as 32 digits with underscores.
_UUID = re.compile(
    r"(?:urn:)?(?:uuid:)?\{?"
    r"([0-9a-f]{8})-?([0-9a-f]{4})-?([0-9a-f]{4})-?([0-9a-f]{4})-?([0-9a-f]{12})"
    r"\}?",
    re.ASCII | re.IGNORECASE,
)


def id_text(value: T) -> T | str:
    """Return the text of an id that is a ``uuid.UUID`` or a whole number.

    :param value: what should be an id; anything else is returned as it is.
    """
    given: object = value
    if isinstance(given, UUID):
        return str(given)
    if isinstance(given, int) and not isinstance(given, bool) and given.bit_length() <= _BITS:
        return str(given)
    return value


def as_uuid(name: str) -> str | None:
    """Return a UUID in its usual spelling; ``None`` for a text that is none.

    :param name: an id, as a server or a user spells it.
    """
    digits = _UUID.fullmatch(name)
    return "-".join(digits.groups()).lower() if digits else None


def canonical(name: str) -> str:
    """Return an id in the one spelling by which it is compared: that of a UUID has several.

    :param name: an id, as a server or a user spells it.
    """
    return as_uuid(name) or name


def same_id(one: str, other: str) -> bool:
    """Return whether two ids are the same, whatever their spelling.

    :param one: an id.
    :param other: another one, or the same.
    """
    return one == other or canonical(one) == canonical(other)


@dataclass(frozen=True, slots=True)
class RunRef:
    """Names a run. Ids that code hands over as ``uuid.UUID`` or as numbers become text.

    :param run_id: the run's id.
    :param thread_id: the id of its thread; ``None`` where the API has no threads.
    """

    run_id: str
    thread_id: str | None = None

    def __post_init__(self) -> None:
        for name in ("run_id", "thread_id"):
            object.__setattr__(self, name, id_text(getattr(self, name)))

    def __str__(self) -> str:
        thread = f" on thread {self.thread_id!r}" if self.thread_id not in _NONE else ""
        return f"run {self.run_id!r}{thread}"


#: What a thread's id is where there is none; ``status.NO_ID`` says why.
_NONE = (None, "", "None")
