import signal
import threading

import pytest

from airflow_provider_runs.transport.in_time import Job, in_time
from tests.moments import PATIENCE


def test_what_work_returns_and_raises_comes_out():
    assert in_time(lambda: 5, 10) == 5
    assert in_time(lambda: None, None) is None
    with pytest.raises(KeyError, match="x"):
        in_time(lambda: {}["x"], 10)


def test_work_that_takes_too_long_is_given_up_on():
    end = threading.Event()
    with pytest.raises(TimeoutError, match="longer than"):
        in_time(end.wait, 0.05)
    end.set()


def test_a_job_goes_on_when_the_wait_for_it_is_interrupted():
    """As Airflow interrupts a task that times out: by an exception from a signal's handler."""
    end = threading.Event()
    job = Job(lambda: end.wait(PATIENCE)).begin()

    def interrupt(*_):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGUSR1, interrupt)
    timer = threading.Timer(
        0.2, lambda: signal.pthread_kill(threading.main_thread().ident, signal.SIGUSR1)
    )
    try:
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            job.wait()
    finally:
        signal.signal(signal.SIGUSR1, before)
    with pytest.raises(TimeoutError):
        job.wait(0.05)
    end.set()
    assert job.wait(PATIENCE) is True


def test_a_job_has_begun_when_it_is_told_to():
    job = Job(lambda: 5)
    assert not job.has_begun
    assert job.begin().wait() == 5
    assert job.has_begun
