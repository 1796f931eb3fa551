"""The LangGraph wire: its endpoints, and each switch."""

from __future__ import annotations

import math
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from airflow_provider_runs.testing import ApiError, Fault, LangGraph, RunScript, RunServer
from tests.moments import PATIENCE, until

if TYPE_CHECKING:
    from collections.abc import Callable

    Advance = Callable[[float], None]

START = "2027-01-15T08:00:00+00:00"
NOBODY = str(uuid.UUID(int=7))


@pytest.fixture
def dialect() -> LangGraph:
    return LangGraph()


def path_of(run: dict[str, Any]) -> str:
    return f"/threads/{run['thread_id']}/runs/{run['run_id']}"


def cancel(client: httpx.Client, run: dict[str, Any], **query: str | int) -> httpx.Response:
    return client.post(f"{path_of(run)}/cancel", params={"wait": 0, "action": "interrupt", **query})


# -- health and keys


@pytest.mark.parametrize("dialect", ["langgraph"])
def test_a_server_without_a_key_asks_for_none(server: RunServer) -> None:
    assert httpx.post(f"{server.url}/assistants/search", json={}).status_code == 200


def test_health_is_open_to_all() -> None:
    with RunServer(dialect="langgraph", api_key="lsv2-1") as server:
        assert httpx.get(f"{server.url}/ok").json() == {"ok": True}
        assert httpx.get(f"{server.url}/info").json()["version"]
        answer = httpx.post(f"{server.url}/assistants/search", json={})
        assert (answer.status_code, answer.json().keys()) == (403, {"detail"})


def test_there_is_an_assistant(server: RunServer, client: httpx.Client) -> None:
    (assistant,) = client.post("/assistants/search", json={"limit": 1}).json()
    assert assistant["graph_id"] == "agent"
    run = server.create_run()
    assert run["assistant_id"] == assistant["assistant_id"] == str(uuid.UUID(run["assistant_id"]))
    assert client.post("/assistants/search", json={"offset": 1}).json() == []


# -- threads


def test_threads(client: httpx.Client) -> None:
    thread = client.post("/threads", json={"metadata": {"dag": "d"}}).json()
    assert thread == {
        "thread_id": str(uuid.UUID(thread["thread_id"])),
        "created_at": START,
        "updated_at": START,
        "metadata": {"dag": "d"},
        "status": "idle",
        "config": {},
        "values": {},
        "interrupts": {},
        "error": None,
    }
    path = f"/threads/{thread['thread_id']}"
    assert client.get(path).json() == thread
    answer = client.delete(path)
    assert (answer.status_code, answer.content) == (204, b"")
    for answer in (client.get(path), client.delete(path), client.get(f"{path}/runs")):
        assert answer.status_code == 404
        assert answer.json() == {"detail": f"Thread with ID {thread['thread_id']} not found"}
    answer = client.get("/threads/nonsense")
    assert answer.status_code == 422
    assert answer.json() == {"detail": "Invalid thread ID: must be a UUID"}


def test_a_thread_may_choose_its_id(server: RunServer, client: httpx.Client) -> None:
    body = {"thread_id": NOBODY, "metadata": {"x": 1}}
    assert client.post("/threads", json=body).json()["thread_id"] == NOBODY
    run = server.create_run(NOBODY)
    assert client.post("/threads", json=body).status_code == 409
    same = client.post("/threads", json={**body, "if_exists": "do_nothing"})
    assert same.json()["metadata"] == {"x": 1}
    assert client.get(path_of(run)).json() == run
    for wrong in ("nonsense", 1):
        assert client.post("/threads", json={"thread_id": wrong}).status_code == 422


