"""A StatsD server that only remembers."""

from __future__ import annotations

import socket
import threading
from collections import defaultdict
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Mapping


class Statsd:
    """Receives what Airflow's metrics say, on a port of 127.0.0.1, while its block lasts."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._listen)
        self._received: defaultdict[str, list[float]] = defaultdict(list)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.sendto(b"", self._socket.getsockname())
        self._thread.join()
        self._socket.close()

    @property
    def settings(self) -> dict[str, str]:
        """The environment of an Airflow that sends its metrics here."""
        return {
            "AIRFLOW__METRICS__STATSD_ON": "True",
            "AIRFLOW__METRICS__STATSD_HOST": "127.0.0.1",
            "AIRFLOW__METRICS__STATSD_PORT": str(self._socket.getsockname()[1]),
            "AIRFLOW__METRICS__METRICS_ALLOW_LIST": "runs",
        }

    @property
    def received(self) -> Mapping[str, list[float]]:
        """All values so far of each metric, by its name and kind: ``airflow.runs.polls|c``."""
        return {name: list(values) for name, values in self._received.items()}

    def _listen(self) -> None:
        while datagram := self._socket.recv(65536):
            for line in datagram.decode().splitlines():
                name, _, rest = line.partition(":")
                value, kind = rest.split("|")[:2]
                self._received[f"{name}|{kind}"].append(float(value))
