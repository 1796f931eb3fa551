"""The operators: one starts a run, one cancels a run, and one sweeps threads."""

from __future__ import annotations

from airflow_provider_runs.operators.cancel import CancelRunOperator
from airflow_provider_runs.operators.cleanup import CleanupRunsOperator
from airflow_provider_runs.operators.start import StartRunOperator

__all__ = ["CancelRunOperator", "CleanupRunsOperator", "StartRunOperator"]