def test_a_threads_status_follows_from_its_runs(
    server: RunServer, client: httpx.Client, advance: Advance
) -> None:
    def status() -> str:
        return str(client.get(f"/threads/{thread_id}").json()["status"])

    thread_id = server.create_thread()
    seen = []
    for ends in ("completed", "failed", "cancelled", "expired", "cancelled", "incomplete"):
        run = server.create_run(thread_id)
        seen.append(status())
        server.end(run["run_id"], ends)
        seen.append(status())
    busy = ["busy"] * 6
    ends = ["idle", "error", "idle", "error", "idle", "error"]
    assert seen == [word for both in zip(busy, ends, strict=True) for word in both]

    advance(60)
    server.end(server.create_run(thread_id)["run_id"])
    assert client.get(f"/threads/{thread_id}").json()["updated_at"] == "2027-01-15T08:01:00+00:00"


def test_threads_are_searched(server: RunServer, client: httpx.Client, advance: Advance) -> None:
    def search(**body: object) -> list[int]:
        found = client.post("/threads/search", json=body).json()
        return [threads.index(thread["thread_id"]) for thread in found]

    threads = []
    for number in range(12):
        metadata = {"number": number, "even": number % 2 == 0, "tags": ["x"]}
        threads.append(client.post("/threads", json={"metadata": metadata}).json()["thread_id"])
    assert search() == [11, 10, 9, 8, 7, 6, 5, 4, 3, 2]
    assert search(limit=5, offset=9) == [2, 1, 0]
    assert search(metadata={"even": True, "tags": ["x"]}, limit=3) == [10, 8, 6]
    assert search(metadata={"odd": None}) == []
    assert search(ids=[threads[1], threads[4], NOBODY]) == [4, 1]

    advance(1)
    run = server.create_run(threads[3])
    assert search(status="busy") == [3]
    assert search(limit=2) == [3, 11]
    server.end(run["run_id"])
    assert search(status="busy") == []


@pytest.mark.parametrize(
    "body",
    [{"limit": 0}, {"limit": 1001}, {"limit": "x"}, {"offset": -1}, {"limit": None},
     {"ids": "x"}, {"ids": [1]}, {"metadata": "x"}],
)  # fmt: skip
def test_a_search_must_make_sense(client: httpx.Client, body: dict[str, Any]) -> None:
    answer = client.post("/threads/search", json=body)
    assert (answer.status_code, answer.json().keys()) == (422, {"detail"})


# -- runs


def test_a_run_looks_like_one(server: RunServer, client: httpx.Client, advance: Advance) -> None:
    thread_id = server.create_thread()
    body = {"assistant_id": "agent", "input": {"a": 1}, "metadata": {"runs_for": 5, "x": [1]}}
    run = client.post(f"/threads/{thread_id}/runs", json=body).json()
    assert run == {
        "run_id": str(uuid.UUID(run["run_id"])),
        "thread_id": thread_id,
        "assistant_id": server.create_run()["assistant_id"],
        "created_at": START,
        "updated_at": START,
        "status": "pending",
        "metadata": {"runs_for": 5, "x": [1]},
        "kwargs": {"input": {"a": 1}},
        "multitask_strategy": "enqueue",
    }
    advance(5.2)
    run = client.get(path_of(run)).json()
    assert (run["status"], run["created_at"]) == ("success", START)
    updated = datetime.fromisoformat(run["updated_at"])
    assert updated.tzinfo == UTC
    assert updated.timestamp() == pytest.approx(1_800_000_005.2)


def test_an_assistant_may_be_named_by_its_id(server: RunServer) -> None:
    assert server.create_run(assistant_id=NOBODY)["assistant_id"] == NOBODY
    names = {server.create_run(assistant_id=name)["assistant_id"] for name in ("a", "b", "a")}
    assert len(names) == 2


def test_a_run_may_create_its_thread(client: httpx.Client) -> None:
    path, body = f"/threads/{NOBODY}/runs", {"assistant_id": "agent"}
    assert client.post(path, json=body).status_code == 404
    run = client.post(path, json={**body, "if_not_exists": "create"}).json()
    assert run["thread_id"] == NOBODY
    again = client.post(path, json={**body, "if_not_exists": "create"}).json()
    listed = client.get(path).json()
    assert [each["run_id"] for each in listed] == [again["run_id"], run["run_id"]]


