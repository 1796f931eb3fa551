"""Everything that a full run leaves behind, searched for odd keys that a server has echoed."""

from __future__ import annotations

import html
import json
import re
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

import pytest

from airflow_provider_runs.testing import RunScript
from tests.echo import EchoServer, answer, run, telling

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_runs.testing import RunServer
    from dev.local_airflow import LocalAirflow
    from tests.e2e.statsd import Statsd
    from tests.echo import Answer, Seen


class Odd(NamedTuple):
    """The secrets of a connection.

    :param key: the API key.
    :param token: the value of an extra header.
    :param proxy_password: the password of a proxy; empty if there is none.
    """

    key: str
    token: str
    proxy_password: str = ""


ODD = {
    "quotes": Odd(r"""Qv\n"7'Zk\\e"w\'Xy""", "t0~k9"),
    "template": Odd("{{ k9 }}%s{%x(a)d%%}-Wq", "Hw3{{z}}%d"),
    "five": Odd("G7~w&", "w8&Rn+5"),
    "long": Odd("Lq8" + "".join(f"{number:04x}" for number in range(500)), 'j5"Y\\u0041'),
    "patterns": Odd("a9+b/c?d=e&f#g^$.*[h](i)|{2}:@;Rt", "(Mz6|x)*$"),
    #: The one that is also in the reason for which a run has failed.
    "reason": Odd(r"""Ju\t"3'{{ z }}%(k)s&x""", "Ye5%41"),
    "escapes": Odd(r"\u0041K\x42\"\n\/Tt%41", "Pb2&amp;'", r"""Xw/4"\n@:pV'q8"""),
}
#: Not a secret, but as odd as one: what the search must find.
TEXT = r"""{{ n0 }}%s\u0041"s'e\\cret+?"""
ENDS = {
    "cancelled": "success",
    "refused": "failed",
    "refused_later": "failed",
    "deferred": "failed",
    "rescheduled": "failed",
    "denied": "failed",
}
#: The tables of the connections and of the logins of people.
NOT_READ = {"connection", "session", "revoked_token"}


def error(status: int) -> Answer:
    def echoed(seen: Seen) -> bytes:
        words = f"Your key {seen.key} is not known here: run {seen.run_id}, {seen.headers}"
        return answer(status, {"error": {"message": words, "type": "server_error", "code": "odd"}})

    return echoed


def text(seen: Seen) -> bytes:
    return answer(500, f"key {seen.key!r} is {seen.key}, {json.dumps(seen.headers)}")


def web_page(seen: Seen) -> bytes:
    return answer(200, f"<html><pre>{html.escape(seen.key)}</pre></html>", kind="text/html")


def bad_line(seen: Seen) -> bytes:
    return f"HTTP/1.1 200 OK\r\nwho sent {seen.key} and {seen.headers}\r\n\r\n".encode()


def reason(seen: Seen) -> bytes:
    return answer(503, reason=seen.key, lines=[f"x-request-id: {seen.key}"])


def redirect(seen: Seen) -> bytes:
    where = f"http://127.0.0.1/?key={quote(seen.key, safe='')}&token={seen.headers['x-token']}"
    return answer(307, lines=[f"location: {where}"])


def active(seen: Seen) -> bytes:
    return run(seen.run_id)


def failed(seen: Seen) -> bytes:
    told = {"code": "server_error", "message": f"The key {seen.key} failed: {seen.headers}"}
    return run(seen.run_id, "failed", last_error=told)


def between_looks(*answers: Answer) -> Iterator[Answer]:
    """Yield answers with the run between them: of failures in a row only the first is logged."""
    for each in answers:
        yield from (each, active)


class Leftovers:
    """All that has been left, by where it was."""

    def __init__(self) -> None:
        self._found: dict[str, bytes] = {}

    def add(self, where: str, what: object) -> None:
        data = what if isinstance(what, bytes) else str(what).encode(errors="surrogatepass")
        self._found[where] = self._found.get(where, b"") + data + b"\n"

    def holding(self, *texts: str) -> dict[str, str]:
        """Return where any of these texts is, with what is around it."""
        found = {}
        for where, data in self._found.items():
            at = max(data.find(each.encode()) for each in texts)
            if at >= 0:
                found[where] = data[max(0, at - 100) : at + 100].decode(errors="replace")
        return found


