"""What holds in every dialect: the same scripts, faults and records behind different words."""

from __future__ import annotations

import json
import math
import re
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

import httpx
import pytest

from airflow_provider_runs.testing import (
    ApiError,
    Assistants,
    Fault,
    Foundry,
    LangGraph,
    Responses,
    RunScript,
    RunServer,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    Advance = Callable[[float], None]

WORDS = (
    "queued", "in_progress", "requires_action", "cancelling",
    "cancelled", "failed", "completed", "incomplete", "expired",
)  # fmt: skip
SAME = dict(zip(WORDS, WORDS, strict=True))


class Wire(NamedTuple):
    """What a client knows of a dialect."""

    base_path: str
    id: str  # where a run has its id
    path: str  # of a run
    creates: str  # the path that creates one
    body: dict[str, Any]
    nobody: str  # an id that could be a run's
    refusals: tuple[int, int]  # of a malformed id, and of a body that makes no sense
    words: dict[str, str]
    key_header: str = "api-key"


RUN = "/threads/{thread_id}/runs/{run_id}"
ASSISTANTS = Wire(
    "", "id", RUN, "/threads/{thread_id}/runs", {"assistant_id": "a"}, "run_x", (400, 400), SAME
)
WIRES = {
    "assistants": ASSISTANTS,
    "foundry": ASSISTANTS._replace(base_path="/api/projects/demo"),
    "langgraph": ASSISTANTS._replace(
        id="run_id",
        nobody="01a2b3c4-0000-4000-8000-000000000000",
        refusals=(422, 422),
        words={
            "queued": "pending",
            **dict.fromkeys(("in_progress", "cancelling"), "running"),
            "requires_action": "interrupted",
            "cancelled": "interrupted",
            "completed": "success",
            **dict.fromkeys(("failed", "incomplete"), "error"),
            "expired": "timeout",
        },
        key_header="x-api-key",
    ),
    "responses": Wire(
        "",
        "id",
        "/responses/{run_id}",
        "/responses",
        {"model": "m", "background": True},
        "resp_x",
        (400, 400),
        {
            **SAME,
            **dict.fromkeys(("requires_action", "cancelling"), "in_progress"),
            "expired": "failed",
        },
    ),
}

pytestmark = pytest.mark.parametrize("dialect", WIRES)


@pytest.fixture
def wire(dialect: str) -> Wire:
    return WIRES[dialect]


def said(client: httpx.Client, run: dict[str, Any]) -> list[str]:
    """Return what a run has put out, as a client of its dialect reads it."""
    if "thread_id" not in run:
        output = client.get(f"/responses/{run['id']}").json()["output"]
        return [part["text"] for message in output for part in message["content"]]
    thread = f"/threads/{run['thread_id']}"
    if "run_id" in run:
        messages = client.get(f"{thread}/state").json()["values"].get("messages", [])
        return [message["content"] for message in messages if message["type"] == "ai"]
    messages = client.get(f"{thread}/messages", params={"run_id": run["id"]}).json()["data"]
    return [part["text"]["value"] for message in messages for part in message["content"]]


def path_of(wire: Wire, run: dict[str, Any], **other: str) -> str:
    return wire.path.format(**{"run_id": run[wire.id], "thread_id": run.get("thread_id"), **other})


def create(client: httpx.Client, server: RunServer, wire: Wire, **body: object) -> httpx.Response:
    thread_id = server.create_thread() if server.dialect.has_threads else ""
    path = wire.creates.format(thread_id=thread_id)
    return client.post(path, json={**wire.body, **body})


def text_of(answer: httpx.Response) -> str:
    """Check what an error looks like and return its text."""
    body = answer.json()
    if "detail" in body:
        return str(body["detail"])
    assert body["error"].keys() == {"message", "type", "param", "code"}
    return str(body["error"]["message"])


# -- runs


def test_a_run_can_be_created_on_either_side(
    server: RunServer, client: httpx.Client, wire: Wire
) -> None:
    metadata = {"queued_for": "0", "team": "search"}
    answer = create(client, server, wire, metadata=metadata)
    assert answer.status_code == 200
    theirs, ours = answer.json(), server.create_run(metadata=metadata)
    assert theirs.keys() == ours.keys()
    assert theirs["metadata"] == metadata
    assert theirs["status"] == wire.words["in_progress"]
    for run in (theirs, ours):
        assert client.get(path_of(wire, run)).json() == run == server.run(run[wire.id])
    assert server.status(theirs[wire.id]) == "in_progress"


@pytest.mark.parametrize("status", [*WORDS, "warming_up"])
def test_every_status_has_its_word(
    server: RunServer, client: httpx.Client, wire: Wire, status: str
) -> None:
    run = server.create_run(script=RunScript(timeline=[(status, math.inf)]))
    shown = client.get(path_of(wire, run)).json()["status"]
    assert shown == wire.words.get(status, status)
    assert server.status(run[wire.id]) == status


def test_a_run_that_is_cancelled_lags(
    server: RunServer, client: httpx.Client, wire: Wire, advance: Advance
) -> None:
    run = server.create_run(script=RunScript(cancelling_for=3))
    cancelled = client.post(f"{path_of(wire, run)}/cancel")
    assert cancelled.is_success
    seen = []
    for seconds in (0, 2.9, 0.1):
        advance(seconds)
        seen.append((client.get(path_of(wire, run)).json()["status"], server.status(run[wire.id])))
    going = (wire.words["cancelling"], "cancelling")
    assert seen == [going, going, (wire.words["cancelled"], "cancelled")]


def test_a_run_ends_as_its_script_says_after_a_cancel(
    server: RunServer, client: httpx.Client, wire: Wire
) -> None:
    script = RunScript(cancelling_for=0, cancel_ends="completed")
    run = server.create_run(script=script)
    client.post(f"{path_of(wire, run)}/cancel")
    assert client.get(path_of(wire, run)).json()["status"] == wire.words["completed"]


@pytest.mark.parametrize("refusal", [400, 409, 503])
def test_a_script_may_refuse_cancels(
    server: RunServer, client: httpx.Client, wire: Wire, refusal: int
) -> None:
    run = server.create_run(script=RunScript(refuse_cancel=refusal))
    answer = client.post(f"{path_of(wire, run)}/cancel")
    assert answer.status_code == refusal
    assert text_of(answer) == "Cannot cancel run with status 'queued'."
    assert server.run(run[wire.id]) == run
    assert server.accepted_cancels() == 0


def test_of_many_cancels_at_once_one_is_accepted(
    server: RunServer, client: httpx.Client, wire: Wire
) -> None:
    run = server.create_run()
    path = f"{path_of(wire, run)}/cancel"
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: client.post(path), range(20)))
    assert server.accepted_cancels(run[wire.id]) == server.accepted_cancels() == 1
    assert len(server.requests) == 20


