"""What the form of a connection type shows, derived from the type's options.

Each field becomes a JSON-schema fragment in the shape of Airflow's ``conn-fields``
(``provider.yaml.schema.json``).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow_provider_runs.connections.fields import ConnectionOptions

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_runs.plain_json import JsonObject

__all__ = ["ConnectionForm", "form_fields"]

#: What the form takes over of a field's JSON schema.
_RULES = ("enum", "minimum", "maximum")


def form_fields(options: type[ConnectionOptions]) -> dict[str, JsonObject]:
    """Return the custom fields of a form: a type's own ones first, then those of all types.

    :param options: what connections of the type hold.
    """
    schema = options.model_json_schema()["properties"]
    common = ConnectionOptions.model_fields
    own = [name for name in options.model_fields if name not in common]
    return {name: _field(schema[name]) for name in (*own, *common)}


def _field(schema: Mapping[str, Any]) -> JsonObject:
    kind = schema.get("type") or schema["anyOf"][0]["type"]  # the other one is null
    rules = {name: schema[name] for name in _RULES if name in schema}
    return {
        "label": schema["title"],
        "description": schema["description"],
        "schema": {"type": [kind, "null"], "default": schema.get("default"), **rules},
    }


@dataclass(frozen=True)
class ConnectionForm:
    """A connection type: its name, what it holds and how its form looks.

    :param conn_type: the type's name in a connection.
    :param label: its name in the list of types.
    :param default_base_url: used when ``host`` is empty; ``None`` makes the host required.
    :param placeholders: hints in the empty standard fields.
    :param options: what ``extra`` holds.
    :param key_label: what the password is called.
    """

    conn_type: str
    label: str
    default_base_url: str | None
    placeholders: Mapping[str, str]
    options: type[ConnectionOptions]
    key_label: str = "API key"

    # The port stays visible although a URL can hold it: with a hidden one the UI sends 0 when a
    # stored connection is tested, and the server takes that for another host and refuses.
    hidden_fields = ("schema", "login", "extra")

    @property
    def relabeling(self) -> dict[str, str]:
        """What standard fields are called here."""
        return {"host": "Base URL", "password": self.key_label}

    @cached_property
    def fields(self) -> dict[str, JsonObject]:
        """The custom fields, by their name in ``extra``."""
        return form_fields(self.options)

    def connection_type(self, hook_class: str) -> JsonObject:
        """Return the entry of ``connection-types`` in the provider info (Airflow 3.2 and later).

        :param hook_class: dotted path of the type's hook.
        """
        return {
            "connection-type": self.conn_type,
            "hook-class-name": hook_class,
            "hook-name": self.label,
            "conn-fields": self.fields,
            "ui-field-behaviour": {
                name.replace("_", "-"): looks for name, looks in self.ui_field_behaviour().items()
            },
        }

    def ui_field_behaviour(self) -> JsonObject:
        """Return what Airflow 3.1 asks the hook for: the standard fields' looks."""
        return {
            "hidden_fields": list(self.hidden_fields),
            "relabeling": self.relabeling,
            "placeholders": dict(self.placeholders),
        }

    def widgets(self) -> JsonObject:
        """Return what Airflow 3.1 asks the hook for: a WTForms field for each custom field.

        It knows no numbers with a fraction and no objects: both are typed in as text there.

        :raises ImportError: without WTForms, which Airflow 3.1 stands in for when it asks.
        """
        from wtforms import BooleanField, IntegerField, StringField
        from wtforms.validators import any_of

        kinds = {"boolean": BooleanField, "integer": IntegerField}
        return {
            name: kinds.get(spec["schema"]["type"][0], StringField)(
                spec["label"],
                validators=[any_of(spec["schema"]["enum"])] if "enum" in spec["schema"] else None,
                description=spec["description"],
                default=spec["schema"]["default"],
            )
            for name, spec in self.fields.items()
        }