def test_a_run_may_refuse_to_wait_for_others(server: RunServer, client: httpx.Client) -> None:
    thread_id = server.create_thread()
    path, body = f"/threads/{thread_id}/runs", {"assistant_id": "agent"}
    reject = {**body, "multitask_strategy": "reject"}
    assert client.post(path, json=reject).status_code == 200
    assert client.post(path, json=body).status_code == 200
    answer = client.post(path, json=reject)
    assert (answer.status_code, answer.json().keys()) == (409, {"detail"})
    assert answer.json()["detail"].startswith("Thread is already running a task.")


def test_runs_are_listed_newest_first(server: RunServer, client: httpx.Client) -> None:
    thread_id = server.create_thread()
    ids = [server.create_run(thread_id)["run_id"] for _ in range(25)][::-1]

    def listed(**query: str | int) -> list[str]:
        answer = client.get(f"/threads/{thread_id}/runs", params=query)
        return [run["run_id"] for run in answer.json()]

    assert listed() == ids[:10]
    assert listed(limit=20, offset=20) == ids[20:]
    server.end(ids[7], "failed")
    assert listed(status="error") == [ids[7]]
    assert listed(status="pending", limit=100) == [each for each in ids if each != ids[7]]
    for query in ({"limit": 0}, {"limit": "x"}, {"offset": -1}):
        assert client.get(f"/threads/{thread_id}/runs", params=query).status_code == 422


def test_a_run_can_be_deleted(server: RunServer, client: httpx.Client) -> None:
    run, other = server.create_run(), server.create_run()
    assert client.delete(path_of({**run, "thread_id": other["thread_id"]})).status_code == 404
    answer = client.delete(path_of(run))
    assert (answer.status_code, answer.content) == (204, b"")
    answer = client.get(path_of(run))
    assert (answer.status_code, answer.json()) == (404, {"detail": "Not Found"})
    assert client.get(f"/threads/{run['thread_id']}/runs").json() == []


# -- state


def ended(client: httpx.Client, thread_id: str, answer: str, **body: object) -> dict[str, Any]:
    """Start a run that ends at once."""
    metadata = {"queued_for": 0, "runs_for": 0, "answer": answer, "airflow_key": f"key {answer}"}
    body = {"assistant_id": "agent", "metadata": metadata, **body}
    run: dict[str, Any] = client.post(f"/threads/{thread_id}/runs", json=body).json()
    return run


def state(client: httpx.Client, thread_id: str) -> dict[str, Any]:
    answer: dict[str, Any] = client.get(f"/threads/{thread_id}/state").json()
    return answer


def history(client: httpx.Client, thread_id: str, **body: object) -> list[dict[str, Any]]:
    states: list[dict[str, Any]] = client.post(f"/threads/{thread_id}/history", json=body).json()
    return states


def texts(state: dict[str, Any]) -> list[str]:
    return [message["content"] for message in state["values"]["messages"]]


def test_a_thread_has_a_state_before_its_first_run(server: RunServer, client: httpx.Client) -> None:
    thread_id = server.create_thread()
    nothing = ("metadata", "created_at", "checkpoint", "parent_checkpoint", "checkpoint_id")
    assert state(client, thread_id) == {
        "values": {},
        "next": [],
        "tasks": [],
        "interrupts": [],
        "parent_checkpoint_id": None,
        **dict.fromkeys(nothing),
    }
    assert history(client, thread_id) == []


