"""No answer fills the memory, holds an event loop, or takes long: each in a process of its own.

``HOSTILE=full`` runs all of them, and ``HOSTILE_HOLD_MS`` says how long a loop may be held.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.hostile.asking import BOUND, SLACK, Way
from tests.hostile.cases import IS_FULL
from tests.hostile.floods import FLOODS, QUICK
from tests.hostile.wire import Many

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.hostile.reporting import Report

ROOT = Path(__file__).resolve().parents[2]
#: What a call may take: MB of memory, and ms of its event loop.
GROWTH = 64.0
HOLD = float(os.environ.get("HOSTILE_HOLD_MS", "50"))
#: A machine may be busy: the best of so many attempts counts.
ATTEMPTS = 3
#: Seconds after which a process is said to hang; its call has an end of its own before.
PATIENCE = 60.0

NAMES = tuple(FLOODS) if IS_FULL else ("good", *QUICK)


@pytest.fixture(scope="module")
def floods() -> Iterator[str]:
    """The address of the process that serves them."""
    with subprocess.Popen(
        [sys.executable, "-E", "-m", "tests.hostile.floods"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin
        assert process.stdout
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        process.stdin.close()
        try:
            process.wait(10)
        finally:
            process.kill()


def explode(way: Way, good: str, bomb: str) -> dict[str, Any]:
    """Make the call in a process of its own, and return what it says."""
    command = [sys.executable, "-E", "-m", "tests.hostile.bomb", way.value, good, bomb]
    try:
        process = subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE, check=False
        )
    except subprocess.TimeoutExpired:
        return {"outcome": "it hangs"}
    if process.returncode:
        lines = process.stderr.splitlines()
        where = [line.strip() for line in lines if "/airflow_provider_runs/" in line]
        return {"outcome": "it crashed or hangs", "where": where[:3] or lines[-5:]}
    said: dict[str, Any] = json.loads(process.stdout.splitlines()[-1])
    return said


def problems(said: dict[str, Any]) -> list[str]:
    """Return what is wrong: first what another attempt will not change."""
    if not said.get("is_ours"):
        return ["it does not end as it must"]
    limits = {"growth": GROWTH, "hold": HOLD, "seconds": BOUND + SLACK}
    return [name for name, most in limits.items() if said[name] > most]


@pytest.mark.parametrize("name", NAMES)
def test_a_bomb_takes_neither_memory_nor_time(
    name: str, way: Way, floods: str, connect: Callable[..., str], report: Report
) -> None:
    report.tried()
    good, bomb = connect(f"{floods}/good"), connect(f"{floods}/{name}")
    best: dict[str, Any] = {}
    for _ in range(ATTEMPTS):
        said = explode(way, good, bomb)
        wrong = problems(said)
        if not best or len(wrong) < len(problems(best)):
            best = said
        if not {"hold", "seconds"} & set(wrong):
            break
    wrong = problems(best)
    if "seconds" in best:
        report.took(best["seconds"], BOUND)
        report.worst("hold", best["hold"])
        report.worst("growth", best["growth"])
    assert not wrong, f"{', '.join(wrong)}: {best}"
    report.held()


@pytest.mark.parametrize("name", FLOODS)
def test_a_flood_begins_with_an_answer(name: str) -> None:
    first = next(iter(FLOODS[name]()))
    data = first.chunk if isinstance(first, Many) else first
    assert isinstance(data, bytes)
    assert data.startswith((b"HTTP/1.1 ", b"\r\n"))


PACKED = {
    "gzip-thrice": (31, 31, 31),
    "gzip-twice": (31, 31),
    "gzip": (31,),
    "deflate-raw": (-15,),
    "deflate-zlib": (15,),
}


@pytest.mark.parametrize("name", PACKED)
def test_a_bomb_grows_a_thousandfold(name: str) -> None:
    (first,) = FLOODS[name]()
    assert isinstance(first, bytes)
    data = first.partition(b"\r\n\r\n")[2]
    size = len(data)
    for window in PACKED[name]:
        data = zlib.decompressobj(window).decompress(data, 500 * size)
    assert len(data) == 500 * size


def test_only_the_fast_way_has_the_extra(
    way: Way, floods: str, connect: Callable[..., str], report: Report
) -> None:
    report.tried()
    good = connect(f"{floods}/good")
    said = explode(way, good, good)
    assert said["outcome"] == "Run", said
    assert said["has_extra"] == (way is Way.FAST)
    report.held()
