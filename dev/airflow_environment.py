"""The environment variables that make a small, quiet, quick Airflow."""

from __future__ import annotations

import json
import os
import secrets
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

LOCAL_BUNDLE = "airflow.dag_processing.bundles.local.LocalDagBundle"

# A developer's own Airflow must not leak into the one under test.
FOREIGN = ("AIRFLOW__", "AIRFLOW_CONN_", "AIRFLOW_VAR_")


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
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
    database = sql_alchemy_conn or f"sqlite:///{home / 'airflow.db'}"
    return {
        **inherited,
        **_without_proxy(inherited),
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": database,
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


def _without_proxy(inherited: Mapping[str, str]) -> dict[str, str]:
    """Keep the talk between the components, all of it on loopback, away from a proxy."""
    known = inherited.get("no_proxy") or inherited.get("NO_PROXY")
    hosts = ",".join(filter(None, [known, "127.0.0.1", "localhost"]))
    return {"no_proxy": hosts, "NO_PROXY": hosts}