def test_a_run_leaves_a_state(server: RunServer, client: httpx.Client) -> None:
    thread_id = server.create_thread()
    given = {"messages": [{"role": "user", "content": "Hi"}]}
    run = ended(client, thread_id, "Bye.", input=given)
    shown = state(client, thread_id)
    human, ai = shown["values"].pop("messages")
    checkpoint_id = str(uuid.UUID(shown["checkpoint_id"]))
    assert shown == {
        "values": {},
        "next": [],
        "tasks": [],
        "metadata": {
            **run["metadata"],
            "assistant_id": run["assistant_id"],
            "run_id": run["run_id"],
            "thread_id": thread_id,
            "source": "loop",
            "parents": {},
        },
        "created_at": START,
        "checkpoint": {
            "checkpoint_id": checkpoint_id,
            "thread_id": thread_id,
            "checkpoint_ns": "",
        },
        "parent_checkpoint": None,
        "interrupts": [],
        "checkpoint_id": checkpoint_id,
        "parent_checkpoint_id": None,
    }
    both = {"additional_kwargs": {}, "response_metadata": {}, "name": None}
    assert human == {**both, "type": "human", "content": "Hi", "id": str(uuid.UUID(human["id"]))}
    own = {"tool_calls": [], "invalid_tool_calls": [], "usage_metadata": None}
    assert ai == {**both, **own, "type": "ai", "content": "Bye.", "id": str(uuid.UUID(ai["id"]))}
    assert human["id"] != ai["id"]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, []),
        ({}, []),
        ("Hi", []),
        ({"messages": []}, []),
        ({"messages": "Hi"}, [("human", "Hi")]),
        ({"messages": ["Hi"]}, [("human", "Hi")]),
        ({"messages": {"type": "human", "content": "Hi"}}, [("human", "Hi")]),
        ({"messages": [{"role": "system", "content": "Be brief."}]}, [("system", "Be brief.")]),
        ({"messages": [{"role": "assistant", "content": "Yes?"}]}, [("ai", "Yes?")]),
    ],
)
def test_a_state_holds_what_the_run_was_told(
    server: RunServer, client: httpx.Client, given: object, expected: list[tuple[str, str]]
) -> None:
    thread_id = server.create_thread()
    ended(client, thread_id, "Bye.", input=given)
    messages = state(client, thread_id)["values"]["messages"]
    shown = [(message["type"], message["content"]) for message in messages]
    assert shown == [*expected, ("ai", "Bye.")]


def test_a_message_may_have_an_id(server: RunServer, client: httpx.Client) -> None:
    thread_id = server.create_thread()
    given = {"type": "human", "content": "Hi", "id": "mine", "name": "Ada"}
    ended(client, thread_id, "Bye.", input={"messages": [given]})
    message = state(client, thread_id)["values"]["messages"][0]
    assert (message["id"], message["name"]) == ("mine", "Ada")


def test_messages_add_up(server: RunServer, client: httpx.Client) -> None:
    thread_id = server.create_thread()
    ended(client, thread_id, "One.", input={"messages": ["1?"]})
    first = state(client, thread_id)
    ended(client, thread_id, "Two.", input={"messages": ["2?"]})
    second = state(client, thread_id)
    assert texts(second) == ["1?", "One.", "2?", "Two."]
    assert second["values"]["messages"][:2] == first["values"]["messages"]
    assert second["checkpoint_id"] != first["checkpoint_id"]
    assert state(client, thread_id) == second


@pytest.mark.parametrize("status", ["in_progress", "failed", "cancelled", "requires_action"])
def test_a_run_without_an_answer_leaves_no_state(
    server: RunServer, client: httpx.Client, status: str
) -> None:
    thread_id = server.create_thread()
    run = ended(client, thread_id, "One.")
    server.create_run(thread_id, RunScript(timeline=[(status, math.inf)]))
    assert state(client, thread_id)["metadata"]["run_id"] == run["run_id"]
    assert len(history(client, thread_id, limit=10)) == 1


def test_a_thread_shows_the_values_of_its_state(server: RunServer, client: httpx.Client) -> None:
    thread_id = server.create_thread()
    ended(client, thread_id, "Bye.")
    values = state(client, thread_id)["values"]
    assert values["messages"]
    assert client.get(f"/threads/{thread_id}").json()["values"] == values


