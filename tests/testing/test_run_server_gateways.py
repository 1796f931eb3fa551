"""Gateways: what a client of the server sees through them, and whether a request had an effect."""

from __future__ import annotations

import threading

import httpx
import pytest

from airflow_provider_runs.testing import Fault, Gateway, LangGraph, RunScript, RunServer
from airflow_provider_runs.testing.gateways import GARBAGE, NOT_FOUND

LONG = RunScript(queued_for=0, runs_for=float("inf"), cancelling_for=0)
DIALECTS = ["assistants", "foundry", "langgraph", "responses"]


@pytest.fixture(params=DIALECTS)
def dialect(request):
    return request.param


class Client:
    """A client of a server, for one run of it."""

    def __init__(self, server):
        self.server = server
        self.run = server.create_run()
        self.id = self.run.get("run_id") or self.run["id"]
        thread = self.run.get("thread_id")
        self.thread_path = f"/threads/{thread}/runs"
        self.path = f"{self.thread_path}/{self.id}" if thread else f"/responses/{self.id}"

    def send(self, method, path, key="sk-x", **kwargs):
        headers = {"Authorization": f"Bearer {key}", "api-key": key} if key else {}
        params = {"api-version": "v1", "wait": "0", "action": "interrupt"}
        url = self.server.base_url + path
        return httpx.request(method, url, headers=headers, params=params, **kwargs)

    def probe(self):
        probes = {"langgraph": ("POST", "/assistants/search"), "responses": ("GET", "/models")}
        method, path = probes.get(self.server.dialect.name, ("GET", "/assistants"))
        return self.send(method, path)

    def get(self):
        return self.send("GET", self.path)

    def cancel(self):
        return self.send("POST", f"{self.path}/cancel")


@pytest.fixture
def client(dialect):
    with RunServer(dialect=dialect, script=LONG, thread_lock=False) as server:
        yield Client(server)


def test_by_default_nothing_differs(client):
    assert client.get().json() == client.server.run(client.id)
    assert client.cancel().is_success
    assert client.server.status(client.id) == "cancelled"


def test_a_gateway_can_be_given_to_the_server():
    with RunServer(gateway=Gateway(forwards=False)) as server:
        assert Client(server).get().status_code == 404


def test_a_new_run_is_not_known_at_first(client):
    client.server.gateway = Gateway(missing_for=3600)
    assert client.get().status_code == client.cancel().status_code == 404
    client.server.gateway = Gateway(missing_for=1e-6)
    assert client.get().status_code == 200


def test_a_run_is_not_known_now_and_then(client):
    client.server.gateway = Gateway(misses_every=3)
    assert [client.get().status_code for _ in range(6)] == [200, 200, 404, 200, 200, 404]


def test_a_run_that_is_not_known_may_be_missing_in_the_words_of_a_router(client):
    client.server.gateway = Gateway(misses_every=2, missing_as="kong")
    assert [client.get().status_code, client.get().json()] == [200, NOT_FOUND["kong"]]
    client.server.gateway = Gateway(missing_for=3600, missing_as="fastify", flat_errors=True)
    assert client.path in client.get().json()["message"]
    assert client.get().json()["statusCode"] == 404


def test_a_key_is_refused_now_and_then(client):
    client.server.gateway = Gateway(refuses_every=2)
    assert [client.get().status_code for _ in range(4)] == [200, 401, 200, 401]


def test_a_gateway_counts_from_when_it_is_set(client):
    client.get()
    for _ in range(2):
        client.server.gateway = Gateway(refuses_every=2, misses_every=3, loses_cancels=1)
        assert [client.get().status_code, client.get().status_code] == [200, 401]
        assert client.cancel().is_success
        assert client.server.status(client.id) == "in_progress"


def test_another_thread_may_set_a_gateway_while_requests_are_served(client):
    gateways = [Gateway(cancel_status=501), Gateway(missing_for=3600)]
    done = threading.Event()

    def swap():
        while not done.is_set():
            client.server.gateway = gateways[0]
            client.server.gateway = gateways[1]

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        statuses = {client.get().status_code for _ in range(20)}
    finally:
        done.set()
        thread.join()
    assert statuses <= {200, 404}
    client.server.gateway = Gateway()
    assert client.get().status_code == 200


