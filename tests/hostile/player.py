"""A player of flows that sends nothing: it answers each request with what it is given."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_runs.errors import RunsError
from airflow_provider_runs.flows.calls import glimpse_run
from airflow_provider_runs.flows.steps import Flow, Look, Refresh, Send, advance

if TYPE_CHECKING:
    from collections.abc import Callable

    import time_machine

    from airflow_provider_runs.backends.wire import Answer

__all__ = ["play"]

#: Requests after which a flow that still asks will never end.
_ENDLESS = 2000


def play(flow: Flow[Any], answer: Callable[[], Answer], clock: time_machine.Traveller) -> Any:
    """Run a flow to its end, while time only passes where it sleeps.

    :param answer: makes the answer to each request.
    :raises RunsError: what the flow raises.
    """
    reply: Any = None
    try:
        for _ in range(_ENDLESS):
            step, reply = advance(flow, reply), None
            if isinstance(step, Send):
                reply = answer()
            elif isinstance(step, Look):
                look = glimpse_run(step.backend, step.ref, deadline=step.deadline)
                try:
                    reply = play(look, answer, clock)
                except RunsError as error:
                    reply = error
            elif not isinstance(step, Refresh):
                clock.shift(step.seconds)
    except StopIteration as end:
        return end.value
    raise AssertionError("it does not end")