def test_the_history_of_a_thread(server: RunServer, client: httpx.Client) -> None:
    thread_id = server.create_thread()
    runs = [ended(client, thread_id, answer)["run_id"] for answer in ("One.", "Two.", "Three.")]

    def listed(**body: object) -> list[str]:
        return [each["metadata"]["run_id"] for each in history(client, thread_id, **body)]

    assert listed(limit=10) == runs[::-1]
    assert listed(limit=2) == [runs[2], runs[1]]
    assert listed() == [runs[2]]
    assert listed(metadata={"run_id": runs[0]}) == [runs[0]]
    assert listed(metadata={"airflow_key": "key Two."}) == [runs[1]]
    assert listed(metadata={"run_id": runs[0], "airflow_key": "key Two."}) == []
    assert listed(metadata={"run_id": NOBODY}, limit=10) == []


def test_the_history_keeps_what_each_run_left(server: RunServer, client: httpx.Client) -> None:
    thread_id = server.create_thread()
    run = ended(client, thread_id, "One.")
    then = state(client, thread_id)
    ended(client, thread_id, "Two.")
    assert history(client, thread_id, metadata={"run_id": run["run_id"]}) == [then]


def test_a_state_needs_its_thread(client: httpx.Client) -> None:
    for thread_id, status in ((NOBODY, 404), ("nonsense", 422)):
        assert client.get(f"/threads/{thread_id}/state").status_code == status
        assert client.post(f"/threads/{thread_id}/history", json={}).status_code == status


@pytest.mark.parametrize(
    "body", [{"limit": 0}, {"limit": 1001}, {"limit": "x"}, {"limit": None}, {"metadata": [1]}]
)
def test_a_history_must_make_sense(
    server: RunServer, client: httpx.Client, body: dict[str, Any]
) -> None:
    path = f"/threads/{server.create_thread()}/history"
    assert client.post(path, json=body).status_code == 422


# -- cancel


ANSWERS = {
    "empty": (202, b""),
    "no_content": (204, b""),
    "object": (200, b"{}"),
    "run": (200, None),
}


@pytest.mark.parametrize(
    ("dialect", "expected"),
    [(LangGraph(cancel_answer=name), expected) for name, expected in ANSWERS.items()],  # type: ignore[arg-type]
)
def test_servers_answer_a_cancel_differently(
    server: RunServer, client: httpx.Client, expected: tuple[int, bytes | None]
) -> None:
    run = server.create_run()
    answer = cancel(client, run)
    status, content = expected
    assert answer.status_code == status
    if content is None:
        assert answer.json() == server.run(run["run_id"])
        assert answer.json()["status"] == "running"
    else:
        assert answer.content == content
    assert server.status(run["run_id"]) == "cancelling"


@pytest.mark.parametrize("status", ["cancelling", "cancelled", "completed", "failed"])
@pytest.mark.parametrize(
    ("dialect", "expected"),
    [
        (LangGraph(), (404, None)),
        (LangGraph(repeat_cancel=202, cancel_answer="no_content"), (202, "")),
        (LangGraph(repeat_cancel=200, cancel_answer="object"), (200, {})),
        (LangGraph(repeat_cancel=200, cancel_answer="run"), (200, "run")),
        (LangGraph(repeat_cancel=200), (200, "run")),
    ],
)
def test_servers_answer_a_repeated_cancel_differently(
    server: RunServer, client: httpx.Client, expected: tuple[int, object], status: str
) -> None:
    run = server.create_run(script=RunScript(timeline=[(status, math.inf)], refuse_cancel=503))
    answer = cancel(client, run)
    code, content = expected
    assert answer.status_code == code
    if code == 404:
        assert answer.json()["detail"].startswith("No matching runs")
    elif content == "":
        assert answer.content == b""
    else:
        assert answer.json() == (run if content == "run" else content)
    assert server.accepted_cancels() == 0
    assert server.status(run["run_id"]) == status


