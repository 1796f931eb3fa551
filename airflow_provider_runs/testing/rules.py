"""What the store asks of a dialect, and all that it knows of one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar

from airflow_provider_runs.testing.scripts import FINAL

if TYPE_CHECKING:
    from airflow_provider_runs.testing.errors import ApiError
    from airflow_provider_runs.testing.views import RunView

__all__ = ["Rules"]


class Rules(ABC):
    """What an API's ids look like, how long it knows a run, and how it refuses a request."""

    #: The statuses after which a run does not change any more, as scripts call them.
    final: ClassVar[frozenset[str]] = FINAL

    @abstractmethod
    def new_id(self, kind: str) -> str:
        """Return a fresh id.

        :param kind: ``thread`` or ``run``.
        """

    @abstractmethod
    def check_id(self, kind: str, value: str) -> None:
        """Check that an id can be one of its kind.

        :param kind: ``thread`` or ``run``.
        :raises ApiError: if it cannot.
        """

    @abstractmethod
    def has_forgotten(self, run: RunView, now: float) -> bool:
        """Return whether a run is so old that the server does not know it any more.

        :param now: the present time, in epoch seconds.
        """

    @abstractmethod
    def missing(self, kind: str, value: str) -> ApiError:
        """Return the error for an id that is not there.

        :param kind: ``thread`` or ``run``.
        """

    @abstractmethod
    def blocked(self, thread_id: str, run_id: str) -> ApiError:
        """Return the error for a new run in a thread that an active run blocks."""

    @abstractmethod
    def invalid(self, param: str | None, message: str, code: str | None = None) -> ApiError:
        """Return the error for a parameter that makes no sense.

        :param param: its name; ``None`` where it is the whole body.
        :param message: the text that a person reads.
        :param code: the machine-readable reason, if there is one.
        """
