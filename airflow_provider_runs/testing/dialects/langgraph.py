"""The LangGraph Agent Server: LangGraph Platform, ``langgraph dev``, Aegra.

Source: https://docs.langchain.com/langsmith/server-api-ref, and api 0.16.7.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, ClassVar, Literal, get_args

from starlette.responses import JSONResponse, PlainTextResponse, Response

from airflow_provider_runs.testing.dialects.agent_server import AgentServer
from airflow_provider_runs.testing.dialects.base import check_choice
from airflow_provider_runs.testing.dialects.langgraph_json import run_json, word_of
from airflow_provider_runs.testing.endpoints import Endpoint
from airflow_provider_runs.testing.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_provider_runs.testing.endpoints import Reply, ServedRequest
    from airflow_provider_runs.testing.store import Store
    from airflow_provider_runs.testing.views import RunView

__all__ = ["CancelAnswer", "Errors", "LangGraph", "RepeatCancel"]

#: The values of the switches; ``LangGraph`` says what they mean.
CancelAnswer = Literal["empty", "no_content", "run", "object"]
RepeatCancel = Literal[404, 202, 200]
Errors = Literal["detail", "json", "text"]

#: What ``wait`` in a query says, in lower case, where the answer is to wait.
_YES = frozenset({"1", "true", "yes"})
#: Seconds between two looks at a run whose end is waited for.
_LOOK_INTERVAL = 0.02


@dataclass(frozen=True)
class LangGraph(AgentServer):
    """Speaks LangGraph. Its parameters are what differs between the servers.

    :param cancel_answer: what answers a cancel: ``empty``, 202 without a body; ``no_content``,
        204; ``run``, 200 with the run; ``object``, 200 with ``{}``.
    :param repeat_cancel: the HTTP status for a cancel of a run that has ended or is being
        cancelled: 404; 202, without a body; 200, with ``{}`` or the run, as ``cancel_answer`` says.
    :param errors: what errors look like: ``detail``, ``{"detail": …}``; ``json``,
        ``{"error": …, "message": …}``; ``text``, plain text.
    :param any_thread_id: whether a thread's id may be any text, as Aegra has it.
    :param cancel_needs_query: whether a cancel without ``wait`` or ``action`` is answered 500.
    :raises ValueError: if one of them has another value.
    """

    cancel_answer: CancelAnswer = "empty"
    repeat_cancel: RepeatCancel = 404
    errors: Errors = "detail"
    cancel_needs_query: bool = False
    any_thread_id: bool = False

    name: ClassVar[str] = "langgraph"

    def __post_init__(self) -> None:
        check_choice("cancel_answer", self.cancel_answer, get_args(CancelAnswer))
        check_choice("repeat_cancel", self.repeat_cancel, get_args(RepeatCancel))
        check_choice("errors", self.errors, get_args(Errors))

    def check_id(self, kind: str, value: str) -> None:
        """Check that an id is a UUID, or that of a thread that need not be one."""
        if kind != "thread" or not self.any_thread_id:
            super().check_id(kind, value)

    def endpoints(self) -> list[Endpoint]:
        """Return the endpoints of all servers, and the ways to cancel."""
        return [
            *super().endpoints(),
            Endpoint("POST", f"{self.run_path}/cancel", self.cancel_run),
            Endpoint("POST", "/runs/cancel", self.cancel_runs),
        ]

    def refusal(self, error: ApiError) -> Response:
        """Return the response to an error, as ``errors`` says."""
        status, message = error.status_code, error.message
        if self.errors == "text":
            return PlainTextResponse(message, status)
        if self.errors == "json":
            return JSONResponse({"error": _reason(status), "message": message}, status)
        return JSONResponse({"detail": message}, status)

    async def cancel_run(self, request: ServedRequest) -> Reply:
        """Cancel a run; with ``wait``, answer once it has ended."""
        if self.cancel_needs_query and not {"wait", "action"} <= request.query.keys():
            return PlainTextResponse("Internal Server Error", 500)
        run, accepted = request.store.cancel_run(
            request["run_id"], request["thread_id"], rollback=_rolls_back(request)
        )
        if not accepted:
            return self._repeated(run)
        request.record_cancel(run.id)
        if request.query.get("wait", "").lower() in _YES:
            run = await _ended(run, request.store)
            if self.cancel_answer == "empty":
                return {}  # what the run has put out
        return self.cancelled(run)

    async def cancel_runs(self, request: ServedRequest) -> Reply:
        """Cancel the runs of a thread that the body names, or all runs that have a status."""
        cancels = 0
        for run in self._chosen(request):
            _, accepted = request.store.cancel_run(run.id, rollback=_rolls_back(request))
            if accepted:
                request.record_cancel(run.id)
                cancels += 1
        if not cancels and self.repeat_cancel == 404:
            raise self._nothing_to_cancel()
        return Response(status_code=204)

    def _chosen(self, request: ServedRequest) -> Sequence[RunView]:
        body = self.body(request)
        if body.get("status") is not None:
            status = self.text(body, "status")
            words = {"pending", "running"} if status == "all" else {status}
            every = [run for thread in request.store.threads() for run in thread.runs]
            return [run for run in every if word_of(run) in words]
        run_ids = self.ids("run", body.get("run_ids"))
        runs = request.store.thread(self.text(body, "thread_id")).runs
        return [run for run in runs if run.id in run_ids]

    def cancelled(self, run: RunView) -> Reply:
        """Return the reply to a cancel that is accepted, as ``cancel_answer`` says."""
        if self.cancel_answer == "run":
            return run_json(run)
        if self.cancel_answer == "object":
            return {}
        return Response(status_code=202 if self.cancel_answer == "empty" else 204)

    def _repeated(self, run: RunView) -> Reply:
        if self.repeat_cancel == 404:
            raise self._nothing_to_cancel()
        if self.repeat_cancel == 202:
            return Response(status_code=202)
        return {} if self.cancel_answer == "object" else run_json(run)

    def _nothing_to_cancel(self) -> ApiError:
        return ApiError(404, "No matching runs to cancel: they are unknown, or have ended.")


def _rolls_back(request: ServedRequest) -> bool:
    return request.query.get("action") == "rollback"  # any other action means interrupt


async def _ended(run: RunView, store: Store) -> RunView:
    """Return a run when it has ended, or as it was before it was gone."""
    with suppress(ApiError):
        while run.is_active:
            await asyncio.sleep(_LOOK_INTERVAL)
            run = store.run(run.id)
    return run


def _reason(status: int) -> str:
    try:
        return HTTPStatus(status).phrase.lower().replace(" ", "_")
    except ValueError:
        return "error"
