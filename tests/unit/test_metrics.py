import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta

import pytest

from airflow_provider_runs import metrics
from airflow_provider_runs.errors import RunsError
from airflow_provider_runs.flows.calls import get_run, glimpse_run
from airflow_provider_runs.flows.cancel import cancel_run
from airflow_provider_runs.models import RunRef, RunStatus

REF = RunRef("run_1", "thread_1")


class Sink:
    """Keeps what is reported."""

    def __init__(self) -> None:
        self.told: list[tuple[str, object]] = []

    def incr(self, stat: str) -> None:
        self.told.append((stat, 1))

    def timing(self, stat: str, dt: timedelta) -> None:
        self.told.append((stat, dt))

    def gauge(self, stat: str, value: float) -> None:
        self.told.append((stat, value))


@pytest.fixture
def sink() -> Iterator[Sink]:
    from airflow.providers.common.compat.sdk import Stats

    sink = Sink()
    metrics.report_to(sink)
    yield sink
    metrics.report_to(Stats)


def test_importing_the_hooks_reports_to_nobody_and_making_one_reports_to_airflow():
    code = (
        "from airflow_provider_runs import hooks, metrics\n"
        "assert metrics._sinks == []\n"
        "hooks.RunsHook()\n"
        "assert metrics._sinks == [hooks.Stats]\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_what_a_trigger_loads_before_it_waits_reports_to_airflow():
    """Else the first wait of a triggerer would be missing among those that go on."""
    code = (
        "from airflow_provider_runs import metrics, triggers\n"
        "assert metrics._sinks == []\n"
        "triggers._warm_up()\n"
        "from airflow_provider_runs import hooks\n"
        "assert metrics._sinks == [hooks.Stats]\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_counts_times_and_gauges_have_one_prefix(sink):
    metrics.count("polls")
    metrics.took("poll_seconds", 1.5)
    metrics.watched(2)
    metrics.watched(-2)
    assert [name for name, _ in sink.told] == [
        *("runs.polls", "runs.poll_seconds", "runs.watched", "runs.watched")
    ]
    values = [value for _, value in sink.told]
    assert values[:2] == [1, timedelta(seconds=1.5)]
    assert values[2] - values[3] == 2


def test_the_end_of_a_cancel_is_counted_by_its_status_and_timed(sink):
    metrics.cancelled(RunStatus.EXPIRED, 2)
    metrics.cancelled(RunStatus.of("a word that would be a metric of its own"), 3)
    counts = [name for name, value in sink.told if value == 1]
    assert counts == ["runs.cancels.expired", "runs.cancels.unknown"]
    assert ("runs.cancel_seconds", timedelta(seconds=2)) in sink.told


def test_calls_count_what_the_readme_says(sink, player, make_backend, run_is, refusal):
    backend = make_backend(max_retries=1)
    player.run(glimpse_run(backend, REF), run_is("queued"))
    player.run(get_run(backend, REF), refusal(429), run_is("queued"))
    player.run(cancel_run(backend, REF), run_is("cancelling"))
    with pytest.raises(RunsError):
        player.run(cancel_run(backend, REF), refusal(400), run_is("in_progress"))
    counts = [name for name, value in sink.told if value == 1]
    assert counts == [
        "runs.polls",
        "runs.rate_limited",
        "runs.errors.RunsRateLimited",
        "runs.cancels.accepted",
        "runs.errors.RunsAPIError",
        "runs.cancels.refused",
    ]
