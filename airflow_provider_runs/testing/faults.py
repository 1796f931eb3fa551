"""Faults to inject between a client and the server."""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import re
    from collections.abc import Mapping

    from airflow_provider_runs.testing.json_types import JsonObject


__all__ = ["Fault", "FaultPlan"]


@dataclass(frozen=True)
class Fault:
    """What goes wrong with one request.

    A fault with a ``status`` or a ``body`` answers in place of the server; one with neither lets
    the normal answer through, but late, with more headers, or cut.

    :param status: the HTTP status to answer with; by default 200, or the normal one with
        ``after_effect``.
    :param headers: headers to add to the answer.
    :param body: the body to answer with, a dict as JSON; by default an error envelope that suits
        an error ``status``, else nothing.
    :param delay: seconds to wait before anything else happens, or with ``after_effect`` between the
        work and the answer.
    :param drop: abort the connection without an answer.
    :param cut: send half of the answer's body, then close the connection.
    :param after_effect: whether the request does its work before its answer is delayed, replaced or
        lost; otherwise a replaced or dropped request has no effect.
    """

    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | JsonObject | None = None
    delay: float = 0.0
    drop: bool = False
    cut: bool = False
    after_effect: bool = False

    @property
    def replaces(self) -> bool:
        """Whether the client gets another answer than the normal one, or none."""
        return self.drop or self.status is not None or self.body is not None


@dataclass
class _PlannedFault:
    fault: Fault
    method: str | None
    path: str | re.Pattern[str] | None
    left: float

    def matches(self, method: str, path: str) -> bool:
        if self.method is not None and self.method.upper() != method:
            return False
        if isinstance(self.path, str):
            return self.path in path
        return self.path is None or self.path.search(path) is not None


class FaultPlan:
    """Keeps the faults to come, in order; its methods may be called from any thread."""

    def __init__(self) -> None:
        self._planned: list[_PlannedFault] = []
        self._lock = threading.Lock()

    def add(
        self,
        fault: Fault,
        method: str | None,
        path: str | re.Pattern[str] | None,
        times: int | None,
    ) -> None:
        """Plan a fault; ``RunServer.fault`` says what the parameters are."""
        left = math.inf if times is None else times
        with self._lock:
            self._planned.append(_PlannedFault(fault, method, path, left))

    def take(self, method: str, *paths: str) -> Fault:
        """Return the fault that a request gets, and use it up; a harmless one if none is due.

        :param method: the HTTP method, in capitals.
        :param paths: the path in each form by which it may be known.
        """
        with self._lock:
            for planned in self._planned:
                if planned.left > 0 and any(planned.matches(method, path) for path in paths):
                    planned.left -= 1
                    return planned.fault
        return Fault()

    def clear(self) -> None:
        """Forget all faults."""
        with self._lock:
            self._planned.clear()
