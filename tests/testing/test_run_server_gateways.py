"""Gateways: what a client of the server sees through them, and whether a request had an effect."""

from __future__ import annotations

import httpx
import pytest

from airflow_provider_runs.testing import Gateway, LangGraph, RunScript, RunServer
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

    def send(self, method, path):
        headers = {"Authorization": "Bearer sk-x", "api-key": "sk-x"}
        params = {"api-version": "v1", "wait": "0", "action": "interrupt"}
        url = self.server.base_url + path
        return httpx.request(method, url, headers=headers, params=params)

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


def test_a_key_is_refused_now_and_then(client):
    client.server.gateway = Gateway(refuses_every=2)
    assert [client.get().status_code for _ in range(4)] == [200, 401, 200, 401]


def test_a_cancel_is_accepted_and_lost(client):
    client.server.gateway = Gateway(loses_cancels=2)
    for _ in range(2):
        assert client.cancel().is_success
        assert client.server.status(client.id) == "in_progress"
    assert client.server.accepted_cancels() == 0
    assert client.cancel().is_success
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
    assert client.get().status_code == 200
    assert client.server.status(client.id) == "in_progress"
    if "{path}" in str(NOT_FOUND[name]):
        assert f"{client.path}/cancel" in answer.text


def test_a_probe_may_be_missing(client):
    probe = {"langgraph": ("POST", "/assistants/search"), "responses": ("GET", "/models")}
    method, path = probe.get(client.server.dialect.name, ("GET", "/assistants"))
    client.server.gateway = Gateway(probe_route=False)
    assert client.send(method, path).json() == NOT_FOUND["kong"]
    assert client.get().status_code == 200


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


def test_statuses_are_spelled_otherwise_and_fields_are_set(client):
    word = client.get().json()["status"]
    client.server.gateway = Gateway(status_words={word: "RUNNING!"}, fields={"created_at": 2**64})
    body = client.get().json()
    assert (body["status"], body["created_at"]) == ("RUNNING!", 2**64)


def test_errors_are_flat(client):
    client.server.gateway = Gateway(flat_errors=True)
    client.server.delete(client.id)
    body = client.get().json()
    assert (body["object"], body["code"]) == ("error", 404)
    assert client.server.dialect.name == "langgraph" or client.id in body["message"]


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
    [{"not_found": "ngnix"}, {"cancel_body": "html"}, {"look_body": "x"}, {"missing_for": -1}],
)
def test_a_senseless_gateway_is_an_error(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Gateway(**wrong)