def test_a_cancel_is_accepted_and_lost(client):
    client.server.gateway = Gateway(loses_cancels=2)
    for _ in range(2):
        assert client.cancel().is_success
        assert client.server.status(client.id) == "in_progress"
    assert client.server.accepted_cancels() == 0
    assert client.cancel().is_success
    assert client.server.accepted_cancels(client.id) == 1


def test_a_lost_cancel_is_answered_as_one_that_is_not(client):
    other = Client(client.server)
    accepted = other.cancel()
    client.server.gateway = Gateway(loses_cancels=1)
    lost = client.cancel()
    assert lost.status_code == accepted.status_code
    assert bool(lost.content) == bool(accepted.content)
    if lost.content:
        assert lost.json() == client.get().json()


@pytest.mark.parametrize(
    ("answer", "status", "is_json"),
    [("empty", 202, False), ("no_content", 204, False), ("run", 200, True), ("object", 200, True)],
)
def test_a_lost_cancel_is_answered_as_a_langgraph_server_does(answer, status, is_json):
    with RunServer(
        dialect=LangGraph(cancel_answer=answer), script=LONG, gateway=Gateway(loses_cancels=1)
    ) as server:
        client = Client(server)
        lost = client.cancel()
        assert (lost.status_code, bool(lost.content)) == (status, is_json)
        assert server.status(client.id) == "in_progress"


def test_only_a_cancel_that_would_have_an_effect_is_lost(client):
    client.server.gateway = Gateway(loses_cancels=1)
    gone, ended = Client(client.server), Client(client.server)
    client.server.delete(gone.id)
    client.server.end(ended.id, "completed")
    assert gone.cancel().status_code == 404
    assert ended.cancel().status_code in {400, 404}


def test_a_cancel_with_a_wrong_key_is_refused_and_not_lost(dialect):
    gateway = Gateway(loses_cancels=1)
    with RunServer(dialect=dialect, script=LONG, api_key="sk-right", gateway=gateway) as server:
        client = Client(server)
        path = f"{client.path}/cancel"
        assert client.send("POST", path, "sk-wrong").status_code == 401
        assert client.send("POST", path, "sk-right").is_success
        assert server.accepted_cancels() == 0
        assert client.send("POST", path, "sk-right").is_success
        assert server.accepted_cancels() == 1


@pytest.mark.parametrize(
    ("answer", "status"), [({"cancel_body": "page"}, 200), ({"cancel_status": 500}, 500)]
)
def test_a_cancel_may_be_lost_whatever_it_is_answered(client, answer, status):
    client.server.gateway = Gateway(loses_cancels=1, **answer)
    assert client.cancel().status_code == status
    assert client.server.accepted_cancels() == 0
    assert client.cancel().status_code == status
    assert client.server.accepted_cancels(client.id) == 1


@pytest.mark.parametrize("status", [500, 501, 429])
def test_a_cancel_is_answered_with_an_error_though_it_had_its_effect(client, status):
    client.server.gateway = Gateway(cancel_status=status)
    assert [client.cancel().status_code for _ in range(2)] == [status] * 2
    assert client.server.status(client.id) == "cancelled"
    assert client.get().status_code == 200


@pytest.mark.parametrize("name", GARBAGE)
def test_a_cancel_or_a_look_is_answered_with_garbage(client, name):
    client.server.gateway = Gateway(cancel_body=name)
    answer = client.cancel()
    assert (answer.status_code, answer.content) == (200, GARBAGE[name])
    assert client.get().json()["status"]
    client.server.gateway = Gateway(look_body=name)
    assert client.get().content == GARBAGE[name]