@pytest.mark.parametrize("action", ["interrupt", "wipe"])
def test_other_actions_interrupt(
    server: RunServer, client: httpx.Client, advance: Advance, action: str
) -> None:
    run = server.create_run()
    assert cancel(client, run, action=action).status_code == 202
    advance(1)
    assert client.get(path_of(run)).json()["status"] == "interrupted"


def test_a_rollback_deletes_the_run(
    server: RunServer, client: httpx.Client, advance: Advance
) -> None:
    run = server.create_run(script=RunScript(cancelling_for=3, cancel_ends="completed"))
    assert cancel(client, run, action="rollback").status_code == 202
    advance(2.9)
    assert client.get(path_of(run)).json()["status"] == "running"
    assert client.get(f"/threads/{run['thread_id']}").json()["status"] == "busy"
    advance(0.1)
    for answer in (client.get(path_of(run)), cancel(client, run)):
        assert answer.status_code == 404
    assert client.get(f"/threads/{run['thread_id']}/runs").json() == []
    assert client.get(f"/threads/{run['thread_id']}").json()["status"] == "idle"
    with pytest.raises(ApiError):
        server.status(run["run_id"])
    assert server.accepted_cancels(run["run_id"]) == 1


@pytest.mark.parametrize("dialect", [LangGraph(cancel_answer="run")])
def test_a_rollback_may_be_immediate(server: RunServer, client: httpx.Client) -> None:
    run = server.create_run(script=RunScript(cancelling_for=0))
    assert cancel(client, run, action="rollback").json()["status"] == "interrupted"
    assert client.get(path_of(run)).status_code == 404


@pytest.mark.parametrize(
    ("dialect", "broken"), [(LangGraph(), False), (LangGraph(cancel_needs_query=True), True)]
)
def test_older_servers_need_the_query(
    server: RunServer, client: httpx.Client, *, broken: bool
) -> None:
    for query in ({}, {"wait": 0}, {"action": "interrupt"}):
        run = server.create_run()
        answer = client.post(f"{path_of(run)}/cancel", params=query)
        if broken:
            assert (answer.status_code, answer.text) == (500, "Internal Server Error")
            assert answer.headers["content-type"].startswith("text/plain")
        else:
            assert answer.status_code == 202
        assert server.accepted_cancels(run["run_id"]) == (not broken)
    assert cancel(client, server.create_run()).status_code == 202


@pytest.mark.parametrize("action", ["interrupt", "rollback"])
@pytest.mark.parametrize(
    ("dialect", "expected"), [(LangGraph(), None), (LangGraph(cancel_answer="run"), "run")]
)
def test_a_cancel_may_wait_for_the_end(
    server: RunServer,
    client: httpx.Client,
    advance: Advance,
    expected: str | None,
    action: str,
) -> None:
    run = server.create_run(script=RunScript(cancelling_for=3))
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(cancel, client, run, wait="true", action=action)
        until(lambda: server.status(run["run_id"]) == "cancelling")
        assert client.get(path_of(run)).json()["status"] == "running"
        assert not waiting.done()
        advance(3)
        answer = waiting.result(PATIENCE)
    assert answer.status_code == 200
    if expected is None:
        assert answer.json() == {}
    else:
        ended = "interrupted" if action == "interrupt" else "running"  # as it was last seen
        assert answer.json()["status"] == ended


