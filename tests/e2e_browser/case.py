"""What is typed into the form of a connection type: something into every field that it has."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_provider_runs.connections.forms import ConnectionForm
    from airflow_provider_runs.testing import RunServer
    from dev.airflow_rest import AirflowRest

KEY = "sk-browser-5b1f7e0c93"
WRONG_KEY = "sk-browser-wrong-77aa"
PROXY_PASSWORD = "pw-browser-4410d2"
HEADER_TOKEN = "tk-browser-08ce31"
SECRETS = (KEY, WRONG_KEY, PROXY_PASSWORD, HEADER_TOKEN)

MASK = "***"
#: Fields of which not every text will do.
_GIVEN = {
    "authority": "https://login.example.test",
    "final_statuses": "done=completed, aborted=cancelled",
    "console_url": "https://console.test/{run_id}",
    "headers": {"x-team": "data", "x-token": HEADER_TOKEN},
    "max_answer": 6.5,
    "max_retries": 7,
    "timeout": 12.5,
}


@dataclass(frozen=True)
class Case:
    """A connection of one type to a real server; all its fields differ from their defaults.

    :param form: the definition of the type's form.
    :param server: speaks the type's dialect.
    :param host: what is typed as its base URL.
    :param port: what is typed as its port.
    :param extra: what is typed into the fields of the type.
    """

    form: ConnectionForm
    server: RunServer
    host: str
    port: int
    extra: dict[str, Any]

    @classmethod
    def of(cls, form: ConnectionForm, server: RunServer, proxy: str) -> Case:
        """Return the case for a type."""
        given = {**_GIVEN, "proxy": proxy}
        extra = {
            name: given.get(name, _another(name, spec["schema"]))
            for name, spec in form.fields.items()
        }
        return cls(form, server, server.base_url, server.port, extra)

    @property
    def conn_id(self) -> str:
        """The connection's id."""
        return f"typed_{self.form.conn_type}"

    @property
    def standard(self) -> dict[str, str]:
        """What is typed into the standard fields."""
        return {
            "description": "Typed in a browser",
            "host": self.host,
            "password": KEY,
            "port": str(self.port),
        }

    @property
    def shown(self) -> dict[str, Any]:
        """The extra as Airflow shows it: it masks what has a telling name."""
        shown = dict(self.extra)
        if shown["proxy"]:
            shown["proxy"] = MASK
        return {**shown, "headers": {**shown["headers"], "x-token": MASK}}

    def without_proxy(self) -> Case:
        """Return the same with an empty field ``proxy``."""
        return replace(self, extra={**self.extra, "proxy": None})

    def store(self, airflow: AirflowRest) -> None:
        """Store the connection without the form's help."""
        fields = {**self.standard, "port": self.port, "extra": json.dumps(self.extra)}
        airflow.create_connection(self.conn_id, self.form.conn_type, **fields)


def _another(name: str, schema: dict[str, Any]) -> Any:
    if "enum" in schema:
        return schema["enum"][-1]
    if schema["type"][0] == "boolean":
        return not schema["default"]
    return f"typed-{name}"
