"""How runs move: by themselves, when cancelled, when they wait for tool outputs."""

from __future__ import annotations

import math
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_runs.testing import ApiError, RunScript, RunServer
from airflow_provider_runs.testing.dialects.assistants_json import run_json
from airflow_provider_runs.testing.runs import ScriptedRun

if TYPE_CHECKING:
    from collections.abc import Callable

    import httpx

    Advance = Callable[[float], None]

START = 1_800_000_000
FINAL = ("cancelled", "failed", "completed", "incomplete", "expired")
USAGE = {"prompt_tokens": 123, "completion_tokens": 456, "total_tokens": 579}
RUN_FIELDS = {
    "id", "object", "created_at", "thread_id", "assistant_id", "status", "required_action",
    "last_error", "expires_at", "started_at", "cancelled_at", "failed_at", "completed_at",
    "incomplete_details", "model", "instructions", "tools", "metadata", "usage", "temperature",
    "top_p", "max_prompt_tokens", "max_completion_tokens", "truncation_strategy", "tool_choice",
    "parallel_tool_calls", "response_format",
}  # fmt: skip


def cancel(client: httpx.Client, run: dict[str, Any]) -> httpx.Response:
    return client.post(f"/threads/{run['thread_id']}/runs/{run['id']}/cancel")


def submit(client: httpx.Client, run: dict[str, Any], outputs: object) -> httpx.Response:
    path = f"/threads/{run['thread_id']}/runs/{run['id']}/submit_tool_outputs"
    return client.post(path, json={"tool_outputs": outputs})


def picked(run: dict[str, Any], *names: str) -> list[Any]:
    return [run[name] for name in names]


TIMES = ("started_at", "cancelled_at", "failed_at", "completed_at", "expires_at")


def test_a_run_is_queued_then_in_progress_then_completed(
    server: RunServer, advance: Advance
) -> None:
    run = server.create_run(script=RunScript(queued_for=2, runs_for=10))
    assert run["status"] == "queued"
    assert picked(run, *TIMES) == [None, None, None, None, START + 602]

    advance(2)
    run = server.run(run["id"])
    assert run["status"] == "in_progress"
    assert picked(run, *TIMES, "usage") == [START + 2, None, None, None, START + 602, None]

    advance(10)
    run = server.run(run["id"])
    assert run["status"] == "completed"
    assert picked(run, *TIMES, "usage") == [START + 2, None, None, START + 12, None, USAGE]
    assert run["created_at"] == START


@pytest.mark.parametrize("ends", FINAL)
def test_each_end_has_its_marks(server: RunServer, ends: str) -> None:
    run = server.create_run(script=RunScript(queued_for=0, runs_for=0, ends=ends))
    done = START if ends in {"completed", "incomplete"} else None
    assert run["status"] == ends
    assert run["started_at"] == START
    assert run["completed_at"] == done
    assert run["expires_at"] == (None if done else START + 600)
    assert run["cancelled_at"] == (START if ends == "cancelled" else None)
    assert run["failed_at"] == (START if ends == "failed" else None)
    assert (run["last_error"] or {}).get("code") == ("server_error" if ends == "failed" else None)
    reason = {"reason": "max_completion_tokens"} if ends == "incomplete" else None
    assert run["incomplete_details"] == reason
    assert run["usage"] == USAGE


def test_a_script_gives_the_error_of_a_failure(server: RunServer) -> None:
    error = {"code": "rate_limit_exceeded", "message": "Slow down."}
    script = RunScript(queued_for=0, runs_for=0, ends="failed", last_error=error)
    assert server.create_run(script=script)["last_error"] == error


def test_a_run_may_last_for_ever(server: RunServer, advance: Advance) -> None:
    working = server.create_run(script=RunScript(runs_for=math.inf))
    waiting = server.create_run(script=RunScript(queued_for=math.inf))
    advance(1e9)
    assert server.run(working["id"])["status"] == "in_progress"
    assert server.run(waiting["id"])["status"] == "queued"
    assert waiting["expires_at"] is None


def test_a_timeline_may_hold_unknown_words(
    server: RunServer, client: httpx.Client, advance: Advance
) -> None:
    timeline = [("queued", 1), ("warming_up", 5), ("in_progress", 3), ("completed", 0)]
    run = server.create_run(script=RunScript(timeline=timeline))
    seen = [run["status"]]
    for seconds in (1, 5, 3, 1e6):
        advance(seconds)
        seen.append(server.run(run["id"])["status"])
    assert seen == ["queued", "warming_up", "in_progress", "completed", "completed"]
    assert server.run(run["id"])["started_at"] == START + 6

    strange = server.create_run(script=RunScript(timeline=[("warming_up", math.inf)]))
    assert cancel(client, strange).json()["status"] == "cancelling"


