"""How a run is named."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["RunRef"]


@dataclass(frozen=True, slots=True)
class RunRef:
    """Names a run.

    :param run_id: the run's id.
    :param thread_id: the id of its thread; ``None`` where the API has no threads.
    """

    run_id: str
    thread_id: str | None = None

    def __str__(self) -> str:
        thread = f" on thread {self.thread_id!r}" if self.thread_id else ""
        return f"run {self.run_id!r}{thread}"
