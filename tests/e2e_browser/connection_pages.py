"""The pages of Airflow's UI for connections, as a person uses them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from playwright.sync_api import expect

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page


class ConnectionList:
    """Admin, Connections."""

    def __init__(self, page: Page) -> None:
        self.page = page

    def open(self) -> None:
        """Go to the list."""
        self.page.goto("/connections")
        expect(self.page.get_by_role("button", name="Add Connection")).to_be_visible()

    def add(self) -> ConnectionDialog:
        """Press Add Connection."""
        self.page.get_by_role("button", name="Add Connection").click()
        return ConnectionDialog(self.page)

    def edit(self, conn_id: str) -> ConnectionDialog:
        """Press Edit Connection in a row."""
        self.row(conn_id).get_by_role("button", name="Edit Connection").click()
        return ConnectionDialog(self.page)

    def test(self, conn_id: str) -> tuple[bool, str]:
        """Press Test Connection in a row; return whether it succeeded, and the words shown."""
        with self.page.expect_response("**/api/v2/connections/test") as answer:
            self.row(conn_id).get_by_role("button", name="Test Connection").click()
        said = answer.value.json()
        if answer.value.ok:
            words = said["message"]
            title = "Test Connection Successful" if said["status"] else "Test Connection Failed"
        else:
            title, words = "Test Connection Failed", answer.value.status_text
        toast = self.page.locator("[data-scope=toast][data-part=root]").filter(has_text=words)
        expect(toast.first).to_contain_text(title)
        return bool(said.get("status")), words

    def row(self, conn_id: str) -> Locator:
        """Return a connection's row."""
        cell = self.page.get_by_role("cell", name=conn_id, exact=True)
        return self.page.get_by_role("row").filter(has=cell)


class ConnectionDialog:
    """The form to add or edit a connection."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.root = page.get_by_role("dialog")

    def choose_type(self, label: str) -> None:
        """Choose the connection's type by its name."""
        types = self.root.get_by_role("combobox", name="Connection Type")
        types.fill(label)
        self.page.get_by_role("option", name=label, exact=True).click()

    def standard(self, name: str) -> Locator:
        """Return the input of a standard field."""
        return self.root.locator(f"[name={name}]")

    def open_extra(self) -> None:
        """Unfold the fields of the type."""
        self.root.get_by_role("button", name="Extra Fields", exact=True).click()

    def extra(self, name: str) -> Locator:
        """Return an extra field: label, input and help."""
        fields = self.root.locator("[data-scope=field][data-part=root]")
        inputs = f"#element_{name}, [name=element_{name}]"
        return fields.filter(has=self.page.locator(inputs))

    def choices(self, name: str) -> list[str]:
        """Return what a drop-down offers."""
        self.extra(name).get_by_role("combobox").click()
        offered = self.page.get_by_role("option").all_inner_texts()
        self.page.keyboard.press("Tab")  # closes it and not the dialog, as Escape would
        return offered

    def fill_extra(self, name: str, value: Any) -> None:
        """Put a value into an extra field, whatever its kind."""
        field, box = self.extra(name), self.root.locator(f"[name=element_{name}]")
        if isinstance(value, dict):
            self._paste(name, json.dumps(value))
        elif isinstance(value, bool):
            if box.is_checked() != value:
                # The input itself lies hidden behind what is drawn as a switch.
                field.locator("label[data-scope=switch]").click()
            expect(box).to_be_checked(checked=value)
        elif field.get_by_role("combobox").count():
            field.get_by_role("combobox").fill(str(value))
            self.page.get_by_role("option", name=str(value), exact=True).click()
        else:
            box.fill(str(value))

    def extra_value(self, name: str, kind: str) -> Any:
        """Return what an extra field shows, as JSON would have it.

        :param kind: the field's JSON type.
        """
        box = self.root.locator(f"[name=element_{name}]")
        if kind == "boolean":
            return box.is_checked()
        if kind == "object":
            lines = self.extra(name).locator(".view-lines")
            expect(lines).to_contain_text("}")
            return json.loads(lines.inner_text().replace("\xa0", " "))
        text = box.input_value()
        return json.loads(text) if kind in {"number", "integer"} else text

    def save(self) -> None:
        """Press Save, and see that it was."""
        self.root.get_by_role("button", name="Save").click()
        expect(self.root).to_be_hidden()

    def _paste(self, name: str, text: str) -> None:
        # Airflow's editor cannot be typed into: it lays the text out anew, under the cursor, as
        # soon as what is there is JSON.
        editor = self.extra(name).locator(f"#element_{name}")
        editor.locator(".view-line").first.click()
        self.page.evaluate("text => navigator.clipboard.writeText(text)", text)
        self.page.keyboard.press("Control+A")
        self.page.keyboard.press("Control+V")