@pytest.mark.parametrize("name", NOT_FOUND)
def test_a_router_refuses_in_its_own_words(client, name):
    client.server.gateway = Gateway(not_found=name, cancel_route=False)
    answer = client.cancel()
    assert answer.status_code == 404
    assert "{" not in answer.text.replace('{"', "")
    assert answer.headers["content-type"].startswith("application/json") is (
        not isinstance(NOT_FOUND[name], str)
    )
    assert client.get().status_code == 200
    assert client.server.status(client.id) == "in_progress"
    if "{path}" in str(NOT_FOUND[name]):
        assert f"{client.path}/cancel" in answer.text


def test_a_probe_may_be_missing(client):
    assert client.probe().is_success
    client.server.gateway = Gateway(probe_route=False)
    assert client.probe().json() == NOT_FOUND["kong"]
    assert client.get().status_code == 200


def test_a_login_page_answers_everything_and_reaches_nothing(client):
    client.server.gateway = Gateway(login_page=True)
    for answer in (client.get(), client.cancel(), client.probe()):
        assert (answer.status_code, answer.content) == (200, GARBAGE["page"])
        assert answer.headers["content-type"].startswith("text/html")
    assert client.server.accepted_cancels() == 0


def test_garbage_is_json_but_for_the_page(client):
    for name in GARBAGE:
        client.server.gateway = Gateway(look_body=name)
        kind = "text/html" if name == "page" else "application/json"
        assert client.get().headers["content-type"].split(";")[0] == kind


def test_each_answer_has_another_id(client):
    client.server.gateway = Gateway(other_ids=True)
    bodies = [client.get().json() for _ in range(3)]
    ids = {body.get("run_id") or body["id"] for body in bodies}
    assert len(ids) == 3
    assert client.id not in ids


def test_a_list_holds_odd_records(client):
    if client.server.dialect.name == "responses":
        return  # it has no lists
    client.server.gateway = Gateway(odd_records=True)
    body = client.send("GET", client.thread_path).json()
    records = body["data"] if isinstance(body, dict) else body
    assert len(records) == 5
    assert records[0] == client.get().json()
    assert [record and record.get("status") for record in records[1:]] == [None, None, ["x"], None]


def test_an_answer_without_an_id_gets_none():
    with RunServer(
        dialect=LangGraph(cancel_answer="object"), script=LONG, gateway=Gateway(other_ids=True)
    ) as server:
        client = Client(server)
        assert client.cancel().json() == {}
        assert server.accepted_cancels(client.id) == 1


def test_lists_of_what_has_no_status_hold_no_odd_records(client):
    answer = client.probe()
    client.server.gateway = Gateway(odd_records=True)
    assert len(client.probe().content) == len(answer.content)


def test_a_list_of_threads_holds_odd_records_and_keeps_its_words():
    with RunServer(dialect="langgraph", script=LONG) as server:
        client = Client(server)
        server.gateway = Gateway(odd_records=True, status_words={"busy": "X", "running": "Y"})
        found = client.send("POST", "/threads/search", json={}).json()
        assert [thread and thread.get("status") for thread in found] == [
            "busy",
            None,
            None,
            ["x"],
            None,
        ]
        assert client.get().json()["status"] == "Y"


def test_statuses_are_spelled_otherwise_and_fields_are_set(client):
    word = client.get().json()["status"]
    client.server.gateway = Gateway(status_words={word: "RUNNING!"}, fields={"created_at": 2**64})
    body = client.get().json()
    assert (body["status"], body["created_at"]) == ("RUNNING!", 2**64)


def test_numbers_may_be_too_large(client):
    usage = {"total_tokens": "9" * 25}
    client.server.gateway = Gateway(fields={"created_at": 2**64, "usage": usage})
    body = client.get().json()
    assert (body["created_at"], body["usage"]) == (2**64, usage)


def test_errors_are_flat(client):
    client.server.gateway = Gateway(flat_errors=True)
    client.server.delete(client.id)
    body = client.get().json()
    assert (body["object"], body["code"]) == ("error", 404)
    assert client.server.dialect.name == "langgraph" or client.id in body["message"]


