"""The environment of a caller who has an Airflow already, to show that ours leaves it alone.

``python -m dev.foreign_environment COMMAND …`` runs a command in it; it fails if the command does,
or if the command touched that other Airflow.
"""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path

NOWHERE = "http://127.0.0.1:9"  # the port of a service that nobody runs any more
PROXIES = ("http_proxy", "https_proxy", "all_proxy")
TRIPWIRE = "import pathlib; pathlib.Path(__file__).with_suffix('.loaded').touch()\n"


def variables(folder: Path) -> dict[str, str]:
    """Return what the caller's shell has set.

    :param folder: where the caller's Airflow is.
    """
    return {
        "AIRFLOW_HOME": f"{folder}/home",
        "AIRFLOW_CONFIG": f"{folder}/theirs.cfg",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{folder}/theirs.db",
        "AIRFLOW__CORE__PLUGINS_FOLDER": f"{folder}/plugins",
        "AIRFLOW__CORE__UNIT_TEST_MODE": "True",
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR",
        "AIRFLOW__LOGGING__REMOTE_LOGGING": "True",
        "AIRFLOW__OPERATORS__DEFAULT_DEFERRABLE": "True",
        "AIRFLOW__SECRETS__BACKEND": "theirs.SecretsBackend",
        "AIRFLOW_CONN_RUNS_DEFAULT": f"runs-assistants://:their-key@{NOWHERE[7:]}",
        "AIRFLOW_VAR_THEIRS": "1",
        "PYTHONPATH": f"{folder}/python",
        **dict.fromkeys([*PROXIES, *map(str.upper, PROXIES)], NOWHERE),
        "SSL_CERT_FILE": f"{folder}/no-such.pem",
    }


class ForeignAirflow:
    """Another's Airflow: a database that is there, and paths where one would be made.

    :param folder: an empty folder, which it is put into.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.variables = variables(folder)
        with closing(sqlite3.connect(folder / "theirs.db")) as database, database:
            database.execute("CREATE TABLE alembic_version (version_num VARCHAR(32))")
        for name in ("plugins/plugin.py", "python/airflow_local_settings.py"):
            (folder / name).parent.mkdir()
            (folder / name).write_text(TRIPWIRE)
        config = f"[database]\nsql_alchemy_conn = sqlite:///{folder}/of-the-config.db\n"
        (folder / "theirs.cfg").write_text(config)
        self._before = self._content()

    def environment(self, *names: str) -> dict[str, str]:
        """Return this process's environment with the caller's variables in it.

        :param names: which of them; by default all.
        """
        chosen = {name: self.variables[name] for name in names or self.variables}
        return {**os.environ, **chosen}

    def touched(self) -> list[str]:
        """Return the files that are not, byte for byte, what they were, and the new ones."""
        before, now = self._before, self._content()
        names = before.keys() | now.keys()
        return sorted(name for name in names if before.get(name) != now.get(name))

    def _content(self) -> dict[str, bytes | None]:
        return {
            str(path.relative_to(self.folder)): path.read_bytes() if path.is_file() else None
            for path in self.folder.rglob("*")
        }


def main(command: list[str]) -> int:
    """Run a command in a foreign environment; return its exit code, 1 if it touched anything."""
    with tempfile.TemporaryDirectory(prefix="runs-foreign-") as folder:
        foreign = ForeignAirflow(Path(folder))
        code = subprocess.run(command, env=foreign.environment(), check=False).returncode
        if touched := foreign.touched():
            print(f"{command} changed its caller's {', '.join(touched)}", file=sys.stderr)
            return 1
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
