"""What Test Connection says of a connection that does not work."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dev.airflow_processes import free_port
from tests.e2e_browser.case import SECRETS, WRONG_KEY

if TYPE_CHECKING:
    from tests.e2e_browser.case import Case
    from tests.e2e_browser.connection_pages import ConnectionList


def test_a_wrong_key_is_called_one(stored_direct: Case, connections: ConnectionList) -> None:
    dialog = connections.edit(stored_direct.conn_id)
    dialog.standard("password").fill(WRONG_KEY)
    dialog.save()

    ok, words = connections.test(stored_direct.conn_id)

    assert not ok
    assert words.startswith("401, the key was refused: ")
    assert ", connection '" in words  # Airflow tests it under another name
    assert "Put a key that is allowed to do this into the connection's password." in words
    assert [secret for secret in SECRETS if secret in words] == []


def test_a_dead_host_is_called_one(stored_direct: Case, connections: ConnectionList) -> None:
    port = free_port()
    host = stored_direct.host.replace(str(stored_direct.port), str(port))
    dialog = connections.edit(stored_direct.conn_id)
    dialog.standard("host").fill(host)
    dialog.standard("port").fill(str(port))
    dialog.save()

    ok, words = connections.test(stored_direct.conn_id)

    assert not ok
    assert words.startswith("The host cannot be reached: ")
    advice = f"Check that {host} is up, and the connection's host, port, TLS and proxy settings."
    assert advice in words
