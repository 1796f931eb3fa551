"""An environment in which nothing of a caller's Airflow is left, for every Airflow started here.

A shell may be set up for another Airflow, perhaps one in production: with its variables ours would
migrate that one's database and write into it. So whatever here starts an Airflow, or runs tests,
begins with one of these two functions. This file imports nothing but the standard library: the
tests call it before anything else.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

# With these a caller leads Airflow to another home, database or plugin, or changes what it does.
FOREIGN = (
    "AIRFLOW",
    "DEV_MODE",  # has Airflow's UI come from its developers' server
    "OTEL_",
    "PG",  # libpq's: PGHOSTADDR wins over the host in a database's URL
    "PYTHON",  # PYTHONPATH may hold an airflow_local_settings.py
)
# These say how the world outside is reached. Our own servers are on loopback, where none applies.
OUTSIDE = (
    *("http_proxy", "https_proxy", "all_proxy", "no_proxy"),
    *("ssl_cert_file", "ssl_cert_dir", "requests_ca_bundle", "curl_ca_bundle"),
)


def own_environment(
    home: Path, *, database: str | None = None, outside: bool = False
) -> dict[str, str]:
    """Return this process's environment with an Airflow of ours in place of its caller's.

    :param home: ``AIRFLOW_HOME``.
    :param database: as an SQLAlchemy URL; by default SQLite in ``home``.
    :param outside: whether proxies and certificates stay, for a server that is not ours.
    """
    kept = {name: value for name, value in os.environ.items() if _stays(name, outside=outside)}
    home = home.resolve()
    # Python also asks the system for proxies, unless it is told that no host has one.
    direct = _with_loopback(kept) if outside else "*"
    return {
        **kept,
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": database or f"sqlite:///{home / 'airflow.db'}",
        "NO_PROXY": direct,
        "no_proxy": direct,
    }


def use_own_environment(home: Path, *, outside: bool = False) -> None:
    """Make :func:`own_environment` that of this process and of those it starts.

    Call it before anything imports Airflow, which reads most of it only once.
    """
    ours = own_environment(home, outside=outside)
    for name in set(os.environ) - set(ours):
        del os.environ[name]
    os.environ.update(ours)
    # This process has taken its import path from the caller already.
    sys.modules["airflow_local_settings"] = None  # type: ignore[assignment]


def _stays(name: str, *, outside: bool) -> bool:
    if name.lower() in OUTSIDE:
        return outside
    return not name.lstrip("_").startswith(FOREIGN)


def _with_loopback(environ: dict[str, str]) -> str:
    known = environ.get("no_proxy") or environ.get("NO_PROXY")
    return ",".join(filter(None, [known, "127.0.0.1", "localhost"]))
