"""The operators: one cancels a run, the other sweeps threads."""

from __future__ import annotations

from airflow_provider_runs.operators.cancel import CancelRunOperator
from airflow_provider_runs.operators.cleanup import CleanupRunsOperator

__all__ = ["CancelRunOperator", "CleanupRunsOperator"]