def listed(found: dict[str, str]) -> str:
    return "\n".join(f"{where}: …{what}…" for where, what in found.items())


def rows(airflow: LocalAirflow, table: str) -> Iterator[dict[str, Any]]:
    url = f"file:{airflow.home / 'airflow.db'}?mode=ro"
    with closing(sqlite3.connect(url, uri=True, timeout=60)) as database:
        database.text_factory = bytes
        found = database.execute(f'select * from "{table}"')
        names = [each[0] for each in found.description]
        for row in found:
            yield dict(zip(names, row, strict=True))


def keep_table(left: Leftovers, airflow: LocalAirflow, table: str) -> None:
    for row in rows(airflow, table):
        for name, value in row.items():
            left.add(f"table {table}, column {name}", value)


def keep_passing(left: Leftovers, airflow: LocalAirflow) -> None:
    """Keep what is there only while a task is deferred."""
    for row in rows(airflow, "trigger"):
        left.add("a trigger's parameters", row["kwargs"])
    for row in rows(airflow, "task_instance"):
        left.add("a deferred task's parameters", row["next_kwargs"])


def keep_all(left: Leftovers, airflow: LocalAirflow, dag_runs: dict[str, str]) -> None:
    for path in sorted(airflow.home.rglob("*")):
        if path.is_file() and not path.name.startswith("airflow.db"):
            left.add(f"file {path.relative_to(airflow.home)}", path.read_bytes())
    for row in list(rows(airflow, "sqlite_master")):
        name = row["name"].decode()
        if row["type"] == b"table" and name not in NOT_READ:
            keep_table(left, airflow, name)
    read = 0
    while page := airflow.call("GET", "/eventLogs", params={"offset": read})["event_logs"]:
        left.add("audit log", page)
        read += len(page)
    for dag_run in dag_runs.values():
        instances = airflow.task_instances("odd_keys", dag_run)
        left.add("task instances", instances)
        for task_id, instance in instances.items():
            left.add("rendered templates", instance["rendered_fields"])
            tries = range(1, instance["try_number"] + 1)
            for number in tries:
                left.add("task logs", airflow.log("odd_keys", dag_run, task_id, number))


@pytest.fixture(scope="module")
def echo() -> Iterator[EchoServer]:
    with EchoServer() as server:
        yield server


def prepare(airflow: LocalAirflow, run_server: RunServer, echo: EchoServer, name: str) -> str:
    """Make the connections of an odd key, and start the DAG with it."""
    odd = ODD[name]
    plain = {"host": run_server.base_url, "password": odd.key}
    airflow.create_connection(f"odd_{name}", "runs_assistants", **plain)
    extra = {"max_retries": 0, "headers": {"x-token": odd.token}}
    if odd.proxy_password:
        password = quote(odd.proxy_password, safe="")
        extra["proxy"] = f"http://odd:{password}@127.0.0.1:{echo.port}"
    fields = {"host": f"{echo.url}/v1", "password": odd.key, "extra": json.dumps(extra)}
    airflow.create_connection(f"echo_{name}", "runs_assistants", **fields)

    echo.plan(f"run_refused_{name}", active, methods=["GET"])
    echo.plan(f"run_refused_{name}", error(400), methods=["POST"])
    echo.plan(f"run_notified_{name}", error(500))
    spoiled = between_looks(error(500), text, bad_line, web_page, redirect, reason)
    echo.plan(f"run_deferred_{name}", *spoiled, failed if name == "reason" else error(404))
    echo.plan(f"run_rescheduled_{name}", active, reason, error(404))
    echo.plan(f"run_denied_{name}", error(403))
    ended = run_server.create_run(script=RunScript(queued_for=0, cancelling_for=1))
    ids = {"run_id": ended["id"], "thread_id": ended["thread_id"]}
    return airflow.trigger("odd_keys", {"name": name, **ids})


