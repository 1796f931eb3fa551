"""What the process that is measured is told, and what it tells: both cross over as JSON."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Job:
    """What to measure.

    :param contender: one of ``CONTENDERS``.
    :param waits: how many runs to wait for.
    :param threads: how many threads they are on.
    :param interval: the poll interval, in seconds.
    :param warm_up: seconds from the first wait's begin until the pauses have grown to it.
    :param window: seconds for which CPU time and requests are counted then.
    :param ends: how many of the runs end after that, in an interval.
    :param url: the server.
    """

    contender: str
    waits: int
    threads: int
    interval: float
    warm_up: float
    window: float
    ends: int
    url: str


@dataclass(frozen=True, slots=True)
class Measured:
    """What came out.

    :param cpu: CPU milliseconds of the process for each run and poll interval.
    :param kept: which share of the polls that were due was done, at most 1.
    :param gap_p99: how late the event loop's heart beats while runs end, in milliseconds.
    :param gap_max: the same, at most.
    :param gap_begin: the same, at most, while the waits begin.
    :param late_p50: seconds from a run's end to its event.
    :param late_p99: the same.
    :param requests: requests for each wait and interval.
    :param memory: growth of the resident memory for each wait, in KB.
    :param server: which share of a core the server used.
    :param starved: for which share of the window the process waited for a core; 0 if not known.
    """

    cpu: float
    kept: float
    gap_p99: float
    gap_max: float
    gap_begin: float
    late_p50: float
    late_p99: float
    requests: float
    memory: float
    server: float
    starved: float
