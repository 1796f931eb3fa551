"""What a connection of each type holds: the one definition behind form, provider info and settings.

The API server reads this to draw the form, so it is plain data: importing it loads nothing.
Each field is a JSON-schema fragment in the shape of Airflow's ``conn-fields``
(``provider.yaml.schema.json``).
"""

from __future__ import annotations

TYPE_CHECKING = False  # `typing` itself costs more to import than all of this module
if TYPE_CHECKING:
    from typing import Any

__all__ = ["COMMON_FIELDS", "ConnectionForm", "field"]


def field(
    label: str, kind: str, description: str, *, default: Any = None, **schema: Any
) -> dict[str, Any]:
    """Return one custom field of a connection form.

    :param label: the name a person reads.
    :param kind: JSON type: ``string``, ``integer``, ``number``, ``boolean`` or ``object``.
    :param description: the help text below the field.
    :param default: what an empty field means.
    :param schema: further JSON-schema words, such as ``enum`` or ``minimum``.
    """
    return {
        "label": label,
        "description": description,
        "schema": {"type": [kind, "null"], "default": default, **schema},
    }


#: The fields that every connection type has, because every HTTP call needs them.
COMMON_FIELDS: dict[str, dict[str, Any]] = {
    "timeout": field(
        "Timeout (seconds)",
        "number",
        "How long one call may wait to connect, to send and to be answered.",
        default=30,
        minimum=0.1,
        maximum=3600,
    ),
    "max_retries": field(
        "Maximum retries",
        "integer",
        "How often a call is sent again after a lost connection, 408, 409, 429 or 5xx.",
        default=3,
        minimum=0,
        maximum=100,
    ),
    "verify": field(
        "Verify TLS certificates", "boolean", "Switch off only for a test server.", default=True
    ),
    "ca_bundle": field(
        "CA bundle",
        "string",
        "Path of a file or folder with the certificates to trust instead of the usual ones.",
    ),
    "proxy": field(
        "Proxy",
        "string",
        "URL of an HTTP or SOCKS proxy. Empty: HTTPS_PROXY and its kin are obeyed.",
    ),
    "headers": field(
        "Extra headers", "object", 'Sent with every call, as JSON: {"x-team": "data"}.'
    ),
    "console_url": field(
        "Console link",
        "string",
        "Where the service shows a run: a URL with {run_id} and, where there are threads, "
        "{thread_id}. Empty: tasks have no link.",
    ),
}


class ConnectionForm:
    """A connection type: its name, its hook and the fields its form shows.

    :param conn_type: the type's name in a connection.
    :param label: its name in the list of types.
    :param hook_class: dotted path of its hook.
    :param default_base_url: used when ``host`` is empty; ``None`` makes the host required.
    :param placeholders: hints in the empty standard fields.
    :param fields: the custom fields, common ones included, by their name in ``extra``.
    :param key_label: what the password is called.
    """

    def __init__(
        self,
        conn_type: str,
        label: str,
        hook_class: str,
        default_base_url: str | None,
        placeholders: dict[str, str],
        fields: dict[str, dict[str, Any]],
        key_label: str = "API key",
    ) -> None:
        self.conn_type = conn_type
        self.label = label
        self.hook_class = hook_class
        self.default_base_url = default_base_url
        self.placeholders = placeholders
        self.fields = fields
        self.relabeling = {"host": "Base URL", "password": key_label}

    # The port stays visible although a URL can hold it: with a hidden one the UI sends 0 when a
    # stored connection is tested, and the server takes that for another host and refuses.
    hidden_fields = ("schema", "login", "extra")

    def connection_type(self) -> dict[str, Any]:
        """Return the entry of ``connection-types`` in the provider info (Airflow 3.2 and later)."""
        return {
            "connection-type": self.conn_type,
            "hook-class-name": self.hook_class,
            "hook-name": self.label,
            "conn-fields": self.fields,
            "ui-field-behaviour": {
                "hidden-fields": list(self.hidden_fields),
                "relabeling": self.relabeling,
                "placeholders": self.placeholders,
            },
        }

    def ui_field_behaviour(self) -> dict[str, Any]:
        """Return what Airflow 3.1 asks the hook for: the standard fields' looks."""
        return {
            "hidden_fields": list(self.hidden_fields),
            "relabeling": self.relabeling,
            "placeholders": self.placeholders,
        }

    def widgets(self) -> dict[str, Any]:
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
