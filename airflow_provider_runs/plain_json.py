"""Texts and JSON from outside, as everybody who reads them later accepts them.

Airflow's triggerer encodes events with msgspec, which takes no half characters and no integer
beyond 64 bits, and stops with all of its triggers where it meets one. PostgreSQL takes no NUL in
JSON. So whatever goes into an event, a trigger or an XCom passes ``plain_json``, or ``short_json``
where Airflow logs it.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "JsonObject",
    "one_line",
    "plain_json",
    "printable",
    "quoted",
    "short_json",
    "whole_text",
]

#: A JSON object, decoded.
JsonObject = dict[str, Any]

#: Levels of nesting that are kept, and bits beyond which an integer is dropped.
_MAX_LEVELS, _MAX_BITS = 100, 4096
#: The values and levels that `short_json` keeps, and the characters of each text.
_SHORT_VALUES, _SHORT_LEVELS, _SHORT_TEXT = 500, 10, 2000


def whole_text(text: str) -> str:
    """Return a text without NULs and lone surrogates: JSON holds them, UTF-8 or a database cannot.

    A server that truncates a text may cut an emoji in two.

    :param text: the text; a ``?`` takes the place of each of them.
    """
    if "\0" in text:
        text = text.replace("\0", "?")
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def printable(word: str, most: int) -> str:
    """Return a word from outside, such as an id: nothing in it forges a line of a log.

    :param word: the word; a ``?`` takes the place of each character that is not printable.
    :param most: how many characters are kept.
    """
    if len(word) > most:
        word = f"{word[: most - 1]}…"
    return word if word.isprintable() else "".join(c if c.isprintable() else "?" for c in word)


def one_line(text: str, most: int) -> str:
    """Return a text from outside as a part of one line: it can neither forge others nor fill a log.

    :param text: the text; a ``?`` takes the place of each character that is not printable.
    :param most: how many characters are kept.
    """
    if len(text) <= most and text.isprintable() and text.isascii() and "  " not in text:
        return text.strip()
    line = " ".join(whole_text(text[: 8 * most]).split())
    return printable(line, most)


def quoted(text: str, most: int) -> str:
    """Return what somebody outside says as a part of a sentence of ours.

    Airflow logs errors by their ``repr``, which would escape all quotes if there were both kinds.

    :param text: the text.
    :param most: how many characters are kept.
    """
    said = one_line(text, most).rstrip(".").replace('"', "'")
    return f"\u201c{said}\u201d"


def plain_json(value: Any, levels: int = _MAX_LEVELS) -> Any:
    """Return a value as every JSON parser accepts it: Airflow's own fails on anything else.

    NaN and infinities become ``None``. Integers beyond 64 bits become strings, and far longer ones
    ``None``.

    :param value: decoded JSON.
    :param levels: how many levels of nesting are kept; anything deeper becomes ``None``.
    """
    if isinstance(value, (dict, list)):
        if not levels:
            return None
        if isinstance(value, dict):
            return {plain_json(name): plain_json(item, levels - 1) for name, item in value.items()}
        return [plain_json(item, levels - 1) for item in value]
    return _plain(value)


def short_json(value: Any, clean: Callable[[str], str] = whole_text) -> Any:
    """Return a value as ``plain_json`` does, but only so much of it as a log can take.

    :param value: decoded JSON. Long texts are cut; values beyond some hundreds are left out.
    :param clean: is given each text before it is cut.
    """
    kept = 0

    def shorten(value: Any, levels: int) -> Any:
        nonlocal kept
        kept += 1
        if isinstance(value, str):
            return _cut(clean(value))
        if not isinstance(value, (dict, list)):
            return _plain(value)
        if not levels:
            return None
        if isinstance(value, list):
            return [shorten(item, levels - 1) for item in value if kept < _SHORT_VALUES]
        return {
            _cut(str(name)): shorten(item, levels - 1)
            for name, item in value.items()
            if kept < _SHORT_VALUES
        }

    return shorten(value, _SHORT_LEVELS)


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        return whole_text(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, int) and not -(2**63) <= value < 2**64:
        return str(value) if value.bit_length() < _MAX_BITS else None
    return value


def _cut(text: str) -> str:
    cut = text if len(text) <= _SHORT_TEXT else f"{text[: _SHORT_TEXT - 1]}…"
    return whole_text(cut)
