"""The forms: drawn as they are defined, and what is typed is what is stored."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

from playwright.sync_api import expect

from tests.e2e_browser.case import HEADER_TOKEN, MASK, PROXY_PASSWORD, SECRETS

if TYPE_CHECKING:
    from dev.local_airflow import LocalAirflow
    from tests.e2e_browser.case import Case
    from tests.e2e_browser.connection_pages import ConnectionDialog, ConnectionList
    from tests.e2e_browser.proxy import Proxy


def test_the_form_is_drawn_as_it_is_defined(connections: ConnectionList, case: Case) -> None:
    form = case.form
    dialog = connections.add()
    dialog.choose_type(form.label)

    for name in ("host", "port"):
        expect(dialog.standard(name)).to_have_attribute("placeholder", form.placeholders[name])
    for name, label in form.relabeling.items():
        expect(dialog.root.get_by_label(label, exact=True)).to_have_attribute("name", name)
    expect(dialog.standard("password")).to_have_attribute("type", "password")
    for name in ("login", "schema"):
        assert name in form.hidden_fields
        expect(dialog.standard(name)).to_have_count(0)

    dialog.open_extra()
    shown = dialog.root.locator("[data-part=helper-text]")
    expect(shown.filter(visible=True)).to_have_count(len(form.fields) + 1)  # and the type's
    for name, spec in form.fields.items():
        field, schema = dialog.extra(name), spec["schema"]
        expect(field.locator("label").first).to_have_text(spec["label"])
        expect(field.locator("[data-part=helper-text]")).to_have_text(spec["description"])
        expect(field.get_by_role("combobox")).to_have_count(int("enum" in schema))
        expect(field.locator("label[data-scope=switch]")).to_have_count(
            int(schema["type"][0] == "boolean")
        )
        assert _shown(dialog, name, schema) == _empty(schema)
        if "enum" in schema:
            assert dialog.choices(name) == schema["enum"]


def test_what_is_typed_is_stored_and_works(
    connections: ConnectionList, airflow: LocalAirflow, case: Case, proxy: Proxy
) -> None:
    dialog = connections.add()
    dialog.standard("connection_id").fill(case.conn_id)
    dialog.choose_type(case.form.label)
    for name, value in case.standard.items():
        dialog.standard(name).fill(value)
    dialog.open_extra()
    for name, value in case.extra.items():
        dialog.fill_extra(name, value)
    dialog.save()

    _check_stored(airflow, case, case.shown)
    ok, words = connections.test(case.conn_id)
    assert (ok, words) == (True, f"Connected to {case.host}, and the key is valid.")
    _check_call(case, proxy)


def test_editing_one_field_keeps_the_rest(
    stored: Case, connections: ConnectionList, airflow: LocalAirflow, proxy: Proxy
) -> None:
    dialog = connections.edit(stored.conn_id)
    expect(dialog.standard("connection_id")).to_have_value(stored.conn_id)
    for name, value in {**stored.standard, "password": MASK}.items():
        expect(dialog.standard(name)).to_have_value(value)
    dialog.open_extra()
    fields = stored.form.fields.items()
    assert {name: _shown(dialog, name, spec["schema"]) for name, spec in fields} == stored.shown
    values = dialog.page.locator("input, textarea").evaluate_all("all => all.map(e => e.value)")
    seen = f"{dialog.page.content()} {values} {dialog.page.context.storage_state()}"
    assert [secret for secret in SECRETS if secret in seen] == []

    dialog.fill_extra("max_retries", 9)
    dialog.save()

    _check_stored(airflow, stored, {**stored.shown, "max_retries": 9})
    ok, words = connections.test(stored.conn_id)
    assert ok, words
    _check_call(stored, proxy)


def _shown(dialog: ConnectionDialog, name: str, schema: dict[str, Any]) -> Any:
    return dialog.extra_value(name, schema["type"][0])


def _empty(schema: dict[str, Any]) -> Any:
    nothing = {} if schema["type"][0] == "object" else ""
    return nothing if schema["default"] is None else schema["default"]


def _check_stored(airflow: LocalAirflow, case: Case, extra: dict[str, Any]) -> None:
    stored = airflow.connection(case.conn_id)
    fields = ("conn_type", "description", "host", "port", "login", "schema", "password")
    assert {name: stored[name] for name in fields} == {
        **dict.fromkeys(("login", "schema")),
        "conn_type": case.form.conn_type,
        "description": case.standard["description"],
        "host": case.host,
        "port": case.port,
        "password": MASK,
    }
    # As text, because False == 0 and 7 == 7.0.
    assert json.dumps(json.loads(stored["extra"]), sort_keys=True) == json.dumps(
        extra, sort_keys=True
    )


def _check_call(case: Case, proxy: Proxy) -> None:
    """Check what only the masked fields can have brought about."""
    passed = proxy.seen[-1]
    name = f"browser:{PROXY_PASSWORD}".encode()
    assert passed["proxy-authorization"] == f"Basic {base64.b64encode(name).decode()}"
    assert passed["x-token"] == HEADER_TOKEN
    assert case.server.requests[-1].headers["x-team"] == "data"
    assert case.server.requests[-1].status == 200
