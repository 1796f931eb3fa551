"""Azure AI Foundry's wire: Assistants below a project, with a version."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import pytest

if TYPE_CHECKING:
    from airflow_provider_runs.testing import RunServer

VERSION = {"api-version": "v1"}


@pytest.fixture
def dialect() -> str:
    return "foundry"


def test_every_project_and_version_will_do(server: RunServer) -> None:
    run = server.create_run()
    path = f"/threads/{run['thread_id']}/runs/{run['id']}"
    for project, version in (("demo", "v1"), ("my-project", "2025-05-01")):
        url = f"{server.url}/api/projects/{project}{path}"
        answer = httpx.get(url, params={"api-version": version}, headers={"api-key": "x"})
        assert answer.json() == run
    assert {request.path for request in server.requests} == {path}
    assert {request.run_id for request in server.requests} == {run["id"]}


@pytest.mark.parametrize("query", [{}, {"api-version": ""}, {"version": "v1"}])
def test_the_version_is_required(server: RunServer, query: dict[str, str]) -> None:
    url = f"{server.base_url}/assistants"
    answer = httpx.get(url, params=query, headers={"api-key": "x"})
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert "api-version" in error["message"]
    assert error["param"] == "api-version"


def test_the_key_is_looked_at_first(server: RunServer) -> None:
    assert httpx.get(f"{server.base_url}/assistants").status_code == 401


def test_there_is_nothing_outside_of_projects(server: RunServer) -> None:
    headers = {"api-key": "x"}
    for path in ("/assistants", "/v1/assistants", "/api/projects/assistants"):
        answer = httpx.get(server.url + path, params=VERSION, headers=headers)
        assert answer.status_code == 404
        assert answer.json()["error"]["message"] == f"Invalid URL (GET {path})"


def test_threads_messages_and_lists_are_those_of_assistants(client: httpx.Client) -> None:
    thread_id = client.post("/threads").json()["id"]
    path = f"/threads/{thread_id}"
    message = {"role": "user", "content": "Hello"}
    assert client.post(f"{path}/messages", json=message).json()["thread_id"] == thread_id
    assert len(client.get(f"{path}/messages").json()["data"]) == 1
    run = client.post(f"{path}/runs", json={"assistant_id": "a"}).json()
    assert client.get(f"{path}/runs").json()["data"] == [run]
    assert client.post(f"{path}/runs", json={"assistant_id": "a"}).status_code == 400
    assert client.get("/assistants", params={**VERSION, "limit": 1}).json()["data"] == []
