import signal
import threading

import pytest

from airflow_provider_runs.transport.in_time import Job, in_time


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


class TaskTimeout(BaseException):
    """What Airflow raises where a task is when its ``execution_timeout`` is over."""


@pytest.fixture
def timeout_soon():
    def end(*_):
        raise TaskTimeout

    before = signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.usefixtures("timeout_soon")
def test_an_end_can_be_awaited_after_a_wait_for_it_was_interrupted():
    """``Thread.join()`` cannot, up to Python 3.12."""
    end = threading.Event()
    job = Job(lambda: end.wait() and "the run").begin()
    with pytest.raises(TaskTimeout):
        job.wait()

    with pytest.raises(TimeoutError):
        job.wait(0.05)
    threading.Timer(0.05, end.set).start()

    assert job.wait(30) == "the run"
    assert job.wait() == "the run"


def test_a_job_has_begun_when_it_is_told_to():
    job = Job(lambda: 5)
    assert not job.has_begun
    assert job.begin().wait() == 5
    assert job.has_begun


def test_a_job_that_was_not_begun_is_not_waited_for():
    """What interrupts a task may come right before."""
    with pytest.raises(TimeoutError, match="not begun"):
        Job(lambda: 5).wait()
