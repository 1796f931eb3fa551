"""One run, and its state machine."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from airflow_provider_runs.testing.errors import ApiError
from airflow_provider_runs.testing.scripts import ANSWERED, FINAL, GONE, Phase, RunScript
from airflow_provider_runs.testing.views import RunView

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_provider_runs.testing.json_types import JsonMapping, JsonObject

__all__ = ["ScriptedRun"]

#: Why a run failed whose script gives no reason.
_SERVER_ERROR = {"code": "server_error", "message": "Sorry, something went wrong."}


class ScriptedRun:
    """A run whose status follows from its script and from the time.

    Nothing runs in the background: the phases to come are known from the start, each intervention
    rewrites those that are still ahead, and the last phase reached says the status. Each method
    takes the present time, ``now``, in epoch seconds.

    :param run_id: its id.
    :param thread_id: the thread it belongs to; ``None`` where there are none.
    :param script: how it behaves.
    :param fields: what its creator may set.
    :param now: when it is created, in epoch seconds.
    :param final: the statuses after which it does not change any more.
    """

    def __init__(
        self,
        run_id: str,
        thread_id: str | None,
        script: RunScript,
        fields: JsonMapping,
        now: float,
        final: frozenset[str] = FINAL,
    ) -> None:
        self.id = run_id
        self.thread_id = thread_id
        self._script = script
        self._fields = fields
        self._final = final
        self._phases = script.plan(now, final)
        self._expires_at = script.expires_at(self._phases)
        function = {"name": "get_weather", "arguments": '{"city": "Paris"}'}
        call_id = f"call_{secrets.token_hex(12)}"
        default_call = {"id": call_id, "type": "function", "function": function}
        self._tool_calls = script.tool_calls or [default_call]
        self._last_error: JsonObject | None = None

    def status(self, now: float) -> str:
        """Return the status; ``GONE`` for a run that was rolled back."""
        return self._reached(now)[-1].status

    def cancel(self, now: float, *, rollback: bool = False) -> bool:
        """Cancel the run, unless it is final or ``cancelling`` already.

        :param rollback: whether the run is gone after ``cancelling``.
        :return: whether it was cancelled by this.
        :raises ApiError: if its script refuses.
        """
        status = self.status(now)
        if status in self._final or status == "cancelling":
            return False
        if self._script.refuse_cancel is not None:
            raise ApiError(self._script.refuse_cancel, f"Cannot cancel run with status '{status}'.")
        ended = now + self._script.cancelling_for
        self._go(
            now,
            Phase(now, "cancelling"),
            Phase(ended, GONE if rollback else self._script.cancel_ends),
        )
        return True

    def submit(self, outputs: Sequence[JsonMapping], now: float) -> None:
        """Take the tool outputs that the run waits for, and go on.

        :param outputs: one mapping with a ``tool_call_id`` for each tool call.
        :raises ApiError: if the run waits for no outputs, or for other ones.
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
        self._go(now, Phase(now, "in_progress"), Phase(ended, "completed"))

    def end(self, status: str, last_error: JsonObject | None, now: float) -> None:
        """Make the run final, whatever it was doing.

        :param status: a final status.
        :param last_error: the run's ``last_error``, in place of the one that its script gives.
        :raises ValueError: if the status is not final.
        """
        if status not in FINAL:
            raise ValueError(f"{status!r} is not a final status: {', '.join(sorted(FINAL))}")
        self._last_error = last_error
        self._go(now, Phase(now, status))

    def view(self, now: float) -> RunView:
        """Return the run as it is."""
        phases = self._reached(now)
        why = self._script.last_error or _SERVER_ERROR if phases[-1].status == "failed" else None
        return RunView(
            id=self.id,
            thread_id=self.thread_id,
            phases=phases,
            fields=self._fields,
            expires_at=self._expires_at,
            last_error=self._last_error or why,
            tool_calls=self._tool_calls,
            answer=self._script.answer if phases[-1].status in ANSWERED else None,
            final=self._final,
        )

    def _reached(self, now: float) -> list[Phase]:
        # The first phase counts even when the clock was set back since the run was created.
        return [phase for phase in self._phases if phase.at <= now] or self._phases[:1]

    def _go(self, now: float, *phases: Phase) -> None:
        self._phases = [*self._reached(now), *phases]
