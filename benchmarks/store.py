"""What the benchmark's server knows: runs, when each of them ends, and what was asked for."""

from __future__ import annotations

import json
import time
from collections import Counter
from functools import cache
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from benchmarks.bodies import anthropic_batch_json, openai_batch_json, run_json

if TYPE_CHECKING:
    from collections.abc import Callable

#: Seconds that a run stays ``cancelling``.
CANCEL_LAG = 0.2
NEVER = float("inf")


class NotFoundError(Exception):
    """There is no such path, run or thread."""


class RefusedError(Exception):
    """The run cannot be cancelled."""


class Store:
    """Runs with the numbers 0, 1, 2 …; run ``n`` is on thread ``n`` modulo the number of threads.

    A run is in progress until its end. Batches have the numbers and the ends of the runs.
    """

    def __init__(self) -> None:
        self.plan(0, 1)

    def plan(self, runs: int, threads: int) -> None:
        """Forget everything, and have other runs.

        :param runs: how many runs there are.
        :param threads: how many threads they are on.
        """
        self.runs, self.threads = runs, threads
        self.ends: dict[int, float] = {}
        self.cancelled: set[int] = set()
        self.requests: Counter[str] = Counter()
        #: How many times a run's state was told: a list tells that of many runs.
        self.shown = 0
        self._body = cache(run_json)

    def stats(self) -> dict[str, object]:
        """Return what was asked since the plan was made, and this process's CPU seconds."""
        return {"requests": self.requests, "shown": self.shown, "cpu": time.process_time()}

    def answer(self, method: str, path: str, query: str, body: bytes) -> bytes:
        """Return the JSON that answers a request.

        :raises NotFoundError: if nothing is there.
        :raises RefusedError: if a run cannot be cancelled.
        """
        match path.split("/")[1:]:
            case ["v1", "threads", thread, "runs", run] if method == "GET":
                self._count("get")
                content = self._run(self._number(run, thread))
            case ["v1", "threads", thread, "runs"] if method == "GET":
                content = self._list(thread, query)
            case ["v1", "threads", thread, "runs", run, "cancel"] if method == "POST":
                content = self._cancel(self._number(run, thread))
            case ["v1", "batches", batch] if method == "GET":
                content = self._batch(batch, openai_batch_json)
            case ["v1", "messages", "batches", batch] if method == "GET":
                content = self._batch(batch, anthropic_batch_json)
            case ["bench", order]:
                content = self._obey(order, body)
            case _:
                raise NotFoundError
        return content

    def _obey(self, order: str, body: bytes) -> bytes:
        if order == "plan":
            self.plan(**json.loads(body))
        elif order == "ends":
            self.ends.update({int(run): end for run, end in json.loads(body).items()})
        return json.dumps(self.stats()).encode()

    def _count(self, kind: str, shown: int = 1) -> None:
        self.requests[kind] += 1
        self.shown += shown

    def _number(self, name: str, thread: str | None = None) -> int:
        number = int(name.rpartition("_")[2])
        if number >= self.runs or (thread and thread != self._thread(number)):
            raise NotFoundError
        return number

    def _thread(self, number: int) -> str:
        return f"thread_{number % self.threads:06d}"

    def _run(self, number: int) -> bytes:
        ended = time.time() >= self.ends.get(number, NEVER)
        if number in self.cancelled:
            status = "cancelled" if ended else "cancelling"
        else:
            status = "completed" if ended else "in_progress"
        return self._body(number, self._thread(number), status)

    def _list(self, thread: str, query: str) -> bytes:
        asked = parse_qs(query)
        number = int(thread.rpartition("_")[2])
        # Newest first, as the documented default is.
        numbers = range(number, self.runs, self.threads)[::-1]
        if asked.get("order") == ["asc"]:
            numbers = numbers[::-1]
        if "after" in asked:
            numbers = numbers[numbers.index(self._number(asked["after"][0])) + 1 :]
        page = numbers[: int(asked.get("limit", ["20"])[0])]
        self._count("list", len(page))
        ids = {
            "first_id": f"run_{page[0]:06d}" if page else None,
            "last_id": f"run_{page[-1]:06d}" if page else None,
            "has_more": len(page) < len(numbers),
        }
        runs = b", ".join([self._run(each) for each in page])
        return b'{"object": "list", "data": [' + runs + b"], " + json.dumps(ids).encode()[1:]

    def _cancel(self, number: int) -> bytes:
        self._count("cancel", 0)
        if number in self.cancelled or time.time() >= self.ends.get(number, NEVER):
            raise RefusedError
        self.cancelled.add(number)
        self.ends[number] = time.time() + CANCEL_LAG
        return self._run(number)

    def _batch(self, batch: str, body: Callable[..., bytes]) -> bytes:
        self._count("get")
        number = self._number(batch)
        return body(number, ended=time.time() >= self.ends.get(number, NEVER))
