"""The form of a connection type, derived from the type's options.

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

#: The parts of a field's JSON schema that the form uses.
_RULES = ("enum", "minimum", "maximum")


def form_fields(options: type[ConnectionOptions]) -> dict[str, JsonObject]:
    """Return the custom fields of a form: the type's own first, then those of all types.

    :param options: the options of the connection type.
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
    """A connection type: its name, its fields and the look of its form.

    :param conn_type: the type's name in a connection.
    :param label: its name in the list of types.
    :param default_base_url: used when ``host`` is empty; ``None`` makes the host required.
    :param placeholders: hints in the empty standard fields.
    :param options: what ``extra`` may hold.
    :param key_label: the label of the password field.
    """

    conn_type: str
    label: str
    default_base_url: str | None
    placeholders: Mapping[str, str]
    options: type[ConnectionOptions]
    key_label: str = "API key"

    # The port stays visible although a URL can hold it: if it is hidden, the UI sends 0 when a
    # stored connection is tested, and Airflow's server takes that for another host and refuses.
    hidden_fields = ("schema", "login", "extra")

    @property
    def relabeling(self) -> dict[str, str]:
        """The labels of the standard fields."""
        return {"host": "Base URL", "password": self.key_label}

    @cached_property
    def fields(self) -> dict[str, JsonObject]:
        """The custom fields, by their names in ``extra``."""
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
        """Return what Airflow 3.1 asks the hook for: how the standard fields look."""
        return {
            "hidden_fields": list(self.hidden_fields),
            "relabeling": self.relabeling,
            "placeholders": dict(self.placeholders),
        }

    def widgets(self) -> JsonObject:
        """Return what Airflow 3.1 asks the hook for: a WTForms field for each custom field.

        Its form has no fields for fractions and objects: the user types both in as text.

        :raises ImportError: without WTForms; Airflow 3.1 has a stand-in for it when it asks.
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
