"""Threads and runs as they are at one moment, before a dialect puts them into words of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_provider_runs.testing.scripts import FINAL

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_provider_runs.testing.json_types import JsonMapping, JsonObject
    from airflow_provider_runs.testing.scripts import Phase


__all__ = ["Message", "RunView", "ThreadView"]


@dataclass(frozen=True)
class Message:
    """What a client has said in a thread.

    :param id: its id.
    :param role: who speaks, such as ``user``.
    :param content: the parts of what it says, as the dialect shows them.
    :param metadata: its metadata.
    :param created_at: when it was added, in epoch seconds.
    :param after_runs: how many runs the thread had by then.
    """

    id: str
    role: str
    content: Sequence[JsonMapping]
    metadata: object
    created_at: float
    after_runs: int = 0


@dataclass(frozen=True)
class RunView:
    """A run at one moment. All times are in epoch seconds.

    :param id: its id.
    :param thread_id: its thread; ``None`` where the dialect has none.
    :param phases: what it has been through since its creation; the last one says its status.
    :param fields: what its creator may set, with the dialect's defaults for the rest.
    :param expires_at: when it expires if it goes on waiting; ``None`` for never.
    :param last_error: why it failed; ``None`` if it did not.
    :param tool_calls: what it asks for while it is in ``requires_action``.
    :param answer: the text of what it has put out; ``None`` if it has put out nothing.
    :param final: the statuses after which it does not change any more.
    """

    id: str
    thread_id: str | None
    phases: Sequence[Phase]
    fields: JsonMapping
    expires_at: int | None
    last_error: JsonObject | None
    tool_calls: Sequence[JsonMapping]
    answer: str | None
    final: frozenset[str] = FINAL

    @property
    def status(self) -> str:
        """The status, as scripts call it."""
        return self.phases[-1].status

    @property
    def is_active(self) -> bool:
        """Whether the run still blocks its thread."""
        return self.status not in self.final

    @property
    def created_at(self) -> float:
        """When it was created, in epoch seconds."""
        return self.phases[0].at

    @property
    def started_at(self) -> float | None:
        """When it was first in progress, in epoch seconds; ``None`` if it never was."""
        return next((phase.at for phase in self.phases if phase.status == "in_progress"), None)

    @property
    def updated_at(self) -> float:
        """When it took its status, in epoch seconds."""
        return self.phases[-1].at


@dataclass(frozen=True)
class ThreadView:
    """A thread at one moment.

    :param id: its id.
    :param created_at: when it was created, in epoch seconds.
    :param metadata: its metadata.
    :param runs: its runs, the oldest first.
    :param messages: what clients have said in it, the oldest first.
    """

    id: str
    created_at: float
    metadata: JsonMapping
    runs: Sequence[RunView]
    messages: Sequence[Message]

    @property
    def active_run(self) -> RunView | None:
        """The oldest of its runs that are still active; ``None`` if none is."""
        return next((run for run in self.runs if run.is_active), None)

    @property
    def updated_at(self) -> float:
        """When it or one of its runs last changed, in epoch seconds."""
        return max([self.created_at, *(run.updated_at for run in self.runs)])
