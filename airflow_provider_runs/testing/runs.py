"""One run: its state machine and its JSON."""

from __future__ import annotations

import copy
import secrets
import string
from typing import TYPE_CHECKING, Any

from airflow_provider_runs.testing.errors import ApiError
from airflow_provider_runs.testing.scripts import FINAL, RunScript, Step

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

RUN_FIELDS: dict[str, Any] = {
    "assistant_id": "asst_RunsTestingAssistant0000",
    "model": "gpt-4o",
    "instructions": None,
    "tools": [],
    "metadata": {},
    "temperature": 1.0,
    "top_p": 1.0,
    "max_prompt_tokens": None,
    "max_completion_tokens": None,
    "truncation_strategy": {"type": "auto", "last_messages": None},
    "tool_choice": "auto",
    "parallel_tool_calls": True,
    "response_format": "auto",
}
"""The fields that whoever creates a run may set, with their defaults."""

_ALPHABET = string.ascii_letters + string.digits
_SERVER_ERROR = {"code": "server_error", "message": "Sorry, something went wrong."}
_USAGE = {"prompt_tokens": 123, "completion_tokens": 456, "total_tokens": 579}


def new_id(prefix: str) -> str:
    """Return a fresh id in OpenAI's form: the prefix, ``_`` and 24 letters and digits."""
    return f"{prefix}_{''.join(secrets.choice(_ALPHABET) for _ in range(24))}"


class ScriptedRun:
    """A run whose status follows from its script and the time.

    Nothing runs in the background: the steps to come are written down, every intervention
    rewrites those still ahead, and the status is the last step reached. Each method takes the
    present time, ``now``, in epoch seconds.

    :param thread_id: the thread it belongs to
    :param script: how it behaves
    :param fields: values for some of ``RUN_FIELDS``
    :param now: when it is created
    """

    def __init__(
        self, thread_id: str, script: RunScript, fields: Mapping[str, Any], now: float
    ) -> None:
        self.id = new_id("run")
        self.thread_id = thread_id
        self._script = script
        self._fields = {**RUN_FIELDS, **fields}
        self._steps = script.plan(now)
        self._expires_at = script.expires_at(self._steps)
        function = {"name": "get_weather", "arguments": '{"city": "Paris"}'}
        default_call = {"id": new_id("call"), "type": "function", "function": function}
        self._tool_calls = script.tool_calls or [default_call]
        self._last_error: dict[str, Any] | None = None

    def status(self, now: float) -> str:
        """Return the status."""
        return self._reached(now)[-1].status

    def is_active(self, now: float) -> bool:
        """Return whether the run still blocks its thread."""
        return self.status(now) not in FINAL

    def cancel(self, now: float) -> None:
        """Accept a cancel.

        :raises ApiError: when the run is final or ``cancelling`` already, or its script refuses
        """
        status = self.status(now)
        already = status in FINAL or status == "cancelling"
        refusal = 400 if already else self._script.refuse_cancel
        if refusal is not None:
            raise ApiError(refusal, f"Cannot cancel run with status '{status}'.")
        ended = now + self._script.cancelling_for
        self._go(now, Step(now, "cancelling"), Step(ended, self._script.cancel_ends))

    def submit(self, outputs: Sequence[Mapping[str, Any]], now: float) -> None:
        """Take tool outputs and go on.

        :param outputs: one mapping with a ``tool_call_id`` for each call the run waits for
        :raises ApiError: when the run does not wait for outputs, or for other ones
        """
        status = self.status(now)
        if status != "requires_action":
            raise ApiError(400, f'Runs in status "{status}" do not accept tool outputs.')
        expected = sorted(call["id"] for call in self._tool_calls)
        given = sorted(str(output.get("tool_call_id")) for output in outputs)
        if given != expected:
            message = f"Expected tool outputs for call_ids {expected}, got {given}."
            raise ApiError(400, message, param="tool_outputs")
        ended = now + self._script.runs_for
        self._go(now, Step(now, "in_progress"), Step(ended, "completed"))

    def end(self, status: str, last_error: dict[str, Any] | None, now: float) -> None:
        """Make the run final, whatever it was doing.

        :param status: a final status
        :param last_error: the run's ``last_error``, in place of the one its script gives
        :raises ValueError: for a status that is not final
        """
        if status not in FINAL:
            raise ValueError(f"{status!r} is not a final status: {', '.join(sorted(FINAL))}")
        self._last_error = last_error
        self._go(now, Step(now, status))

    def to_json(self, now: float) -> dict[str, Any]:
        """Return the Run object with its 27 fields, as a copy."""
        reached = self._reached(now)
        at, status = reached[-1]
        started = next((step.at for step in reached if step.status == "in_progress"), None)
        done = status in {"completed", "incomplete"}
        failed = status == "failed"
        waiting = {
            "type": "submit_tool_outputs",
            "submit_tool_outputs": {"tool_calls": self._tool_calls},
        }
        run = {
            "id": self.id,
            "object": "thread.run",
            "created_at": int(self._steps[0].at),
            "thread_id": self.thread_id,
            "status": status,
            "required_action": waiting if status == "requires_action" else None,
            "last_error": self._last_error
            or ((self._script.last_error or _SERVER_ERROR) if failed else None),
            "expires_at": None if done else self._expires_at,
            "started_at": None if started is None else int(started),
            "cancelled_at": int(at) if status == "cancelled" else None,
            "failed_at": int(at) if failed else None,
            "completed_at": int(at) if done else None,
            "incomplete_details": (
                {"reason": "max_completion_tokens"} if status == "incomplete" else None
            ),
            "usage": _USAGE if status in FINAL else None,
            **self._fields,
        }
        return copy.deepcopy(run)

    def _reached(self, now: float) -> list[Step]:
        # The first step counts even when the clock was set back since the run was created.
        return [step for step in self._steps if step.at <= now] or self._steps[:1]

    def _go(self, now: float, *steps: Step) -> None:
        self._steps = [*self._reached(now), *steps]