def test_errors_of_the_gateway_itself_are_flat_too(client):
    for gateway, status in (
        (Gateway(flat_errors=True, missing_for=3600), 404),
        (Gateway(flat_errors=True, refuses_every=1), 401),
    ):
        client.server.gateway = gateway
        assert client.get().json()["code"] == status
    client.server.gateway = Gateway(flat_errors=True, cancel_status=500)
    body = client.cancel().json()
    assert (body["object"], body["code"]) == ("error", 500)


@pytest.mark.parametrize("errors", ["detail", "json", "text"])
def test_errors_of_langgraph_are_flat_unless_they_are_text(errors):
    with RunServer(dialect=LangGraph(errors=errors), gateway=Gateway(flat_errors=True)) as server:
        client = Client(server)
        server.delete(client.id)
        answer = client.get()
    assert answer.status_code == 404
    if errors == "text":
        assert answer.text == "Not Found"
    else:
        assert (answer.json()["message"], answer.json()["code"]) == ("Not Found", 404)


@pytest.mark.parametrize(("kind", "code"), [("number", 404), ("text", "404"), ("none", None)])
@pytest.mark.parametrize("flat", [False, True])
def test_the_code_of_an_error_is_a_number_a_text_or_missing(client, kind, code, flat):
    if client.server.dialect.name == "langgraph" and not flat:
        return  # its errors have no code
    client.server.delete(client.id)
    client.server.gateway = Gateway(error_code=kind, flat_errors=flat)
    body = client.get().json()
    error = body if flat else body["error"]
    assert error["code"] == code
    assert error["type"] or client.server.dialect.name == "langgraph"


def test_a_fault_comes_before_the_gateway(client):
    client.server.gateway = Gateway(login_page=True)
    client.server.fault(Fault(status=503))
    assert [client.get().status_code, client.get().status_code] == [503, 200]


def test_a_thread_of_any_id_has_runs_and_is_found():
    with RunServer(dialect=LangGraph(any_thread_id=True), script=LONG) as server:
        thread, body = f"{server.url}/threads/test-thread-123", {"assistant_id": "agent"}
        assert httpx.post(f"{server.url}/threads", json={"thread_id": "test-thread-123"}).is_success
        run = httpx.post(f"{thread}/runs", json=body).json()
        assert httpx.get(f"{thread}/runs/{run['run_id']}").json()["thread_id"] == "test-thread-123"
        assert [each["run_id"] for each in httpx.get(f"{thread}/runs").json()] == [run["run_id"]]
        [found] = httpx.post(f"{server.url}/threads/search", json={"status": "busy"}).json()
        assert found["thread_id"] == "test-thread-123"
        assert httpx.get(f"{thread}/runs/run-1").status_code == 422  # a run's id is a UUID
    with RunServer(dialect="langgraph") as server:
        assert httpx.get(f"{server.url}/threads/test-thread-123").status_code == 422


def test_a_thread_of_aegras_has_any_id():
    with RunServer(dialect=LangGraph(any_thread_id=True)) as server:
        answer = httpx.get(f"{server.url}/threads/test-thread-123")
    assert answer.json() == {"detail": "Thread with ID test-thread-123 not found"}


def test_a_thread_of_langgraphs_says_why_its_run_failed_and_what_it_asks():
    with RunServer(dialect="langgraph", script=LONG) as server:
        run = server.create_run()
        server.end(run["run_id"], "failed", {"code": "ValueError", "message": "boom"})
        thread = httpx.get(f"{server.url}/threads/{run['thread_id']}").json()
        assert thread["status"] == "error"
        assert thread["error"] == {"error": "ValueError", "message": "boom"}
        asks = RunScript(queued_for=0, runs_for=0, ends="requires_action")
        run = server.create_run(script=asks)
        thread = httpx.get(f"{server.url}/threads/{run['thread_id']}").json()
        assert (server.run(run["run_id"])["status"], thread["status"]) == ("interrupted",) * 2
        assert thread["interrupts"]["task"][0]["value"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"not_found": "ngnix"},
        {"missing_as": "ngnix"},
        {"cancel_body": "html"},
        {"look_body": "x"},
        {"error_code": "x"},
        {"missing_for": -1},
    ],
)
def test_a_senseless_gateway_is_an_error(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Gateway(**wrong)