def test_runs_can_be_ended_and_deleted(server: RunServer, client: httpx.Client, wire: Wire) -> None:
    run = server.create_run()
    server.end(run[wire.id], "failed", {"code": "server_error", "message": "No."})
    assert client.get(path_of(wire, run)).json()["status"] == wire.words["failed"]
    server.delete(run[wire.id])
    for call in (client.get, lambda path: client.post(f"{path}/cancel")):
        answer = call(path_of(wire, run))
        assert answer.status_code == 404
        assert text_of(answer)
    for ask in (server.run, server.status, server.end, server.delete):
        with pytest.raises(ApiError) as refusal:
            ask(run[wire.id])
        assert refusal.value.status_code == 404


def test_ids_must_be_of_the_right_form(server: RunServer, client: httpx.Client, wire: Wire) -> None:
    run = server.create_run()
    assert client.get(path_of(wire, run, run_id=wire.nobody)).status_code == 404
    malformed, _ = wire.refusals
    for call in (client.get, lambda path: client.post(f"{path}/cancel")):
        answer = call(path_of(wire, run, run_id="nonsense"))
        assert answer.status_code == malformed
        assert text_of(answer).startswith("Invalid ")
    with pytest.raises(ApiError) as refusal:
        server.run("nonsense")
    assert refusal.value.status_code == malformed