def test_several_runs_can_be_cancelled_at_once(server: RunServer, client: httpx.Client) -> None:
    thread_id, other = server.create_thread(), server.create_run()
    runs = [server.create_run(thread_id)["run_id"] for _ in range(4)]
    server.end(runs[0])
    body = {"thread_id": thread_id, "run_ids": [*runs[:3], other["run_id"], NOBODY]}
    answer = client.post("/runs/cancel", params={"action": "interrupt"}, json=body)
    assert (answer.status_code, answer.content) == (204, b"")
    seen = [server.status(run_id) for run_id in [*runs, other["run_id"]]]
    assert seen == ["completed", "cancelling", "cancelling", "queued", "queued"]
    (request,) = server.requests
    assert (request.path, request.run_id) == ("/runs/cancel", None)
    assert request.cancelled == (runs[1], runs[2])
    assert server.accepted_cancels() == 2
    assert server.accepted_cancels(runs[1]) == 1

    answer = client.post("/runs/cancel", json=body)
    assert (answer.status_code, answer.json().keys()) == (404, {"detail"})


@pytest.mark.parametrize("dialect", [LangGraph(repeat_cancel=202)])
def test_several_cancels_may_be_repeated(server: RunServer, client: httpx.Client) -> None:
    run = server.create_run()
    body = {"thread_id": run["thread_id"], "run_ids": [run["run_id"]]}
    answers = [client.post("/runs/cancel", json=body).status_code for _ in range(2)]
    assert answers == [204, 204]
    assert server.accepted_cancels() == 1


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("all", ["cancelling", "cancelling", "failed"]),
        ("pending", ["cancelling", "in_progress", "failed"]),
        ("running", ["queued", "cancelling", "failed"]),
    ],
)
def test_runs_can_be_cancelled_by_status(
    server: RunServer, client: httpx.Client, status: str, expected: list[str]
) -> None:
    scripts = (RunScript(), RunScript(queued_for=0), RunScript(timeline=[("failed", 0)]))
    runs = [server.create_run(script=script)["run_id"] for script in scripts]
    answer = client.post("/runs/cancel", params={"action": "rollback"}, json={"status": status})
    assert answer.status_code == 204
    assert [server.status(run_id) for run_id in runs] == expected


@pytest.mark.parametrize(
    "change",
    [{"run_ids": None}, {"run_ids": "x"}, {"run_ids": ["x"]}, {"thread_id": "x"},
     {"thread_id": None}, {"status": 1}],
)  # fmt: skip
def test_a_cancel_of_several_must_make_sense(
    server: RunServer, client: httpx.Client, change: dict[str, Any]
) -> None:
    run = server.create_run()
    body = {"thread_id": run["thread_id"], "run_ids": [run["run_id"]], **change}
    assert client.post("/runs/cancel", json=body).status_code == 422
    assert server.status(run["run_id"]) == "queued"


# -- errors


@pytest.mark.parametrize(
    ("dialect", "content_type", "expected"),
    [
        (LangGraph(), "application/json", {"detail": "Not Found"}),
        (
            LangGraph(errors="json"),
            "application/json",
            {"error": "not_found", "message": "Not Found"},
        ),
        (LangGraph(errors="text"), "text/plain; charset=utf-8", "Not Found"),
    ],
)
def test_errors_look_different(
    server: RunServer, client: httpx.Client, content_type: str, expected: object
) -> None:
    run = server.create_run()
    for path in (path_of({**run, "run_id": NOBODY}), "/nowhere"):
        answer = client.get(path)
        assert answer.status_code == 404
        assert answer.headers["content-type"] == content_type
        assert (answer.text if isinstance(expected, str) else answer.json()) == expected

    server.fault(Fault(status=599, after_effect=True))
    answer = cancel(client, run)
    assert (answer.status_code, answer.headers["content-type"]) == (599, content_type)
    assert "The server had an error" in answer.text
    assert server.accepted_cancels() == 1


@pytest.mark.parametrize(
    "switches", [{"cancel_answer": "nothing"}, {"repeat_cancel": 500}, {"errors": "html"}]
)
def test_a_switch_must_have_one_of_its_values(switches: dict[str, Any]) -> None:
    (name,) = switches
    with pytest.raises(ValueError, match=f"{name} must be one of"):
        LangGraph(**switches)
