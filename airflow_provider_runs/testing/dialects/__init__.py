"""The dialects that the server speaks: one file for each, and one line here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_runs.testing.dialects.assistants import Assistants
from airflow_provider_runs.testing.dialects.foundry import Foundry
from airflow_provider_runs.testing.dialects.langgraph import LangGraph
from airflow_provider_runs.testing.dialects.responses import Responses

if TYPE_CHECKING:
    from airflow_provider_runs.testing.dialects.base import Dialect

DIALECTS: dict[str, type[Dialect]] = {
    kind.name: kind for kind in (Assistants, Foundry, LangGraph, Responses)
}
"""All dialects, by name."""


def dialect_of(dialect: str | Dialect) -> Dialect:
    """Return a dialect.

    :param dialect: a dialect, or the name of one, which is meant with its defaults
    :raises ValueError: for a name that no dialect has
    """
    if not isinstance(dialect, str):
        return dialect
    if dialect not in DIALECTS:
        raise ValueError(f"the dialect must be one of {', '.join(DIALECTS)}, not {dialect!r}")
    return DIALECTS[dialect]()
