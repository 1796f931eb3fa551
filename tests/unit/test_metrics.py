import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from inspect import signature

import airflow
import pytest

from airflow_provider_runs import metrics
from airflow_provider_runs.errors import RunsError
from airflow_provider_runs.flows.calls import get_run, glimpse_run
from airflow_provider_runs.flows.cancel import cancel_run
from airflow_provider_runs.models import RunRef, RunStatus
from tests.moments import PATIENCE

REF = RunRef("run_1", "thread_1")


class Sink:
    """Keeps what is reported."""

    def __init__(self) -> None:
        self.told: list[tuple[str, object]] = []

    def incr(self, stat: str, count: int = 1, *, tags: dict[str, str] | None = None) -> None:
        self.told.append((stat, (count, tags) if tags else count))

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


USAGE = {"prompt_tokens": 20, "completion_tokens": 3, "total_tokens": 23}


def test_tokens_are_counted_with_their_connection(sink):
    metrics.used("runs_default", USAGE)
    tags = {"conn_id": "runs_default"}
    assert sink.told == [
        ("runs.tokens.prompt", (20, tags)),
        ("runs.tokens.completion", (3, tags)),
        ("runs.tokens.total", (23, tags)),
    ]


@pytest.mark.parametrize("odd", [None, "5", 1.5, True, -1, 0, [5], {"n": 5}])
def test_what_is_no_number_of_tokens_is_not_counted(sink, odd):
    metrics.used("c", {"prompt_tokens": odd, "total_tokens": 7, "more_tokens": 8})
    assert sink.told == [("runs.tokens.total", (7, {"conn_id": "c"}))]


@pytest.fixture
def statsd() -> Iterator[Callable[..., list[str]]]:
    """Airflow's own StatsD logger, and what arrives from it."""
    client_class = pytest.importorskip("statsd").StatsClient
    try:
        from airflow.sdk._shared.observability.metrics.statsd_logger import SafeStatsdLogger
    except ImportError:  # Airflow 3.1
        from airflow.metrics.statsd_logger import SafeStatsdLogger
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(PATIENCE)
        client = client_class("127.0.0.1", receiver.getsockname()[1])

        def sent(conn_id: str, *, influxdb: bool) -> list[str]:
            options = {"influxdb_tags_enabled": influxdb}
            if "statsd_influxdb_enabled" in signature(SafeStatsdLogger).parameters:
                options["statsd_influxdb_enabled"] = influxdb
            metrics.report_to(SafeStatsdLogger(client, **options))
            metrics.used(conn_id, USAGE)
            return [receiver.recv(1024).decode() for _ in USAGE]

        yield sent
        client.close()
    from airflow.providers.common.compat.sdk import Stats

    metrics.report_to(Stats)


def test_statsd_without_tags_counts_the_tokens_of_all_connections(statsd):
    lines = ["runs.tokens.prompt:20|c", "runs.tokens.completion:3|c", "runs.tokens.total:23|c"]
    assert statsd("runs_default", influxdb=False) == lines
    assert statsd("another,one=odd:id", influxdb=False) == lines


@pytest.mark.skipif(
    airflow.__version__.startswith("3.1."), reason="there a setting says so, not a parameter"
)
@pytest.mark.parametrize("conn_id", ["a_b", "a,b", "a=b", "a:b", "a|b", "a b", "a#b", "a\nb"])
def test_statsd_with_tags_has_the_connection_whatever_its_name(statsd, conn_id):
    assert statsd(conn_id, influxdb=True) == [
        "runs.tokens.prompt,conn_id=a_b:20|c",
        "runs.tokens.completion,conn_id=a_b:3|c",
        "runs.tokens.total,conn_id=a_b:23|c",
    ]