@pytest.mark.parametrize(
    "change", [{"metadata": ["x"]}, {"metadata": {"runs_for": "long"}}, {"metadata": {"ends": 1}}]
)
def test_a_run_needs_a_proper_body(
    server: RunServer, client: httpx.Client, wire: Wire, change: dict[str, Any]
) -> None:
    _, refusal = wire.refusals
    answer = create(client, server, wire, **change)
    if wire.id == "run_id" and "ends" in change["metadata"]:
        assert answer.status_code == 200  # LangGraph's metadata may hold anything
    else:
        assert answer.status_code == refusal
        assert "metadata" in text_of(answer)

    thread_id = server.create_thread() if server.dialect.has_threads else ""
    path = wire.creates.format(thread_id=thread_id)
    for content in (b"{", b"[]", b"{}", b'{"assistant_id": 1, "model": 1}'):
        assert client.post(path, content=content).status_code == refusal


def test_scripts_queue_for_runs_over_http(
    server: RunServer, client: httpx.Client, wire: Wire
) -> None:
    for ends in ("failed", "completed"):
        server.next_run(RunScript(queued_for=0, runs_for=0, ends=ends))
    assert server.status(server.create_run()[wire.id]) == "queued"
    seen = [create(client, server, wire).json()["status"] for _ in range(3)]
    assert seen == [wire.words[word] for word in ("failed", "completed", "queued")]


def test_what_is_returned_is_a_copy(server: RunServer, wire: Wire) -> None:
    run = server.create_run(metadata={"team": "search"})
    run["metadata"]["team"] = "other"
    assert server.run(run[wire.id])["metadata"] == {"team": "search"}


def test_only_known_fields_can_be_given(server: RunServer) -> None:
    with pytest.raises(TypeError, match="without colour, status"):
        server.create_run(status="completed", colour="red")


@pytest.mark.parametrize("status", WORDS)
def test_only_what_has_ended_well_has_an_answer(
    server: RunServer, client: httpx.Client, status: str
) -> None:
    run = server.create_run(script=RunScript(timeline=[(status, math.inf)]))
    assert said(client, run) == (["Hello."] if status in {"completed", "incomplete"} else [])


def test_whoever_starts_a_run_may_give_its_answer(
    server: RunServer, client: httpx.Client, wire: Wire, advance: Advance
) -> None:
    run = create(client, server, wire, metadata={"runs_for": "5", "answer": "Bye."}).json()
    assert said(client, run) == []
    advance(6)
    assert said(client, run) == ["Bye."]


# -- keys and routes


def test_the_servers_key_is_asked_for(dialect: str, wire: Wire) -> None:
    with RunServer(dialect=dialect, api_key="sk-1") as server:
        url = server.base_url + path_of(wire, server.create_run())

        def ask(**headers: str) -> httpx.Response:
            return httpx.get(url, params={"api-version": "v1"}, headers=headers)

        assert ask(authorization="Bearer sk-1").status_code == 200
        assert ask(**{wire.key_header: "sk-1"}).status_code == 200
        for wrong in ({"authorization": "Bearer sk-2"}, {wire.key_header: "sk-2"}):
            assert ask(**wrong).status_code == 401
            assert text_of(ask(**wrong))
        without = 403 if dialect == "langgraph" else 401
        assert ask().status_code == ask(authorization="Basic sk-1").status_code == without
        assert "sk-1" not in str(server.requests)


def test_unknown_routes(client: httpx.Client) -> None:
    for path in ("/nowhere", "/threads/"):
        answer = client.get(path)
        assert answer.status_code == 404
        assert text_of(answer)
    answer = client.put("/threads" if "responses" not in str(client.base_url) else "/responses")
    assert answer.status_code in {404, 405}
    assert text_of(answer)


# -- faults and the record


