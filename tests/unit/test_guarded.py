"""What the demo and the tests start does not outlive them: dev/guarded.py."""

import os
import signal

import pytest

from dev.guarded import Guard


@pytest.fixture
def guard():
    guard = Guard(lambda: None)
    guard.up()
    yield guard
    guard.down()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_waits_until_a_server_is_noted(guard, number):
    """It came between the start of a process and the note of it, which was never stopped."""
    noted = []

    def start():
        with guard.uninterrupted():
            os.kill(os.getpid(), number)
            noted.append("the server")

    with pytest.raises(KeyboardInterrupt):
        start()
    assert noted == ["the server"]


def test_the_handlers_are_as_before(guard):
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with guard.uninterrupted():
        assert signal.getsignal(signal.SIGTERM) not in before
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before
