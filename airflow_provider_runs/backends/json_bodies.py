"""JSON from outside: read within bounds of depth, of numbers, and of how many values there are.

A parser holds Python's lock, and with it the event loop, until it has read all of it. A few
megabytes of ``{}`` take longer than anybody may wait, and as objects of Python fifty times their
size. So an answer has a bound not only for its bytes.
"""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

from pydantic_core import from_json

__all__ = ["LONG", "is_heavy", "read_json", "without_long_texts"]

#: Values that an answer holds at most. Real ones hold some thousands: a hundred runs of fifty each.
MOST_VALUES = 250_000
#: Bytes, and marks between values, beyond which an answer is not read in an event loop.
HEAVY, HEAVY_MARKS = 256 * 1024, 4_000
#: Bytes of an answer, and of a text in it, beyond which a poll has no use for the text.
LONG, _LONG_TEXT = 4 * 1024 * 1024, 2000
#: What stands before each value but the first.
_MARKS = (b",", b":", b"{", b"[")
_BACKSLASH = ord("\\")


def is_heavy(content: bytes | bytearray) -> bool:
    """Return whether reading a body takes too long for an event loop.

    :param content: the body.
    """
    size = len(content)
    return size > HEAVY or (size > HEAVY_MARKS and _marks(content) > HEAVY_MARKS)


def read_json(content: bytes | bytearray) -> Any:
    """Return a body as decoded JSON.

    :param content: the body.
    :raises ValueError: if it is not JSON, is nested too deeply, or holds too many values.
    """
    if len(content) > MOST_VALUES and _marks(content) > MOST_VALUES and _is_overfull(content):
        raise ValueError(f"it holds more than {MOST_VALUES} values")
    with suppress(ValueError):
        return from_json(content)  # faster, but refuses lone surrogates
    try:
        return json.loads(content)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def without_long_texts(content: bytearray) -> bytearray:
    """Return a body with the empty text in the place of each long one.

    :param content: the body. If it is still long then, it is returned without its end, which makes
        it one that cannot be read.
    """
    kept, at = bytearray(), 0
    while (begin := content.find(b'"', at)) >= 0 and len(kept) <= LONG:
        end = _end_of_text(content, begin + 1)
        kept += content[at:begin]
        kept += content[begin:end] if end - begin <= _LONG_TEXT else b'""'
        at = end
    kept += content[at : at + LONG]
    return kept[:LONG]


def _marks(content: bytes | bytearray) -> int:
    return sum(content.count(mark) for mark in _MARKS)


def _is_overfull(content: bytes | bytearray) -> bool:
    """Return whether there are too many values, also if marks within texts do not count."""
    values, at = 0, 0
    while values <= MOST_VALUES:
        begin = content.find(b'"', at)
        if begin < 0:
            return values + _marks(content[at:]) > MOST_VALUES
        values += _marks(content[at:begin]) + 1
        at = _end_of_text(content, begin + 1)
    return True


def _end_of_text(content: bytes | bytearray, start: int) -> int:
    """Return where the text that begins here ends: after the next quote without a backslash."""
    at = start
    while (quote := content.find(b'"', at)) >= 0:
        backslashes = quote
        while backslashes > at and content[backslashes - 1] == _BACKSLASH:
            backslashes -= 1
        if (quote - backslashes) % 2 == 0:
            return quote + 1
        at = quote + 1
    return len(content)