def test_requests_are_recorded(
    server: RunServer, client: httpx.Client, wire: Wire, dialect: str
) -> None:
    run = create(client, server, wire).json()
    path = path_of(wire, run)
    client.get(path)
    client.post(f"{path}/cancel", params={"wait": 0}, json={})
    client.post(f"{path}/cancel")
    created, got, cancelled, again = server.requests
    assert created.path == wire.creates.format(thread_id=run.get("thread_id"))
    assert created.body == wire.body
    assert [each.path for each in (got, cancelled, again)] == [
        path, f"{path}/cancel", f"{path}/cancel"
    ]  # fmt: skip
    assert {each.run_id for each in server.requests} == {run[wire.id]}
    assert [each.accepted_cancel for each in server.requests] == [False, False, True, False]
    assert cancelled.cancelled == (run[wire.id],)
    assert cancelled.query["wait"] == "0"
    assert ("api-version" in cancelled.query) == (dialect == "foundry")
    assert server.accepted_cancels(run[wire.id]) == 1
    assert server.accepted_cancels(wire.nobody) == 0


@pytest.mark.parametrize("status", [401, 404, 429, 500, 599])
def test_a_fault_looks_like_an_error_of_the_dialect(
    server: RunServer, client: httpx.Client, wire: Wire, status: int
) -> None:
    run = server.create_run()
    path = path_of(wire, run)
    server.fault(Fault(status=status, headers={"retry-after": "7"}), method="POST", path=path)
    answer = client.post(f"{path}/cancel")
    assert answer.status_code == status
    assert answer.headers["retry-after"] == "7"
    assert answer.headers["content-type"] == "application/json"
    assert text_of(answer)
    assert server.accepted_cancels() == 0
    assert client.post(f"{path}/cancel").is_success


def test_faults_match_with_and_without_prefix(
    server: RunServer, client: httpx.Client, wire: Wire
) -> None:
    path = path_of(wire, server.create_run())
    server.fault(Fault(status=501), path=re.compile(f"^{path}$"))
    server.fault(Fault(status=502), path=re.compile(f"^{client.base_url.path.rstrip('/')}{path}$"))
    assert [client.get(path).status_code for _ in range(3)] == [501, 502, 200]


def test_a_connection_may_be_dropped_after_the_effect(
    server: RunServer, client: httpx.Client, wire: Wire
) -> None:
    run = server.create_run()
    server.fault(Fault(drop=True, after_effect=True))
    with pytest.raises((httpx.NetworkError, httpx.RemoteProtocolError)):
        client.post(f"{path_of(wire, run)}/cancel")
    assert server.status(run[wire.id]) == "cancelling"
    assert server.accepted_cancels(run[wire.id]) == 1
    assert server.requests[0].status is None


def test_the_runs_that_clients_started_are_known(
    server: RunServer, client: httpx.Client, wire: Wire
) -> None:
    server.create_run(metadata={"airflow_key": "a"})
    bodies: list[dict[str, Any]] = [{"metadata": {"airflow_key": key}} for key in "aba"]
    runs = [create(client, server, wire, **body).json() for body in [*bodies, {}]]
    first, second, third, other = (run[wire.id] for run in runs)
    client.post(f"{path_of(wire, runs[0])}/cancel")  # names a run, but starts none
    assert server.started_runs() == [first, second, third, other]
    assert server.started_runs("a") == [first, third]
    assert server.started_runs("c") == []
    server.delete(first)
    assert server.started_runs("a") == [first, third]


@pytest.mark.parametrize(
    "fault", [Fault(drop=True, after_effect=True), Fault(status=503, after_effect=True)]
)
def test_a_run_may_be_started_without_an_answer(
    server: RunServer, client: httpx.Client, wire: Wire, fault: Fault
) -> None:
    server.fault(fault, path=wire.creates.rpartition("/")[2])
    with suppress(httpx.NetworkError, httpx.RemoteProtocolError):
        answer = create(client, server, wire, metadata={"airflow_key": "a"})
        assert answer.status_code == fault.status
    (run_id,) = server.started_runs("a")
    assert client.get(path_of(wire, server.run(run_id))).json() == server.run(run_id)


