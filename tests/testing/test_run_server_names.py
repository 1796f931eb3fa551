"""The names that the run server offers."""

from __future__ import annotations

import airflow_provider_runs.testing as package
from airflow_provider_runs.testing import dialects

#: What users import, the dialects aside.
NAMES = {"ApiError", "Fault", "RecordedRequest", "RunScript", "RunServer"}


def test_users_find_the_server_and_every_dialect() -> None:
    kinds = {kind.__name__: kind for kind in dialects.DIALECTS.values()}
    assert package.__all__ == sorted(NAMES | kinds.keys())
    assert {"Assistants", "Foundry", "LangGraph", "Responses"} <= kinds.keys()
    for name in package.__all__:
        assert getattr(package, name).__module__.startswith(f"{package.__name__}.")
    for name, kind in kinds.items():
        assert getattr(package, name) is kind


def test_every_dialect_is_found_by_a_name_of_its_own() -> None:
    assert dialects.__all__ == sorted(kind.__name__ for kind in dialects.DIALECTS.values())
