"""Each module of the package has a test file of its name, or its line here says where it is tested.

``tests/testing`` says the same of the run server.
"""

import re
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]
PACKAGE = TESTS.parent / "airflow_provider_runs"
MODULES = sorted(
    file.relative_to(PACKAGE).as_posix()
    for file in PACKAGE.rglob("*.py")
    if file.stem not in {"__init__", "_version"} and file.parts[len(PACKAGE.parts)] != "testing"
)
#: Where a module is tested that has no file of its name, and why there.
ELSEWHERE = {
    "airflow_errors.py": "unit/test_public_names.py",  # names only
    "backends/base.py": "unit/test_exchanges.py",  # and each backend's own file
    "backends/credentials.py": "unit/test_foundry.py",  # what a backend wants
    "backends/openai.py": "unit/test_assistants.py",  # the first of those that share it
    "backends/resolve.py": "integration/test_hooks.py",  # it reads what Airflow gives
    "backends/wire.py": "unit/test_exchanges.py",
    "connections/fields.py": "unit/test_settings.py",  # what a connection's fields take
    "flows/endings.py": "unit/test_follow.py",  # how a wait ends
    "flows/failures.py": "unit/test_calls.py",  # the words of failed calls
    "flows/lists.py": "unit/test_calls.py",
    "flows/progress.py": "unit/test_follow.py",  # what a wait has seen
    "flows/steps.py": "unit/test_drivers.py",  # what drives them
    "flows/wait.py": "unit/test_follow.py",
    "polling/clock.py": "integration/test_poller.py",  # the five are one machine
    "polling/followers.py": "integration/test_poller.py",
    "polling/lookup.py": "integration/test_poller.py",
    "polling/looks.py": "integration/test_poller.py",
    "polling/report.py": "integration/test_cleanup.py",  # a sweep's report
    "polling/sweep.py": "integration/test_cleanup.py",
    "run_ref.py": "unit/test_models.py",  # whose module passes the name on
    "tasks/cancel_on_timeout.py": "integration/test_sensors_resume.py",
    "tasks/connection.py": "integration/test_sensors.py",
    "tasks/deferral.py": "integration/test_cancel.py",  # who defers
    "tasks/earlier_run.py": "integration/starts/test_starting_again.py",
    "tasks/errors.py": "integration/test_sensors.py",  # who raises them
    "tasks/lazy.py": "unit/test_imports.py",  # what is loaded, and when
    "tasks/parameters.py": "integration/test_cancel.py",
    "tasks/waiting.py": "integration/test_sensors.py",  # and test_starting.py
    "transport/clients.py": "unit/test_drivers.py",  # what sends with them
    "transport/exchanges.py": "unit/test_drivers.py",
    "transport/failed.py": "hostile/test_network.py",  # in all three ways
    "transport/network.py": "hostile/test_drips.py",  # who needs its bounds
    "transport/plain.py": "hostile/test_network.py",
}


def own_files(module: str) -> list[Path]:
    name = f"test_{Path(module).stem}.py"
    return [file for suite in ("unit", "integration") for file in (TESTS / suite).rglob(name)]


@pytest.mark.parametrize("module", MODULES)
def test_a_module_has_its_test_file(module):
    if module not in ELSEWHERE:
        assert own_files(module), f"add tests/…/test_{Path(module).stem}.py, or a line in ELSEWHERE"


@pytest.mark.parametrize(("module", "place"), ELSEWHERE.items())
def test_what_is_tested_elsewhere_is_there_and_needs_its_line(module, place):
    assert module in MODULES
    assert (TESTS / place).is_file()
    assert not re.fullmatch(rf".*/test_{Path(module).stem}\.py", place), "it has its own file"