def test_a_run_may_be_started_long_before_its_answer(
    server: RunServer, client: httpx.Client, wire: Wire
) -> None:
    server.fault(Fault(delay=60, after_effect=True), path=wire.creates.rpartition("/")[2])
    client.timeout = httpx.Timeout(0.5)
    with pytest.raises(httpx.ReadTimeout):
        create(client, server, wire, metadata={"airflow_key": "a"})
    (run_id,) = server.started_runs("a")
    assert client.get(path_of(wire, server.run(run_id))).json() == server.run(run_id)


@pytest.mark.parametrize("fault", [Fault(drop=True), Fault(status=503)])
def test_a_start_may_fail_before_its_effect(
    server: RunServer, client: httpx.Client, wire: Wire, fault: Fault
) -> None:
    server.fault(fault, path=wire.creates.rpartition("/")[2])
    with suppress(httpx.NetworkError, httpx.RemoteProtocolError):
        create(client, server, wire)
    assert server.started_runs() == []
    assert create(client, server, wire).status_code == 200


def test_a_refused_start_starts_nothing(
    server: RunServer, client: httpx.Client, wire: Wire
) -> None:
    assert create(client, server, wire, metadata={"runs_for": "long"}).is_client_error
    assert server.started_runs() == []


# -- the server


def test_the_connection_leads_to_the_server(server: RunServer, dialect: str, wire: Wire) -> None:
    extra = {"credential": "api_key"} if dialect == "foundry" else {}
    assert server.base_url == server.url + wire.base_path
    assert json.loads(server.connection()) == {
        "conn_type": f"runs_{dialect}",
        "host": server.base_url,
        "password": "sk-runs-testing",
        "extra": extra,
    }
    connection = json.loads(server.connection("runs_mine", timeout=3, credential="default"))
    assert connection["conn_type"] == "runs_mine"
    assert connection["extra"] == {"timeout": 3, "credential": "default"}


def test_a_dialect_can_be_an_instance(dialect: str) -> None:
    kind = {
        "assistants": Assistants, "foundry": Foundry, "langgraph": LangGraph, "responses": Responses
    }[dialect]  # fmt: skip
    assert RunServer(dialect=dialect).dialect == RunServer(dialect=kind()).dialect == kind()
    assert kind().name == dialect


def test_an_unknown_dialect_is_an_error(dialect: str) -> None:
    with pytest.raises(ValueError, match=f"one of .*{dialect}.*, not 'Klingon'"):
        RunServer(dialect="Klingon")


def test_threads(server: RunServer, dialect: str) -> None:
    if dialect == "responses":
        for call in (
            server.create_thread,
            lambda: server.delete_thread("thread_x"),
            lambda: server.create_run("thread_x"),
        ):
            with pytest.raises(TypeError, match="no threads in the dialect 'responses'"):
                call()
        return
    thread_id = server.create_thread()
    run = server.create_run(thread_id)
    assert run["thread_id"] == thread_id
    server.delete_thread(thread_id)
    with pytest.raises(ApiError):
        server.run(run[WIRES[dialect].id])
    with pytest.raises(ApiError):
        server.create_run(thread_id)


@pytest.mark.parametrize("lock", [None, True, False])
def test_a_thread_may_lock(dialect: str, lock: bool | None) -> None:
    with RunServer(dialect=dialect, thread_lock=lock) as server:
        if dialect == "responses":
            assert server.create_run()["id"] != server.create_run()["id"]
            return
        thread_id = server.create_run()["thread_id"]
        if lock or (lock is None and dialect != "langgraph"):
            with pytest.raises(ApiError, match="already") as refusal:
                server.create_run(thread_id)
            assert refusal.value.status_code == (409 if dialect == "langgraph" else 400)
        else:
            assert server.create_run(thread_id)["thread_id"] == thread_id
