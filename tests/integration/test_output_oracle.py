"""What a run has made, as we read it and as the vendor's own client reads it."""

from __future__ import annotations

import pytest

from airflow_provider_runs.hooks import RunsHook
from airflow_provider_runs.testing import RunScript, RunServer

openai = pytest.importorskip("openai")

DONE = RunScript(queued_for=0, runs_for=0, answer="Forty-two: 4 and 2, “42”.")


@pytest.fixture
def made(request, monkeypatch):
    """A run of a dialect that has ended, what we read of it, and the vendor's client."""
    dialect, body = request.param
    with RunServer(dialect=dialect, script=DONE, thread_lock=False) as server:
        monkeypatch.setenv("AIRFLOW_CONN_RUNS_DEFAULT", server.connection())
        hook = RunsHook()
        where = {"thread_id": server.create_thread()} if "assistant_id" in body else {}
        run = hook.start_run(body, **where)
        hook.start_run(body, **where)  # another one, whose output it must not be
        with openai.OpenAI(api_key="sk-x", base_url=server.base_url, max_retries=0) as client:
            yield run, hook.get_output(run), client


@pytest.mark.parametrize("made", [("responses", {"model": "m", "input": "x"})], indirect=True)
def test_a_response(made):
    run, output, client = made
    theirs = client.responses.retrieve(run.id)
    assert output["output_text"] == theirs.output_text == DONE.answer
    assert output["output"] == [each.to_dict() for each in theirs.output]


@pytest.mark.parametrize("made", [("assistants", {"assistant_id": "asst_1"})], indirect=True)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_messages_of_an_assistants_run(made):
    run, output, client = made
    theirs = client.beta.threads.messages.list(run.thread_id, run_id=run.id, order="asc")
    assert [each.to_dict() for each in theirs] == output
    assert [part.text.value for each in theirs for part in each.content] == [DONE.answer]


@pytest.mark.parametrize("made", [("responses", {"model": "m", "input": "x"})], indirect=True)
def test_what_we_start_is_what_their_client_starts(made):
    """The marks and the background are theirs to read, too."""
    run, _, client = made
    theirs = client.responses.retrieve(run.id)
    assert theirs.background is True
    assert theirs.metadata["airflow_start"] == "1"
