"""The parameters of operators and sensors: their checks and defaults."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import TYPE_CHECKING

from airflow.providers.common.compat.sdk import conf

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["default_deferrable", "one_of", "optional_seconds", "seconds", "some_of"]


def default_deferrable() -> bool:
    """Return the value of ``[operators] default_deferrable`` in Airflow's configuration."""
    return bool(conf.getboolean("operators", "default_deferrable", fallback=False))


def seconds(name: str, value: float | timedelta, *, or_none: bool = False) -> float:
    """Return a duration in seconds.

    :param name: the parameter, for the error.
    :param value: a timedelta, or seconds.
    :param or_none: whether it may be zero.
    :raises ValueError: if it is not more than zero, or not finite.
    """
    number = value.total_seconds() if isinstance(value, timedelta) else float(value)
    if or_none and number == 0:
        return number
    if not 0 < number < math.inf:
        raise ValueError(f"{name} must be more than 0 seconds and finite, not {value!r}")
    return number


def optional_seconds(name: str, value: float | timedelta | None) -> float | None:
    """Return a duration in seconds; ``None`` stays ``None``.

    :param name: the parameter, for the error.
    :param value: a timedelta, or seconds.
    :raises ValueError: if it is not more than zero, or not finite.
    """
    return None if value is None else seconds(name, value)


def some_of(name: str, words: Iterable[str], allowed: tuple[str, ...]) -> tuple[str, ...]:
    """Return the values of a parameter, if all of them are allowed.

    :param name: the parameter, for the error.
    :param words: its values; a string is a single value.
    :param allowed: the allowed values.
    :raises ValueError: if there are none, or one is not allowed.
    """
    chosen = (words,) if isinstance(words, str) else tuple(words)
    # The allowed words themselves: a member of an enum is equal to its word, but its text is not.
    known = tuple(own for word in chosen for own in allowed if own == word)
    if not chosen or len(known) != len(chosen):
        given = words if isinstance(words, str) else chosen
        raise ValueError(f"{name} must be one of {', '.join(map(repr, allowed))}, not {given!r}")
    return known


def one_of(name: str, word: str, allowed: tuple[str, ...]) -> str:
    """Return the value of a parameter, if it is allowed.

    :param name: the parameter, for the error.
    :param word: its value.
    :param allowed: the allowed values.
    :raises ValueError: if it is not one of them.
    """
    if not isinstance(word, str):
        raise ValueError(f"{name} must be a string, not {word!r}")  # noqa: TRY004 - as the others
    return some_of(name, word, allowed)[0]