@pytest.fixture(scope="module")
def dag_runs(airflow: LocalAirflow, run_server: RunServer, echo: EchoServer) -> dict[str, str]:
    return {name: prepare(airflow, run_server, echo, name) for name in ODD}


@pytest.fixture(scope="module")
def left(
    airflow: LocalAirflow,
    run_server: RunServer,
    statsd: Statsd,
    dag_runs: dict[str, str],
) -> Leftovers:
    """Wait for the end of all tasks and callbacks, and keep what they leave."""
    left = Leftovers()
    shown = airflow.trigger("odd_text", {"text": TEXT})

    def ended() -> bool:
        keep_passing(left, airflow)
        states = [airflow.dag_run("odd_keys", each)["state"] for each in dag_runs.values()]
        return set(states) <= {"success", "failed"}

    airflow.wait_until(ended, timeout=600, waiting_for=lambda: f"the DAG runs {dag_runs}")
    for name, dag_run in dag_runs.items():
        airflow.wait_until(
            lambda: f"run_notified_{name}" in airflow.log("odd_keys", dag_run, "refused"),  # noqa: B023
            timeout=120,
            waiting_for=lambda: f"the callback of {name}",  # noqa: B023
        )
    assert airflow.wait_for_dag_run("odd_text", shown) == "success"
    keep_all(left, airflow, dag_runs)
    left.add("requests", run_server.requests)
    left.add("metrics", statsd.received)
    return left


@pytest.mark.usefixtures("left")
def test_the_tasks_meet_all_that_is_echoed(
    airflow: LocalAirflow, echo: EchoServer, dag_runs: dict[str, str]
) -> None:
    for name, dag_run in dag_runs.items():
        instances = airflow.task_instances("odd_keys", dag_run)
        assert {task_id: each["state"] for task_id, each in instances.items()} == ENDS
        assert echo.served["GET", f"run_deferred_{name}"] >= 13
        assert echo.served["GET", f"run_rescheduled_{name}"] >= 3
        for place in ("notified", "refused"):
            assert echo.served["POST", f"run_{place}_{name}"] > 0


def test_the_search_finds_a_text_that_is_no_secret(left: Leftovers) -> None:
    found = left.holding(*telling(TEXT))
    assert {"table xcom, column value", "table dag_run, column conf"} <= set(found)
    assert any(re.search(r"dag_id=odd_text/.*\.log", where) for where in found)


@pytest.mark.parametrize("name", ODD)
def test_the_search_finds_the_runs_of_each_key(
    left: Leftovers, airflow: LocalAirflow, dag_runs: dict[str, str], name: str
) -> None:
    for place in ("refused", "deferred", "rescheduled", "denied", "notified"):
        found = left.holding(f"run_{place}_{name}")
        logs = [each for each in found if re.search(r"dag_id=odd_keys/.*\.log", each)]
        assert logs, place
        assert "task logs" in found, place
    assert "a trigger's parameters" in left.holding(f"run_deferred_{name}")
    cancelled = airflow.xcom("odd_keys", dag_runs[name], "cancelled")["id"]
    assert {"table xcom, column value", "requests"} <= set(left.holding(cancelled))
    assert {"audit log", "table log, column extra"} <= set(left.holding(f"echo_{name}"))


@pytest.mark.parametrize("name", ODD)
def test_nothing_that_a_run_leaves_holds_its_key_or_more_than_a_little_of_it(
    left: Leftovers, name: str
) -> None:
    found = left.holding(*telling(ODD[name].key))
    assert not found, listed(found)


@pytest.mark.parametrize("name", ODD)
def test_nothing_that_a_run_leaves_holds_an_extra_header_or_a_proxy_password(
    left: Leftovers, name: str
) -> None:
    odd = ODD[name]
    secrets = [odd.token]
    if odd.proxy_password:
        secrets += [odd.proxy_password, f"odd:{odd.proxy_password}"]
    found = left.holding(*(text for secret in secrets for text in telling(secret)))
    assert not found, listed(found)
