"""``python -m airflow_provider_runs.testing``."""

from __future__ import annotations

import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

import httpx
import pytest

from airflow_provider_runs.testing.__main__ import main
from airflow_provider_runs.testing.dialects import DIALECTS
from tests.moments import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Iterator

COMMAND = [sys.executable, "-m", "airflow_provider_runs.testing"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_command_serves_until_a_signal(number: signal.Signals) -> None:
    command = [*COMMAND, "--port", "0", "--api-key", "sk-1", "--queued-for", "0", "--ends", "odd"]
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process,
        ExitStack() as stack,
    ):
        assert process.stdout is not None
        stack.callback(process.kill)
        url = process.stdout.readline().split()[3]
        *_, setting = shlex.split(process.stdout.readline())
        connection = json.loads(setting.partition("=")[2])
        assert (connection["host"], connection["password"]) == (url, "sk-1")
        assert process.stdout.readline().startswith("or: airflow connections add")
        for path in ("/threads", "/threads/THREAD_ID/runs"):
            assert process.stdout.readline().endswith(f" {url}{path}\n")

        headers = {"Authorization": f"Bearer {connection['password']}"}
        assert httpx.get(f"{url}/v1/assistants", headers=headers).status_code == 200
        assert process.stdout.readline().endswith(" GET /assistants -> 200\n")
        process.send_signal(number)
        assert process.wait(PATIENCE) == 0
        assert process.stdout.read() == ""


@pytest.fixture
def signals() -> Iterator[None]:
    numbers = (signal.SIGINT, signal.SIGTERM)
    handlers = [signal.getsignal(number) for number in numbers]
    yield
    for number, handler in zip(numbers, handlers, strict=True):
        signal.signal(number, handler)


@pytest.mark.usefixtures("signals")
def test_options_make_the_script(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    answers = []

    def client() -> None:
        base_url = f"http://127.0.0.1:{port}"
        with httpx.Client(base_url=base_url, headers={"api-key": "x"}) as client:
            while True:
                try:
                    thread = client.post("/threads").json()["id"]
                    break
                except httpx.ConnectError:
                    time.sleep(0.02)
            path = f"/threads/{thread}/runs"
            answers.append(client.post(path, json={"assistant_id": "a"}).json())
            answers.append(client.post(f"{path}/{answers[0]['id']}/cancel").json())
        os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=client, daemon=True)
    thread.start()
    options = "--queued-for 0 --runs-for inf --cancelling-for 0 --cancel-ends expired"
    assert main([*options.split(), "--port", str(port)]) == 0
    thread.join()
    assert [run["status"] for run in answers] == ["in_progress", "expired"]
    assert f"Run server at http://127.0.0.1:{port} " in capsys.readouterr().out


@pytest.mark.usefixtures("signals")
def test_bad_options_are_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["--runs-for", "-1"])
    assert stopped.value.code == 2
    assert "runs_for must be 0 or more seconds" in capsys.readouterr().err

    with socket.create_server(("127.0.0.1", 0)) as taken:
        with pytest.raises(SystemExit):
            main(["--port", str(taken.getsockname()[1])])
        assert "in use" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("dialect", "steps"), [(name, len(kind.start_requests)) for name, kind in DIALECTS.items()]
)
def test_the_greeting_says_how_to_start_a_run(dialect: str, steps: int) -> None:
    command = [*COMMAND, "--dialect", dialect, "--api-key", "sk 1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            url, setting, _, *curls = (process.stdout.readline() for _ in range(3 + steps))
            connection = json.loads(shlex.split(setting)[-1].partition("=")[2])
            assert connection["conn_type"] == f"runs_{dialect}"
            assert connection["host"].startswith(url.split()[3])
            answer: dict[str, str] = {}
            for curl in curls:
                words = shlex.split(curl.removeprefix("to start a run: "))
                program, option, header, json_option, body, target = words
                assert (program, option, json_option) == ("curl", "-H", "--json")
                thread_id = answer.get("thread_id") or answer.get("id") or ""
                target = target.replace("THREAD_ID", thread_id)
                headers = dict([header.split(": ")])
                answer = httpx.post(target, headers=headers, content=body).json()
            assert answer["status"] in {"queued", "pending"}
        finally:
            process.terminate()


@pytest.mark.usefixtures("signals")
def test_an_unknown_dialect_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--dialect", "Klingon"])
    assert "invalid choice: 'Klingon'" in capsys.readouterr().err
