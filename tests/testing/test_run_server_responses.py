"""The Responses wire: its object, its endpoints, and each switch."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from airflow_provider_runs.testing import ApiError, Responses, RunScript, RunServer

if TYPE_CHECKING:
    from collections.abc import Callable

    Advance = Callable[[float], None]

START = 1_800_000_000
FINAL = ("cancelled", "failed", "completed", "incomplete", "expired")
BODY = {"model": "gpt-4.1", "input": "Hello", "background": True}


@pytest.fixture
def dialect() -> Responses:
    return Responses()


def path_of(response: dict[str, Any]) -> str:
    return f"/responses/{response['id']}"


def cancel(client: httpx.Client, response: dict[str, Any]) -> httpx.Response:
    return client.post(f"{path_of(response)}/cancel")


def message_of(answer: httpx.Response, status: int) -> str:
    assert answer.status_code == status
    error = answer.json()["error"]
    assert error.keys() == {"message", "type", "param", "code"}
    return str(error["message"])


# -- the object


@pytest.mark.parametrize(
    "status", [*FINAL, "queued", "in_progress", "requires_action", "cancelling"]
)
def test_the_object_is_the_published_one(server: RunServer, status: str) -> None:
    responses = pytest.importorskip("openai.types.responses")
    response = server.create_run(script=RunScript(timeline=[(status, math.inf)]))
    assert response.keys() <= responses.Response.model_fields.keys()
    parsed = responses.Response.model_validate(response, strict=True)
    assert parsed.to_dict(mode="json", exclude_unset=True) == response


def test_a_response_moves_with_the_clock(
    server: RunServer, client: httpx.Client, advance: Advance
) -> None:
    script = RunScript(queued_for=2, runs_for=10)
    response = server.create_run(script=script)
    assert re.fullmatch(r"resp_[0-9a-f]{48}", response["id"])
    seen = []
    for seconds in (0, 2, 10, 1000):
        advance(seconds)
        body = client.get(path_of(response)).json()
        seen.append((body["status"], body["completed_at"], len(body["output"])))
    assert seen == [
        ("queued", None, 0),
        ("in_progress", None, 0),
        ("completed", START + 12, 1),
        ("completed", START + 12, 1),
    ]
    assert body["created_at"] == START
    assert body["usage"]["total_tokens"] == 579
    (message,) = body["output"]
    assert message["content"][0]["type"] == "output_text"
    assert body == client.get(path_of(response)).json()


def test_each_end_has_its_marks(server: RunServer) -> None:
    def ended(ends: str, **script: Any) -> dict[str, Any]:
        return server.create_run(script=RunScript(timeline=[(ends, 0)], **script))

    assert ended("incomplete")["incomplete_details"] == {"reason": "max_output_tokens"}
    assert ended("failed")["error"]["code"] == "server_error"
    error = {"code": "rate_limit_exceeded", "message": "Slow down."}
    assert ended("failed", last_error=error)["error"] == error
    expired = ended("expired")
    assert (expired["status"], expired["error"]["code"]) == ("failed", "server_error")
    cancelled = ended("cancelled")
    assert [cancelled[name] for name in ("error", "incomplete_details", "usage", "output")] == [
        None, None, None, []
    ]  # fmt: skip


def test_the_published_client_works(server: RunServer, advance: Advance) -> None:
    openai = pytest.importorskip("openai")
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="x", max_retries=0) as sdk:
        assert [model.id for model in sdk.models.list()] == ["gpt-4o"]
        response = sdk.responses.create(model="gpt-4o", input="Hello", background=True)
        assert sdk.responses.cancel(response.id).status == "in_progress"
        advance(1)
        assert sdk.responses.retrieve(response.id).status == "cancelled"
        done = server.create_run(script=RunScript(timeline=[("completed", 0)]))
        assert sdk.responses.retrieve(done["id"]).output_text == "Hello."
        with pytest.raises(openai.BadRequestError, match="Cannot cancel a completed response"):
            sdk.responses.cancel(done["id"])
        sdk.responses.delete(done["id"])
        with pytest.raises(openai.NotFoundError):
            sdk.responses.retrieve(done["id"])


# -- endpoints


def test_every_route_is_there_with_and_without_v1(server: RunServer) -> None:
    response = server.create_run()
    for prefix in ("", "/v1"):
        answer = httpx.get(server.url + prefix + path_of(response), headers={"api-key": "x"})
        assert answer.json() == response
    assert [request.path for request in server.requests] == [path_of(response)] * 2


def test_a_response_is_created(server: RunServer, client: httpx.Client) -> None:
    body = {**BODY, "metadata": {"team": "search"}, "instructions": "Be brief.", "stream": False}
    response = client.post("/responses", json=body).json()
    names = ("model", "background", "metadata", "instructions", "status")
    assert [response[name] for name in names] == [
        "gpt-4.1", True, {"team": "search"}, "Be brief.", "queued"
    ]  # fmt: skip
    assert client.post("/responses", json={"model": "m"}).json()["background"] is False
    assert server.create_run(model="m")["background"] is True
    assert message_of(client.post("/responses", json={}), 400).endswith("'model'.")
    bad = client.post("/responses", json={**BODY, "metadata": {"x": 1}})
    assert "string values" in message_of(bad, 400)


def test_there_is_a_model(client: httpx.Client) -> None:
    models = client.get("/models").json()
    assert models["object"] == "list"
    assert [model["object"] for model in models["data"]] == ["model"]
    assert message_of(client.get("/assistants"), 404) == "Invalid URL (GET /v1/assistants)"


def test_a_response_can_be_deleted(server: RunServer, client: httpx.Client) -> None:
    response = server.create_run()
    path = path_of(response)
    assert client.delete(path).json() == {
        "id": response["id"], "object": "response", "deleted": True
    }  # fmt: skip
    for answer in (client.get(path), client.delete(path), cancel(client, response)):
        assert message_of(answer, 404) == f"Response with id '{response['id']}' not found."
    answer = client.get("/responses/run_1")
    assert "begins with 'resp'" in message_of(answer, 400)
    assert answer.json()["error"]["param"] == "response_id"


# -- cancel


def test_a_cancel_answers_with_the_response(
    server: RunServer, client: httpx.Client, advance: Advance
) -> None:
    response = server.create_run(script=RunScript(queued_for=0, cancelling_for=3))
    answers = [cancel(client, response) for _ in range(2)]  # the wire shows no `cancelling`
    assert [(each.status_code, each.json()["status"]) for each in answers] == [
        (200, "in_progress")
    ] * 2  # fmt: skip
    assert server.accepted_cancels() == 1
    advance(3)
    assert client.get(path_of(response)).json()["status"] == "cancelled"


def test_only_background_responses_can_be_cancelled(
    server: RunServer, client: httpx.Client
) -> None:
    created = client.post("/responses", json={**BODY, "background": False}).json()
    ended = server.create_run(script=RunScript(timeline=[("completed", 0)]), background=False)
    for response in (created, ended):
        assert "synchronous" in message_of(cancel(client, response), 400)
        assert server.run(response["id"]) == response
    assert server.accepted_cancels() == 0


@pytest.mark.parametrize("ends", ["completed", "failed", "incomplete", "expired"])
@pytest.mark.parametrize(
    ("dialect", "expected"),
    [
        (Responses(), 400),
        (Responses(cancel_final=400, cancel_again=409), 400),
        (Responses(cancel_final=409), 409),
        (Responses(cancel_final=200, cancel_again=400), 200),
    ],
)
def test_servers_answer_a_cancel_of_the_ended_differently(
    server: RunServer, client: httpx.Client, ends: str, expected: int
) -> None:
    response = server.create_run(script=RunScript(timeline=[(ends, 0)]))
    answer = cancel(client, response)
    if expected == 200:
        assert (answer.status_code, answer.json()) == (200, response)
    else:
        text = f"Cannot cancel a {response['status']} response."
        assert message_of(answer, expected) == text
    assert server.accepted_cancels() == 0


@pytest.mark.parametrize(
    ("dialect", "expected"),
    [
        (Responses(), 200),
        (Responses(cancel_again=200, cancel_final=409), 200),
        (Responses(cancel_again=400), 400),
        (Responses(cancel_again=409, cancel_final=200), 409),
    ],
)
def test_servers_answer_a_second_cancel_differently(
    server: RunServer, client: httpx.Client, expected: int
) -> None:
    response = server.create_run(script=RunScript(cancelling_for=0))
    first, second = cancel(client, response), cancel(client, response)
    assert (first.status_code, first.json()["status"]) == (200, "cancelled")
    if expected == 200:
        assert (second.status_code, second.json()) == (200, first.json())
    else:
        assert message_of(second, expected) == "Cannot cancel a cancelled response."
    assert server.accepted_cancels() == 1


# -- forgetting


@pytest.mark.parametrize("dialect", [Responses(forget_after=600)])
def test_a_response_is_forgotten_after_its_end(
    server: RunServer, client: httpx.Client, advance: Advance
) -> None:
    response = server.create_run(script=RunScript(queued_for=0, runs_for=10))
    active = server.create_run(script=RunScript(runs_for=math.inf))
    advance(609.9)
    assert client.get(path_of(response)).json()["status"] == "completed"
    advance(0.1)
    for answer in (client.get(path_of(response)), cancel(client, response)):
        assert "not found" in message_of(answer, 404)
    with pytest.raises(ApiError, match="not found"):
        server.status(response["id"])
    assert client.get(path_of(active)).json()["status"] == "in_progress"


def test_a_response_is_kept_unless_asked_otherwise(server: RunServer, advance: Advance) -> None:
    response = server.create_run(script=RunScript(timeline=[("completed", 0)]))
    advance(1e9)
    assert server.status(response["id"]) == "completed"


# -- ids of clients


BY_BODY, BY_HEADER = Responses(client_ids="request_id"), Responses(client_ids="x-agent-response-id")


def start(client: httpx.Client, dialect: Responses, response_id: str | None) -> httpx.Response:
    if dialect is BY_BODY:
        return client.post("/responses", json={**BODY, "request_id": response_id})
    headers = {} if response_id is None else {"x-agent-response-id": response_id}
    return client.post("/responses", headers=headers, json=BODY)


@pytest.mark.parametrize("dialect", [BY_BODY, BY_HEADER])
@pytest.mark.parametrize("response_id", ["resp_mine", "caresp_mine"])
def test_a_client_may_give_the_id(
    server: RunServer, client: httpx.Client, dialect: Responses, response_id: str
) -> None:
    response = start(client, dialect, response_id).json()
    assert response["id"] == response_id
    assert client.get(path_of(response)).json() == response
    assert cancel(client, response).status_code == 200
    assert server.started_runs() == [response_id]


@pytest.mark.parametrize("dialect", [BY_BODY, BY_HEADER])
def test_the_server_makes_an_id_where_the_client_gives_none(
    client: httpx.Client, dialect: Responses
) -> None:
    assert start(client, dialect, None).json()["id"].startswith("resp_")


@pytest.mark.parametrize(
    ("dialect", "status", "message"),
    [
        (BY_BODY, 400, "request id already exists"),
        (BY_HEADER, 409, "Response with id 'resp_1' already exists."),
    ],
)
def test_an_id_is_given_once(
    server: RunServer, client: httpx.Client, dialect: Responses, status: int, message: str
) -> None:
    response = start(client, dialect, "resp_1").json()
    assert message_of(start(client, dialect, "resp_1"), status) == message
    assert client.get(path_of(response)).json() == response
    assert server.started_runs() == ["resp_1"]
    server.delete("resp_1")
    assert start(client, dialect, "resp_1").status_code == 200


@pytest.mark.parametrize("dialect", [Responses(client_ids="request_id", forget_after=0)])
def test_an_id_that_is_forgotten_can_be_given_again(client: httpx.Client) -> None:
    metadata = {"queued_for": "0", "runs_for": "0"}
    body = {**BODY, "request_id": "resp_1", "metadata": metadata}
    assert [client.post("/responses", json=body).status_code for _ in range(2)] == [200, 200]


@pytest.mark.parametrize("given", ["resp_1", None])
def test_a_server_may_take_no_ids(
    server: RunServer, client: httpx.Client, given: str | None
) -> None:
    answer = client.post("/responses", json={**BODY, "request_id": given})
    assert message_of(answer, 400) == "Unknown parameter: 'request_id'."
    error = answer.json()["error"]
    assert (error["param"], error["code"]) == ("request_id", "unknown_parameter")
    assert server.started_runs() == []


def test_a_header_with_an_id_may_mean_nothing(client: httpx.Client) -> None:
    answer = client.post("/responses", headers={"x-agent-response-id": "resp_1"}, json=BODY)
    assert answer.json()["id"] != "resp_1"


@pytest.mark.parametrize("dialect", [BY_BODY])
def test_an_id_must_be_a_text(client: httpx.Client) -> None:
    answer = client.post("/responses", json={**BODY, "request_id": 1})
    assert message_of(answer, 400) == "Invalid type for 'request_id': expected a string."


@pytest.mark.parametrize(
    ("dialect", "status"), [(Responses(), 400), (BY_BODY, 404), (BY_HEADER, 404)]
)
def test_an_id_that_no_client_may_give_is_malformed(client: httpx.Client, status: int) -> None:
    message_of(client.get("/responses/caresp_1"), status)


@pytest.mark.parametrize(
    ("switches", "message"),
    [
        ({"cancel_final": 404}, "cancel_final must be one of 400, 409, 200, not 404"),
        ({"cancel_again": 500}, "cancel_again must be one of"),
        ({"client_ids": "header"}, "client_ids must be one of 'none', 'request_id', "),
        ({"forget_after": -1}, "forget_after must be 0 or more seconds"),
        ({"forget_after": math.nan}, "forget_after must be 0 or more seconds"),
    ],
)
def test_a_switch_must_have_one_of_its_values(switches: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Responses(**switches)