def test_a_clock_set_back_does_not_hurt(server: RunServer, advance: Advance) -> None:
    run = server.create_run()
    advance(-3600)
    assert server.run(run["id"])["status"] == "queued"


# -- cancel


@pytest.mark.parametrize("timeline", ["queued", "in_progress", "requires_action", "warming_up"])
def test_an_active_run_can_be_cancelled(
    server: RunServer, client: httpx.Client, advance: Advance, timeline: str
) -> None:
    script = RunScript(timeline=[(timeline, math.inf)], cancelling_for=3)
    run = server.create_run(script=script)
    advance(1)
    answer = cancel(client, run)
    assert answer.status_code == 200
    assert answer.json()["status"] == "cancelling"
    assert picked(answer.json(), "cancelled_at", "usage", "required_action") == [None] * 3

    advance(3)
    run = server.run(run["id"])
    assert picked(run, "status", "cancelled_at", "usage") == ["cancelled", START + 4, USAGE]
    assert run["started_at"] == (START if timeline == "in_progress" else None)


@pytest.mark.parametrize("cancel_ends", [*FINAL, "in_progress"])
def test_a_cancel_may_end_otherwise(
    server: RunServer, client: httpx.Client, advance: Advance, cancel_ends: str
) -> None:
    run = server.create_run(script=RunScript(cancelling_for=1, cancel_ends=cancel_ends))
    cancel(client, run)
    advance(1)
    assert server.run(run["id"])["status"] == cancel_ends


def test_a_cancel_may_be_immediate_or_stuck(
    server: RunServer, client: httpx.Client, advance: Advance
) -> None:
    quick = server.create_run(script=RunScript(cancelling_for=0))
    assert cancel(client, quick).json()["status"] == "cancelled"

    stuck = server.create_run(script=RunScript(cancelling_for=math.inf))
    cancel(client, stuck)
    advance(1e9)
    assert server.run(stuck["id"])["status"] == "cancelling"


@pytest.mark.parametrize("status", [*FINAL, "cancelling"])
def test_a_second_cancel_is_refused(server: RunServer, client: httpx.Client, status: str) -> None:
    run = server.create_run(script=RunScript(timeline=[(status, 0)], refuse_cancel=409))
    answer = cancel(client, run)
    assert answer.status_code == 400
    assert answer.json()["error"] == {
        "message": f"Cannot cancel run with status '{status}'.",
        "type": "invalid_request_error",
        "param": None,
        "code": None,
    }
    assert server.accepted_cancels() == 0


@pytest.mark.parametrize("refusal", [400, 409, 503])
def test_a_script_may_refuse_cancels(server: RunServer, client: httpx.Client, refusal: int) -> None:
    run = server.create_run(script=RunScript(queued_for=0, refuse_cancel=refusal))
    answer = cancel(client, run)
    assert answer.status_code == refusal
    assert answer.json()["error"]["message"] == "Cannot cancel run with status 'in_progress'."
    assert server.run(run["id"]) == run


# -- requires_action


def test_tool_outputs_let_a_run_go_on(
    server: RunServer, client: httpx.Client, advance: Advance
) -> None:
    script = RunScript(queued_for=1, runs_for=5, ends="requires_action")
    run = server.create_run(script=script)
    early = submit(client, run, [])
    assert early.status_code == 400
    assert 'status "queued"' in early.json()["error"]["message"]

    advance(6)
    run = server.run(run["id"])
    assert run["status"] == "requires_action"
    assert run["required_action"]["type"] == "submit_tool_outputs"
    (call,) = run["required_action"]["submit_tool_outputs"]["tool_calls"]
    assert call["type"] == "function"

    answer = submit(client, run, [{"tool_call_id": call["id"], "output": "22 degrees"}])
    assert answer.status_code == 200
    assert picked(answer.json(), "status", "required_action") == ["in_progress", None]
    advance(5)
    run = server.run(run["id"])
    assert picked(run, "status", "started_at") == ["completed", START + 1]


@pytest.mark.parametrize(
    "outputs",
    [
        [],
        [{"tool_call_id": "call_other"}],
        [{"output": "x"}],
        [{"tool_call_id": "call_a"}],
        [{"tool_call_id": "call_a"}, {"tool_call_id": "call_b"}, {"tool_call_id": "call_c"}],
        "not a list",
        ["not an object"],
        None,
    ],
)
def test_tool_outputs_must_fit(server: RunServer, client: httpx.Client, outputs: object) -> None:
    calls = [{"id": "call_a"}, {"id": "call_b"}]
    run = server.create_run(
        script=RunScript(timeline=[("requires_action", math.inf)], tool_calls=calls)
    )
    assert run["required_action"]["submit_tool_outputs"]["tool_calls"] == calls
    answer = submit(client, run, outputs)
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == "tool_outputs"
    assert server.run(run["id"])["status"] == "requires_action"


