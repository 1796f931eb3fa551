"""JSON that every parser accepts: no lone surrogates, 64-bit integers, finite, of bounded depth."""

from __future__ import annotations

import math
from typing import Any

__all__ = ["JsonObject", "plain_json", "whole_text"]

#: A JSON object, decoded.
JsonObject = dict[str, Any]

#: Levels of nesting that are kept, and bits beyond which an integer is dropped.
_MAX_LEVELS, _MAX_BITS = 100, 4096


def whole_text(text: str) -> str:
    """Return a text without lone surrogates, which JSON can hold but UTF-8 cannot.

    A server that truncates a text may cut an emoji in two. Whatever encodes that text later fails:
    XComs do, and Airflow's triggerer stops with all of its triggers.

    :param text: the text; a ``?`` takes the place of each lone surrogate.
    """
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def plain_json(value: Any, levels: int = _MAX_LEVELS) -> Any:
    """Return a value as every JSON parser accepts it: Airflow's own fails on anything else.

    NaN and infinities become ``None``. Integers beyond 64 bits become strings.

    :param value: decoded JSON.
    :param levels: how many levels of nesting are kept; anything deeper becomes ``None``.
    """
    if isinstance(value, str):
        value = whole_text(value)
    elif isinstance(value, float):
        value = value if math.isfinite(value) else None
    elif isinstance(value, int) and not -(2**63) <= value < 2**64:
        value = str(value) if value.bit_length() < _MAX_BITS else None
    elif isinstance(value, (dict, list)) and not levels:
        value = None
    elif isinstance(value, dict):
        value = {plain_json(name): plain_json(item, levels - 1) for name, item in value.items()}
    elif isinstance(value, list):
        value = [plain_json(item, levels - 1) for item in value]
    return value
