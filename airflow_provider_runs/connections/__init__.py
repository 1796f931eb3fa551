"""From an Airflow connection to settings: what each type holds, checked and ready to use."""

from __future__ import annotations

__all__: list[str] = []
