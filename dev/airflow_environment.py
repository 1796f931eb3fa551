"""The environment variables that make a small, quiet, quick Airflow."""

from __future__ import annotations

import json
import secrets
from typing import TYPE_CHECKING

from dev.own_environment import own_environment

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

LOCAL_BUNDLE = "airflow.dag_processing.bundles.local.LocalDagBundle"


def environment(
    home: Path,
    base_url: str,
    *,
    dags: Sequence[Path],
    sql_alchemy_conn: str | None,
    extra: Mapping[str, str],
) -> dict[str, str]:
    """Return the whole environment of Airflow's processes.

    :param home: ``AIRFLOW_HOME``.
    :param base_url: where the API server is to answer.
    :param dags: folders with DAGs.
    :param sql_alchemy_conn: database, ``None`` for SQLite in ``home``.
    :param extra: wins over everything else.
    """
    return {
        **own_environment(home, database=sql_alchemy_conn),
        **_settings(base_url, dags),
        **extra,
    }


def _settings(base_url: str, dags: Sequence[Path]) -> dict[str, str]:
    host, _, port = base_url.removeprefix("http://").partition(":")
    return {
        # Everybody is administrator; and no example DAGs, which would take minutes to parse.
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__TEST_CONNECTION": "Enabled",
        "AIRFLOW__CORE__PARALLELISM": "8",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{base_url}/execution/",
        "AIRFLOW__API__HOST": host,
        "AIRFLOW__API__PORT": port,
        "AIRFLOW__API__BASE_URL": base_url,
        "AIRFLOW__API__WORKERS": "1",
        # Shorter ones are refused. Made anew each time: it only has to be the same in all parts.
        "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_hex(64),
        "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": _bundles(dags),
        "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "5",
        # The health server binds every interface, and its port may be taken.
        "AIRFLOW__SCHEDULER__ENABLE_HEALTH_CHECK": "False",
        "AIRFLOW__SCHEDULER__TRIGGER_TIMEOUT_CHECK_INTERVAL": "3",
        # The process of a deferred task lingers that long. A trigger that fires sooner makes the
        # scheduler fail the task; the default is 5 s.
        "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "1",
    }


def _bundles(dags: Sequence[Path]) -> str:
    return json.dumps(
        [
            {
                "name": f"{number}-{folder.name}",
                "classpath": LOCAL_BUNDLE,
                "kwargs": {"path": str(folder.resolve()), "refresh_interval": 5},
            }
            for number, folder in enumerate(dags, start=1)
        ]
    )
