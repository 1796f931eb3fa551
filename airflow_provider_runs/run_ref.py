"""How a run is named."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

__all__ = ["RunRef", "canonical", "same_id"]


def canonical(name: str) -> str:
    """Return an id in the one spelling by which it is compared: that of a UUID has several.

    :param name: an id, as a server or a user spells it.
    """
    if not 32 <= len(name) <= 45:  # from bare digits to "urn:uuid:" with dashes
        return name
    try:
        return str(UUID(name))
    except ValueError:
        return name


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
            value = getattr(self, name)
            if type(value) is int or isinstance(value, UUID):
                object.__setattr__(self, name, str(value))

    def __str__(self) -> str:
        thread = f" on thread {self.thread_id!r}" if self.thread_id not in _NONE else ""
        return f"run {self.run_id!r}{thread}"


#: What a thread's id is where there is none; ``status.NO_ID`` says why.
_NONE = (None, "", "None")