def test_a_run_that_waits_for_tool_outputs_expires(server: RunServer, advance: Advance) -> None:
    script = RunScript(queued_for=1, runs_for=2, ends="requires_action", expires_after=10)
    run = server.create_run(script=script)
    advance(10.9)
    assert server.run(run["id"])["status"] == "requires_action"
    advance(0.1)
    assert picked(server.run(run["id"]), "status", "expires_at") == ["expired", START + 11]


# -- from outside


def test_end_makes_a_run_final(server: RunServer, advance: Advance) -> None:
    run_id = server.create_run()["id"]
    advance(1)
    server.end(run_id)
    assert picked(server.run(run_id), "status", "completed_at") == ["completed", START + 1]

    error = {"code": "invalid_prompt", "message": "No."}
    server.end(run_id, "failed", error)
    assert picked(server.run(run_id), "status", "last_error") == ["failed", error]

    with pytest.raises(ValueError, match="'cancelling' is not a final status"):
        server.end(run_id, "cancelling")


def test_a_run_can_be_deleted(server: RunServer) -> None:
    run_id = server.create_run()["id"]
    server.delete(run_id)
    with pytest.raises(ApiError, match="No run found") as refusal:
        server.run(run_id)
    assert refusal.value.status_code == 404


# -- the object


@pytest.mark.parametrize(
    "status", [*FINAL, "queued", "in_progress", "requires_action", "cancelling"]
)
def test_the_run_object_is_the_published_one(server: RunServer, status: str) -> None:
    script = RunScript(timeline=[(status, math.inf)])
    assert server.create_run()["instructions"] is None
    # The published type has no null here, where the live service had.
    run = server.create_run(script=script, instructions="Be brief.")
    assert run.keys() == RUN_FIELDS

    threads = pytest.importorskip("openai.types.beta.threads")
    assert run.keys() == threads.Run.model_fields.keys()
    parsed = threads.Run.model_validate(run)
    assert parsed.to_dict(mode="json", exclude_unset=False) == run


def test_fields_can_be_given(server: RunServer) -> None:
    fields: dict[str, Any] = {
        "assistant_id": "asst_mine",
        "model": "gpt-4.1",
        "tools": [{"type": "file_search"}],
        "metadata": {"dag": "d"},
        "temperature": None,
    }
    run = server.create_run(**fields)
    assert picked(run, "assistant_id", "model", "tools", "metadata", "temperature") == [
        "asst_mine", "gpt-4.1", [{"type": "file_search"}], {"dag": "d"}, 1.0
    ]  # fmt: skip
    with pytest.raises(TypeError, match="without status"):
        server.create_run(status="completed")


# -- scripts


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"queued_for": -1}, "queued_for must be 0 or more seconds"),
        ({"runs_for": math.nan}, "runs_for must be 0 or more seconds"),
        ({"timeline": []}, "at least one status"),
        ({"timeline": [("queued", -1), ("queued", 1)]}, "queued must be 0 or more"),
        ({"refuse_cancel": 200}, "HTTP error status"),
        ({"tool_calls": [{"type": "function"}]}, "needs an id"),
    ],
)
def test_a_script_that_makes_no_sense_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RunScript(**fields)


def test_metadata_overrides_a_script() -> None:
    metadata = {
        "queued_for": "0.5",
        "runs_for": "inf",
        "ends": "failed",
        "cancelling_for": "3",
        "cancel_ends": "completed",
        "refuse_cancel": "409",
        "expires_after": "60",
        "team": "search",
    }
    assert RunScript().overridden_by(metadata) == RunScript(
        0.5, math.inf, "failed", 3, "completed", 409, 60
    )


def test_metadata_overrides_a_timeline_only_by_what_it_holds() -> None:
    script = RunScript(timeline=[("queued", 0)])
    assert script.overridden_by({"cancelling_for": "1"}).timeline == [("queued", 0)]
    assert script.overridden_by({"runs_for": "1"}).timeline is None


SECONDS = st.one_of(st.integers(0, 20), st.just(math.inf))
STATUS = st.sampled_from([*FINAL, "requires_action", "warming_up"])


@given(
    script=st.builds(
        RunScript,
        queued_for=SECONDS,
        runs_for=SECONDS,
        ends=STATUS,
        cancelling_for=SECONDS,
        cancel_ends=STATUS,
        expires_after=SECONDS,
    ),
    cancel_at=st.integers(0, 30),
)
def test_a_final_run_stays_as_it_is(script: RunScript, cancel_at: int) -> None:
    run = ScriptedRun("run_x", "thread_x", script, {}, 0)
    final = None
    for second in range(60):
        if second == cancel_at:
            with suppress(ApiError):
                run.cancel(second)
        seen = run_json(run.view(second))
        assert final in {None, seen["status"]}
        assert seen["status"] in FINAL or seen["usage"] is None
        if seen["status"] in FINAL:
            final = seen["status"]
