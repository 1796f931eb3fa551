"""What every reader of JSON takes: whole texts, 64-bit integers, finite numbers, bounded depth."""

from __future__ import annotations

import math
from typing import Any

__all__ = ["JsonObject", "plain_json", "whole_text"]

#: A JSON object, decoded.
JsonObject = dict[str, Any]

#: Levels of nesting beyond which nothing is read, and bits of a number.
_DEEP, _LONG = 100, 4096


def whole_text(text: str) -> str:
    """Return a text without lone surrogates, which JSON can hold and no encoding can.

    A server that cuts texts may cut an emoji in two. What encodes the text later dies of that:
    Airflow's triggerer, with all of its triggers, and XComs.
    """
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def plain_json(value: Any, levels: int = _DEEP) -> Any:
    """Return a value as every reader of JSON takes it: Airflow's own dies of what it does not take.

    NaN and infinities become ``None``, integers beyond 64 bits become texts.

    :param value: decoded JSON.
    :param levels: of nesting that are kept; what lies deeper becomes ``None``.
    """
    if isinstance(value, str):
        value = whole_text(value)
    elif isinstance(value, float):
        value = value if math.isfinite(value) else None
    elif isinstance(value, int) and not -(2**63) <= value < 2**64:
        value = str(value) if value.bit_length() < _LONG else None
    elif isinstance(value, (dict, list)) and not levels:
        value = None
    elif isinstance(value, dict):
        value = {plain_json(name): plain_json(item, levels - 1) for name, item in value.items()}
    elif isinstance(value, list):
        value = [plain_json(item, levels - 1) for item in value]
    return value
