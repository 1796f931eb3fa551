"""Nothing of a caller's Airflow reaches ours; the demo and `make airflow` are in tests/e2e."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from dev.airflow_environment import environment
from dev.foreign_environment import NOWHERE, ForeignAirflow, main, variables
from dev.own_environment import own_environment

ROOT = Path(__file__).resolve().parents[2]
VARIABLES = sorted(variables(ROOT))


@pytest.fixture
def foreign(tmp_path):
    folder = tmp_path / "theirs"
    folder.mkdir()
    return ForeignAirflow(folder)


@pytest.fixture
def called(foreign, monkeypatch):
    """Be called in the environment of another Airflow; its folder."""
    for name, value in foreign.variables.items():
        monkeypatch.setenv(name, value)
    return str(foreign.folder)


@pytest.fixture
def ours(tmp_path):
    """Return a function that gives the environments of the demo and of a whole Airflow."""

    def ours():
        whole = environment(tmp_path, "http://a:1", dags=(), sql_alchemy_conn=None, extra={})
        del whole["AIRFLOW__API_AUTH__JWT_SECRET"]  # made anew each time
        return own_environment(tmp_path), whole

    return ours


def in_foreign(foreign, *command):
    env = {**foreign.environment(), "PYTEST_ADDOPTS": "-q -p no:cacheprovider"}
    done = subprocess.run(
        [sys.executable, *command], cwd=ROOT, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert foreign.touched() == []
    return done.stdout


@pytest.mark.parametrize("name", VARIABLES)
def test_no_variable_of_a_callers_airflow_changes_anything(name, ours, foreign, monkeypatch):
    monkeypatch.delenv(name, raising=False)
    alone = ours()
    monkeypatch.setenv(name, foreign.variables[name])
    assert ours() == alone


def test_nor_do_all_of_them_together(ours, foreign, monkeypatch):
    alone = ours()
    for name, value in foreign.variables.items():
        monkeypatch.setenv(name, value)
    assert ours() == alone


@pytest.mark.parametrize(
    "name",
    [
        *("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_CMD", "AIRFLOW__CORE__SQL_ALCHEMY_CONN"),
        *("_AIRFLOW_PROCESS_CONTEXT", "__AIRFLOW_SUPERVISOR_FD", "PGHOSTADDR", "PYTHONOPTIMIZE"),
    ],
)
def test_nor_is_any_other_that_leads_elsewhere(name, tmp_path, monkeypatch):
    monkeypatch.setenv(name, "theirs")
    assert name not in own_environment(tmp_path)


def test_all_else_stays(tmp_path, monkeypatch):
    monkeypatch.setenv("API_KEY", "sk-x")
    ours = own_environment(tmp_path)
    assert ours["API_KEY"] == "sk-x"
    assert ours["PATH"] == os.environ["PATH"]


def test_home_and_database_are_ours(tmp_path):
    ours = own_environment(tmp_path)
    assert ours["AIRFLOW_HOME"] == str(tmp_path)
    assert ours["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"] == f"sqlite:///{tmp_path}/airflow.db"
    url = "postgresql+psycopg2://airflow@127.0.0.1/postgres"
    assert own_environment(tmp_path, database=url)["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"] == url


@pytest.mark.usefixtures("called")
def test_no_host_has_a_proxy(tmp_path):
    ours = own_environment(tmp_path)
    assert {name.lower() for name in ours if name.lower().endswith("_proxy")} == {"no_proxy"}
    assert ours["NO_PROXY"] == ours["no_proxy"] == "*"


def test_for_a_server_outside_proxies_stay_but_not_for_loopback(called, tmp_path, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "intranet.test")
    monkeypatch.delenv("no_proxy", raising=False)
    ours = own_environment(tmp_path, outside=True)
    assert ours["HTTPS_PROXY"] == ours["all_proxy"] == NOWHERE
    assert ours["SSL_CERT_FILE"].startswith(called)
    assert ours["NO_PROXY"] == ours["no_proxy"] == "intranet.test,127.0.0.1,localhost"
    assert called not in "".join(value for name, value in ours.items() if name != "SSL_CERT_FILE")


def test_the_airflow_of_a_suite_has_its_own_home_and_database():
    import airflow.settings
    from airflow.configuration import conf

    home = ROOT / ".airflow" / "tests" / Path(sys.prefix).name
    assert os.environ["AIRFLOW_HOME"] == str(home)
    assert conf.get("database", "sql_alchemy_conn") == f"sqlite:///{home}/airflow.db"
    assert conf.get("core", "plugins_folder") == f"{home}/plugins"
    with airflow.settings.engine.connect() as database:
        assert database.engine.url.database == f"{home}/airflow.db"


def test_a_suite_leaves_the_callers_airflow_alone(foreign):
    test = test_the_airflow_of_a_suite_has_its_own_home_and_database
    assert "1 passed" in in_foreign(foreign, "-m", "pytest", f"{__file__}::{test.__name__}")


def test_making_the_provider_info_leaves_it_alone_too(foreign, tmp_path):
    file = tmp_path / "provider_info.py"
    in_foreign(foreign, "-E", "-m", "dev.provider_info", str(file))
    assert "airflow-provider-runs" in file.read_text()


@pytest.mark.parametrize(
    ("code", "exit_code"), [("", 0), ("sys.exit(3)", 3), ("open(sys.argv[1], 'a').write(' ')", 1)]
)
def test_a_command_fails_in_a_foreign_environment_that_it_changes(code, exit_code, capfd):
    script = "import os, sys; sys.argv.append(os.environ['AIRFLOW_CONFIG']); " + code
    assert main([sys.executable, "-c", script]) == exit_code
    assert ("changed its caller's theirs.cfg" in capfd.readouterr().err) == (exit_code == 1)
