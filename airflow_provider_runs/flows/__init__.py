"""Calls, retries and waits, as steps. Nothing here does I/O or knows Airflow."""

from __future__ import annotations

__all__: list[str] = []
