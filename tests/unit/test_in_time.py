import threading

import pytest

from airflow_provider_runs.transport.in_time import in_time


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
