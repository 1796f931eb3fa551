"""The test of a connection, for the Test button of its form."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_runs.errors import RunsError
from airflow_provider_runs.flows import calls
from airflow_provider_runs.transport.clients import make_client
from airflow_provider_runs.transport.drivers import drive
from airflow_provider_runs.transport.in_time import in_time

if TYPE_CHECKING:
    from airflow_provider_runs.backends import Backend

__all__ = ["probe_in_time"]

#: Seconds that the test may take: it blocks a thread of the web server.
TEST_BUDGET = 5.0


def probe_in_time(backend: Backend) -> tuple[bool, str]:
    """Make one cheap call that needs the key. It takes a few seconds at most.

    :param backend: of the connection to test.
    :return: whether it succeeded, and a text that says what to do if it did not.
    """
    settings = backend.settings
    timeout = min(settings.options.timeout, TEST_BUDGET)
    hurried = type(backend)(settings.with_options(timeout=timeout, max_retries=0))
    try:
        # Several calls belong to it, each with a bound of its own; the web server's thread waits.
        return in_time(lambda: _probe(hurried), TEST_BUDGET + 2)
    except TimeoutError:
        late = f"{settings.base_url} timed out after {TEST_BUDGET + 2:.0f} s. Check that it is up."
        return False, late


def _probe(backend: Backend) -> tuple[bool, str]:
    settings = backend.settings
    try:
        with make_client(backend) as http:
            knows_key = drive(calls.probe(backend), http)
    except RunsError as error:
        return False, error.message
    except BaseException as error:  # noqa: BLE001 - the user is to see it, and it ends this thread
        return (
            False,
            f"The test itself failed. {settings.shown(f'{type(error).__name__}: {error}')}",
        )
    if knows_key:
        return True, f"Connected to {settings.base_url}, and the key is valid."
    return True, (
        f"Connected to {settings.base_url}, and it serves runs. This test cannot tell whether the "
        f"key is valid: the server has no call to {backend.probe().what}."
    )
