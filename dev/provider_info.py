"""Write ``airflow_provider_runs/provider_info.py`` from the backends: ``make provider-info``.

Airflow asks for the provider info in the middle of importing itself, in each of its processes, so
the answer is a literal that needs no import. A test holds that it is what this makes.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from dev.own_environment import use_own_environment

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = "airflow_provider_runs"
NAME = "Runs"
HEADER = '''"""What Airflow asks of a provider. Made by `make provider-info`: do not edit."""

PROVIDER_INFO = '''


def build() -> dict[str, Any]:
    """Return the provider info for the backends as they are."""
    # Here, since the hooks import Airflow: see below.
    from airflow_provider_runs.backends import BACKENDS
    from airflow_provider_runs.hooks import hook_name

    def modules(module: str) -> list[dict[str, Any]]:
        return [{"integration-name": NAME, "python-modules": [f"{PACKAGE}.{module}"]}]

    return {
        "package-name": "airflow-provider-runs",
        "name": NAME,
        "description": "Cancels long LLM runs and waits until they have really ended.",
        "integrations": [{"integration-name": NAME, "tags": ["service"]}],
        "hooks": modules("hooks"),
        "operators": modules("operators"),
        "sensors": modules("sensors"),
        "triggers": modules("triggers"),
        "notifications": [f"{PACKAGE}.notifications.CancelRunNotifier"],
        "connection-types": [
            backend.form.connection_type(f"{PACKAGE}.hooks.{hook_name(backend)}")
            for backend in BACKENDS
        ],
        "extra-links": [f"{PACKAGE}.links.RunLink"],
    }


def source() -> str:
    """Return the module's text, before it is formatted."""
    return f"{HEADER}{build()!r}\n"


if __name__ == "__main__":
    use_own_environment(ROOT / ".airflow")
    Path(sys.argv[1]).write_text(source(), encoding="utf-8")
