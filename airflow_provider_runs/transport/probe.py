"""Whether a connection works: what the Test button of its form asks."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from airflow_provider_runs.errors import RunsError
from airflow_provider_runs.flows import calls
from airflow_provider_runs.transport.clients import make_client
from airflow_provider_runs.transport.drivers import drive

if TYPE_CHECKING:
    from airflow_provider_runs.backends import Backend

__all__ = ["probe_in_time"]

#: Seconds that the Test button of the connection form may take: it blocks a web server's thread.
TEST_BUDGET = 5.0


def probe_in_time(backend: Backend) -> tuple[bool, str]:
    """Make the cheap call that needs the key, in a few seconds.

    :return: whether it succeeded, and words that say what to do if not.
    """
    settings = backend.settings
    timeout = min(settings.options.timeout, TEST_BUDGET)
    hurried = type(backend)(settings.with_options(timeout=timeout, max_retries=0))
    # Of a web server's thread that waits here. A server whose answer drips in can hold up a
    # blocking client for longer than any timeout says; then the answer is not waited for.
    end: list[tuple[bool, str]] = []
    thread = threading.Thread(target=lambda: end.append(_probe(hurried)), daemon=True)
    thread.start()
    thread.join(TEST_BUDGET + 2)
    late = f"{settings.base_url} has not answered in {TEST_BUDGET + 2:.0f} s. Check that it is up."
    return end[0] if end else (False, late)


def _probe(backend: Backend) -> tuple[bool, str]:
    try:
        with make_client(backend) as http:
            drive(calls.probe(backend), http)
    except RunsError as error:
        return False, error.message
    return True, f"Connected to {backend.settings.base_url}, and the key is good."
