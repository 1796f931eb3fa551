"""The dialects that the server speaks: one file each, and their lines here.

``__all__`` names their classes alone: ``testing`` offers those to users, whichever there are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_runs.testing.dialects.assistants import Assistants
from airflow_provider_runs.testing.dialects.foundry import Foundry
from airflow_provider_runs.testing.dialects.langgraph import LangGraph
from airflow_provider_runs.testing.dialects.responses import Responses

if TYPE_CHECKING:
    from airflow_provider_runs.testing.dialects.base import Dialect

__all__ = ["Assistants", "Foundry", "LangGraph", "Responses"]

_KINDS: tuple[type[Dialect], ...] = (Assistants, Foundry, LangGraph, Responses)

#: All dialects, by name.
DIALECTS = {kind.name: kind for kind in _KINDS}


def dialect_of(dialect: str | Dialect) -> Dialect:
    """Return a dialect.

    :param dialect: a dialect, or the name of one, which is meant with its defaults.
    :raises ValueError: if no dialect has that name.
    """
    if not isinstance(dialect, str):
        return dialect
    if dialect not in DIALECTS:
        raise ValueError(f"the dialect must be one of {', '.join(DIALECTS)}, not {dialect!r}")
    return DIALECTS[dialect]()
