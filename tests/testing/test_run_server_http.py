"""The endpoints: routes, keys, ids, pages, refusals, and what is recorded of requests."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from airflow_provider_runs.testing import ApiError, RunScript, RunServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

START = 1_800_000_000
RUN = {"assistant_id": "asst_1"}


def message_of(answer: httpx.Response, status: int) -> str:
    """Check an error answer and return its text."""
    assert answer.status_code == status
    assert answer.json().keys() == {"error"}
    assert answer.json()["error"].keys() == {"message", "type", "param", "code"}
    assert re.fullmatch(r"req_[0-9a-f]{32}", answer.headers["x-request-id"])
    return str(answer.json()["error"]["message"])


# -- keys and routes


def test_every_route_is_there_with_and_without_v1(server: RunServer) -> None:
    run = server.create_run()
    path = f"/threads/{run['thread_id']}/runs/{run['id']}"
    for prefix in ("", "/v1"):
        answer = httpx.get(server.url + prefix + path, headers={"api-key": "any"})
        assert answer.json() == run
        assert answer.headers["content-type"] == "application/json"
        assert re.fullmatch(r"req_[0-9a-f]{32}", answer.headers["x-request-id"])
    assert [request.path for request in server.requests] == [path, path]


@pytest.mark.parametrize(
    "headers",
    [{"Authorization": "Bearer sk-1"}, {"authorization": "bearer sk-1"}, {"api-key": "sk-1"}],
)
def test_the_key_comes_in_either_header(headers: dict[str, str]) -> None:
    with RunServer(api_key="sk-1") as server:
        assert httpx.get(f"{server.url}/assistants", headers=headers).status_code == 200
        (request,) = server.requests
        assert "sk-1" not in str(request)
        assert "***" in request.headers.values()


@pytest.mark.parametrize(
    "headers",
    [{}, {"Authorization": "Bearer"}, {"Authorization": "Basic sk-1"}, {"api-key": "sk-2"}],
)
def test_a_wrong_key_is_refused(headers: dict[str, str]) -> None:
    with RunServer(api_key="sk-1") as server:
        answer = httpx.post(f"{server.url}/v1/threads", headers=headers)
        message_of(answer, 401)
        assert answer.json()["error"]["code"] == "invalid_api_key"


def test_any_key_will_do_but_no_key_will_not(server: RunServer) -> None:
    assert httpx.get(f"{server.url}/assistants", headers={"api-key": "x"}).status_code == 200
    message_of(httpx.get(f"{server.url}/assistants"), 401)


def test_unknown_routes(client: httpx.Client) -> None:
    assert message_of(client.get("/models"), 404) == "Invalid URL (GET /v1/models)"
    assert message_of(client.get("/threads/"), 404) == "Invalid URL (GET /v1/threads/)"
    answer = client.put("/threads/thread_1")
    assert message_of(answer, 405) == "Not allowed: PUT /v1/threads/thread_1"
    assert "allow" in answer.headers


def test_there_are_no_assistants(client: httpx.Client) -> None:
    assert client.get("/assistants", params={"limit": 1}).json() == {
        "object": "list", "data": [], "first_id": None, "last_id": None, "has_more": False
    }  # fmt: skip
    message_of(client.get("/assistants", params={"limit": 0}), 400)


# -- threads and messages


def test_threads(client: httpx.Client) -> None:
    thread = client.post("/threads", json={"metadata": {"dag": "d"}}).json()
    assert re.fullmatch(r"thread_[0-9A-Za-z]{24}", thread["id"])
    assert thread == {
        "id": thread["id"],
        "object": "thread",
        "created_at": START,
        "metadata": {"dag": "d"},
        "tool_resources": {},
    }
    path = f"/threads/{thread['id']}"
    assert client.get(path).json() == thread
    assert client.delete(path).json() == {
        "id": thread["id"], "object": "thread.deleted", "deleted": True
    }  # fmt: skip
    for answer in (client.get(path), client.delete(path), client.get(f"{path}/runs")):
        assert message_of(answer, 404) == f"No thread found with id '{thread['id']}'."


def test_a_thread_needs_no_body(client: httpx.Client) -> None:
    assert client.post("/threads").json()["metadata"] == {}


def test_messages(server: RunServer, client: httpx.Client) -> None:
    thread_id = server.create_thread()
    path = f"/threads/{thread_id}/messages"
    message = client.post(path, json={"role": "user", "content": "Hello"}).json()
    assert re.fullmatch(r"msg_[0-9A-Za-z]{24}", message["id"])
    assert message["content"] == [{"type": "text", "text": {"value": "Hello", "annotations": []}}]
    message_of(client.post(path, json={"role": "user"}), 400)
    message_of(client.post("/threads/thread_x/messages", json={}), 404)


def listed(client: httpx.Client, thread_id: str, **params: str | int) -> list[dict[str, Any]]:
    answer = client.get(f"/threads/{thread_id}/messages", params=params)
    messages: list[dict[str, Any]] = answer.json()["data"]
    return messages


def texts(messages: list[dict[str, Any]]) -> list[str]:
    return [message["content"][0]["text"]["value"] for message in messages]


def test_messages_are_kept(server: RunServer, client: httpx.Client) -> None:
    thread_id = server.create_thread()
    body = {"role": "user", "content": "Hello", "metadata": {"n": "1"}}
    message = client.post(f"/threads/{thread_id}/messages", json=body).json()
    assert (message["run_id"], message["metadata"]) == (None, {"n": "1"})
    assert listed(client, thread_id) == [message]
    assert listed(client, server.create_thread()) == []


def test_a_run_leaves_a_message_once_it_has_ended(
    server: RunServer, client: httpx.Client, advance: Callable[[float], None]
) -> None:
    thread_id = server.create_thread()
    script = RunScript(runs_for=10, answer="Bye.")
    run = server.create_run(thread_id, script, assistant_id="asst_1")
    assert listed(client, thread_id) == []
    advance(20)
    (message,) = listed(client, thread_id)
    assert message == {
        "id": run["id"].replace("run_", "msg_"),
        "object": "thread.message",
        "created_at": START + 10,
        "thread_id": thread_id,
        "role": "assistant",
        "content": [{"type": "text", "text": {"value": "Bye.", "annotations": []}}],
        "assistant_id": "asst_1",
        "run_id": run["id"],
        "attachments": [],
        "metadata": {},
    }


def test_messages_are_listed_by_age(server: RunServer, client: httpx.Client) -> None:
    thread_id = server.create_thread()
    for number in (1, 2):  # all of it at the same moment
        body = {"role": "user", "content": f"Question {number}"}
        client.post(f"/threads/{thread_id}/messages", json=body)
        server.create_run(thread_id, RunScript(timeline=[("completed", 0)], answer=f"{number}."))
    oldest_first = ["Question 1", "1.", "Question 2", "2."]
    assert texts(listed(client, thread_id, order="asc")) == oldest_first
    assert texts(listed(client, thread_id)) == oldest_first[::-1]


def test_an_answer_is_as_old_as_the_end_of_its_run(
    client: httpx.Client, advance: Callable[[float], None]
) -> None:
    thread_id = client.post("/threads").json()["id"]
    message = {"role": "user", "content": "Hello"}
    body = {**RUN, "additional_messages": [message], "metadata": {"runs_for": "5"}}
    client.post(f"/threads/{thread_id}/runs", json=body)
    advance(10)
    client.post(f"/threads/{thread_id}/messages", json={**message, "content": "Thanks"})
    messages = listed(client, thread_id, order="asc")
    assert texts(messages) == ["Hello", "Hello.", "Thanks"]
    created_at = [message["created_at"] for message in messages]
    assert created_at == [START, START + 5, START + 10]


def test_a_message_may_come_before_the_end_of_a_run(
    now: list[float], advance: Callable[[float], None]
) -> None:
    with RunServer(thread_lock=False, clock=lambda: now[0]) as server:
        run = server.create_run(script=RunScript(runs_for=10))
        url = f"{server.url}/v1/threads/{run['thread_id']}/messages"
        with httpx.Client(headers={"api-key": "x"}) as client:
            client.post(url, json={"role": "user", "content": "Hurry up."})
            advance(20)
            messages = client.get(url, params={"order": "asc"}).json()["data"]
    assert texts(messages) == ["Hurry up.", "Hello."]


def test_the_messages_of_one_run_are_listed(server: RunServer, client: httpx.Client) -> None:
    thread_id, script = server.create_thread(), RunScript(timeline=[("completed", 0)])
    body = {"role": "user", "content": "Hello"}
    client.post(f"/threads/{thread_id}/messages", json=body)
    runs = [server.create_run(thread_id, script)["id"] for _ in range(2)]
    for run_id in runs:
        (message,) = listed(client, thread_id, run_id=run_id)
        assert message["run_id"] == run_id
    assert listed(client, thread_id, run_id="run_x") == []


def test_messages_are_listed_in_pages(server: RunServer, client: httpx.Client) -> None:
    thread_id = server.create_thread()
    path = f"/threads/{thread_id}/messages"
    for number in range(3):
        client.post(path, json={"role": "user", "content": str(number)})
    first = client.get(path, params={"limit": 2}).json()
    assert (texts(first["data"]), first["has_more"]) == (["2", "1"], True)
    assert [first["first_id"], first["last_id"]] == [each["id"] for each in first["data"]]
    second = client.get(path, params={"limit": 2, "after": first["last_id"]}).json()
    assert (texts(second["data"]), second["has_more"]) == (["0"], False)
    message_of(client.get(path, params={"limit": 101}), 400)


def test_messages_need_their_thread(client: httpx.Client) -> None:
    answer = client.get("/threads/thread_x/messages")
    assert message_of(answer, 404) == "No thread found with id 'thread_x'."


def test_a_thread_may_begin_with_messages(client: httpx.Client) -> None:
    parts = [{"type": "text", "text": "B"}, {"type": "image_url", "image_url": {"url": "x"}}]
    given = [{"role": "user", "content": "A"}, {"role": "assistant", "content": parts}]
    thread_id = client.post("/threads", json={"messages": given}).json()["id"]
    first, second = listed(client, thread_id, order="asc")
    assert (first["role"], second["role"]) == ("user", "assistant")
    assert texts([first, second]) == ["A", "B"]
    assert second["content"][1] == parts[1]


def test_a_run_may_bring_messages(server: RunServer, client: httpx.Client) -> None:
    thread_id = server.create_thread()
    given = [{"role": "user", "content": text} for text in ("A", "B")]
    body = {**RUN, "additional_messages": given, "metadata": {"queued_for": "0", "runs_for": "0"}}
    client.post(f"/threads/{thread_id}/runs", json=body)
    assert texts(listed(client, thread_id, order="asc")) == ["A", "B", "Hello."]


def test_a_refused_run_brings_no_messages(server: RunServer, client: httpx.Client) -> None:
    thread_id = server.create_run()["thread_id"]
    body = {**RUN, "additional_messages": [{"role": "user", "content": "A"}]}
    message_of(client.post(f"/threads/{thread_id}/runs", json=body), 400)
    assert listed(client, thread_id) == []


@pytest.mark.parametrize(
    "messages",
    ["x", ["x"], [{"role": "user"}], [{"content": "x"}], [{"role": "user", "content": 1}],
     [{"role": "user", "content": ["x"]}]],
)  # fmt: skip
def test_messages_must_make_sense(
    server: RunServer, client: httpx.Client, messages: object
) -> None:
    message_of(client.post("/threads", json={"messages": messages}), 400)
    path = f"/threads/{server.create_thread()}/runs"
    message_of(client.post(path, json={**RUN, "additional_messages": messages}), 400)
    assert server.started_runs() == []


def test_an_active_run_blocks_its_thread(server: RunServer, client: httpx.Client) -> None:
    thread_id = server.create_thread()
    path, body = f"/threads/{thread_id}", {"role": "user", "content": "Hello", **RUN}
    run_id = client.post(f"{path}/runs", json=body).json()["id"]

    answer = client.post(f"{path}/runs", json=body)
    assert message_of(answer, 400) == f"Thread {thread_id} already has an active run {run_id}."
    answer = client.post(f"{path}/messages", json=body)
    expected = f"Can't add messages to {thread_id} while a run {run_id} is active."
    assert message_of(answer, 400) == expected
    with pytest.raises(ApiError, match="already has an active run"):
        server.create_run(thread_id)

    server.end(run_id)
    assert client.post(f"{path}/messages", json=body).status_code == 200
    assert client.post(f"{path}/runs", json=body).status_code == 200


def test_threads_need_not_lock() -> None:
    with RunServer(thread_lock=False) as server:
        thread_id = server.create_thread()
        runs = [server.create_run(thread_id)["id"] for _ in range(2)]
        assert [server.run(run)["status"] for run in runs] == ["queued", "queued"]
        answer = httpx.post(
            f"{server.url}/threads/{thread_id}/messages",
            headers={"api-key": "x"},
            json={"role": "user", "content": "Hello"},
        )
        assert answer.status_code == 200


# -- runs


def test_create_and_get_a_run(server: RunServer, client: httpx.Client) -> None:
    thread_id = server.create_thread()
    metadata = {"runs_for": "inf", "queued_for": "0", "team": "search"}
    body = {**RUN, "metadata": metadata, "model": None, "stream": False}
    run = client.post(f"/threads/{thread_id}/runs", json=body).json()
    assert re.fullmatch(r"run_[0-9A-Za-z]{24}", run["id"])
    assert (run["status"], run["metadata"]) == ("in_progress", metadata)
    assert (run["assistant_id"], run["model"]) == ("asst_1", "gpt-4o")
    assert client.get(f"/threads/{thread_id}/runs/{run['id']}").json() == run
    assert server.run(run["id"]) == run


@pytest.mark.parametrize(
    ("content", "param"),
    [
        (b"", "assistant_id"),
        (b"{}", "assistant_id"),
        (b'{"assistant_id": 1}', "assistant_id"),
        (b"{", None),
        (b"[]", None),
        (b'{"assistant_id": "a", "metadata": []}', None),
        (b'{"assistant_id": "a", "metadata": ["x"]}', "metadata"),
        (b'{"assistant_id": "a", "metadata": {"x": 1}}', "metadata"),
        (b'{"assistant_id": "a", "metadata": {"runs_for": "long"}}', "metadata"),
        (b'{"assistant_id": "a", "metadata": {"refuse_cancel": "200"}}', "metadata"),
    ],
)
def test_a_run_needs_a_proper_body(
    server: RunServer, client: httpx.Client, content: bytes, param: str | None
) -> None:
    answer = client.post(f"/threads/{server.create_thread()}/runs", content=content)
    if content.endswith(b"[]}"):
        assert answer.status_code == 200
    else:
        message_of(answer, 400)
        assert answer.json()["error"]["param"] == param


def test_scripts_queue_for_runs_over_http(server: RunServer, client: httpx.Client) -> None:
    def create(**body: object) -> dict[str, Any]:
        path = f"/threads/{server.create_thread()}/runs"
        answer: dict[str, Any] = client.post(path, json={**RUN, **body}).json()
        return answer

    for ends in ("failed", "expired"):
        server.next_run(RunScript(queued_for=0, runs_for=0, ends=ends))
    assert server.create_run()["status"] == "queued"
    assert "error" in create(metadata={"ends": "failed", "runs_for": "-1"})
    assert [create()["status"] for _ in range(3)] == ["failed", "expired", "queued"]


def test_ids(server: RunServer, client: httpx.Client) -> None:
    thread_id, other = server.create_thread(), server.create_run()
    calls: list[Callable[[str], httpx.Response]] = [
        client.get,
        lambda path: client.post(f"{path}/cancel"),
        lambda path: client.post(f"{path}/submit_tool_outputs"),
    ]
    for call in calls:
        answer = call(f"/threads/{thread_id}/runs/run_x")
        assert message_of(answer, 404) == "No run found with id 'run_x'."
        answer = call(f"/threads/{thread_id}/runs/{other['id']}")
        assert message_of(answer, 404) == f"No run found with id '{other['id']}'."
        answer = call(f"/threads/thread_x/runs/{other['id']}")
        assert message_of(answer, 404) == "No thread found with id 'thread_x'."
        answer = call(f"/threads/{thread_id}/runs/x")
        assert message_of(answer, 400).startswith("Invalid 'run_id': 'x'.")
        answer = call(f"/threads/x/runs/{other['id']}")
        assert message_of(answer, 400).startswith("Invalid 'thread_id': 'x'.")
        assert answer.json()["error"]["param"] == "thread_id"
    message_of(client.post("/threads/thread_x/runs", json={}), 404)


def test_a_thread_is_deleted_with_its_runs(server: RunServer) -> None:
    run = server.create_run()
    server.delete_thread(run["thread_id"])
    with pytest.raises(ApiError, match="No run found"):
        server.run(run["id"])
    with pytest.raises(ApiError, match="No thread found"):
        server.delete_thread(run["thread_id"])
    with pytest.raises(ApiError, match="Invalid 'thread_id'"):
        server.create_run("nonsense")


# -- pages


@pytest.fixture
def runs(server: RunServer) -> list[str]:
    thread_id = server.create_thread()
    script = RunScript(queued_for=0, runs_for=0)
    return [thread_id, *(server.create_run(thread_id, script)["id"] for _ in range(25))]


def pages(client: httpx.Client, thread_id: str, **params: str | int) -> Iterator[list[str]]:
    while True:
        page = client.get(f"/threads/{thread_id}/runs", params=params).json()
        ids = [run["id"] for run in page["data"]]
        assert page["object"] == "list"
        assert (page["first_id"], page["last_id"]) == (ids[0], ids[-1])
        yield ids
        if not page["has_more"]:
            return
        params["after"] = page["last_id"]


def test_runs_are_listed_in_pages(client: httpx.Client, runs: list[str]) -> None:
    thread_id, *oldest_first = runs
    newest_first = oldest_first[::-1]
    assert list(pages(client, thread_id)) == [newest_first[:20], newest_first[20:]]
    listed = list(pages(client, thread_id, limit=10, order="asc"))
    assert listed == [oldest_first[:10], oldest_first[10:20], oldest_first[20:]]
    assert list(pages(client, thread_id, limit=100)) == [newest_first]


def test_runs_are_listed_backwards(client: httpx.Client, runs: list[str]) -> None:
    thread_id, *ids = runs

    def page(**params: str | int) -> tuple[list[str], bool]:
        params["order"] = "asc"
        body = client.get(f"/threads/{thread_id}/runs", params=params).json()
        return [run["id"] for run in body["data"]], body["has_more"]

    assert page(before=ids[10], limit=4) == (ids[6:10], True)
    assert page(before=ids[4], limit=4) == (ids[:4], False)
    assert page(after=ids[2], before=ids[10], limit=4) == (ids[3:7], True)
    assert page(before=ids[0]) == ([], False)


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=101", "limit=x", "limit=-1", "limit=", "limit=%C2%B2", "order=up",
     "after=run_x", "before=run_x"],
)  # fmt: skip
def test_bad_pages_are_refused(client: httpx.Client, runs: list[str], query: str) -> None:
    answer = client.get(f"/threads/{runs[0]}/runs?{query}")
    message_of(answer, 400)
    assert answer.json()["error"]["param"] == query.partition("=")[0]


# -- the record


def test_requests_are_recorded(server: RunServer, client: httpx.Client) -> None:
    run = server.create_run()
    base = f"/threads/{run['thread_id']}/runs"
    client.get(base, params={"limit": "5", "after": ""})
    client.post(f"{base}/{run['id']}/cancel", headers={"X-Mark": "1"})
    client.post(f"{base}/{run['id']}/cancel", content=b"not json")
    server.end(run["id"])
    created = client.post(base, json=RUN).json()

    listed, cancelled, again, create = server.requests
    assert (listed.method, listed.path, listed.status) == ("GET", base, 400)
    assert (listed.query, listed.body, listed.run_id) == ({"limit": "5", "after": ""}, None, None)
    assert (cancelled.path, cancelled.status) == (f"{base}/{run['id']}/cancel", 200)
    assert cancelled.headers["x-mark"] == "1"
    assert cancelled.headers["authorization"] == "***"
    assert cancelled.at == START
    assert (cancelled.run_id, cancelled.accepted_cancel) == (run["id"], True)
    assert (again.status, again.body, again.accepted_cancel) == (400, None, False)
    assert (create.body, create.run_id, create.status) == (RUN, created["id"], 200)

    assert server.accepted_cancels() == 1
    assert server.accepted_cancels(run["id"]) == 1
    assert server.accepted_cancels(created["id"]) == 0


def test_the_connection_leads_to_the_server(server: RunServer) -> None:
    assert json.loads(server.connection()) == {
        "conn_type": "runs_assistants",
        "host": server.url,
        "password": "sk-runs-testing",
        "extra": {},
    }
    with RunServer(api_key="sk-1") as other:
        connection = json.loads(other.connection("runs_foundry", timeout=3))
    assert (connection["conn_type"], connection["password"]) == ("runs_foundry", "sk-1")
    assert connection["extra"] == {"timeout": 3}
