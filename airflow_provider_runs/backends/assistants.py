"""The Assistants API, v2, and the servers and gateways that are compatible with it.

Source: https://platform.openai.com/docs/api-reference/runs (as of 2025). OpenAI and Azure OpenAI
shut their own endpoints down on 2026-08-26; other servers still offer the API.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pydantic import Field

from airflow_provider_runs.backends.base import Backend
from airflow_provider_runs.backends.openai import OpenAIBackend, OpenAIOptions
from airflow_provider_runs.backends.starts import KEY
from airflow_provider_runs.backends.wire import (
    CANCEL_REFUSED,
    MAX_PAGES,
    NO_SUCH,
    PAGE_SIZE,
    Answer,
    Call,
    Page,
    segment,
)
from airflow_provider_runs.connections.fields import Text
from airflow_provider_runs.connections.forms import ConnectionForm
from airflow_provider_runs.run_ref import RunRef

if TYPE_CHECKING:
    from airflow_provider_runs.backends.starts import Start
    from airflow_provider_runs.backends.wire import Exchange
    from airflow_provider_runs.models import Run

__all__ = ["AssistantsBackend", "ThreadRuns"]

#: Domains in which every path of this API answers 404.
_GONE = ("openai.com", "openai.azure.com")
#: The domain of Foundry's resources, and the path of a project in one.
_FOUNDRY = ".services.ai.azure.com"
_PROJECT = re.compile(r"/api/projects/[^/]")


class AssistantsOptions(OpenAIOptions):
    """The options of a connection to such a server."""

    beta: Text = Field(
        default="assistants=v2",
        title="Beta header",
        description="Value of the 'OpenAI-Beta' header.",
    )


class ThreadRuns(Backend):
    """The calls of Assistants v2: ``/threads/{thread_id}/runs/{run_id}``."""

    no_run = RunRef("run_0", "thread_0")

    def base_url_problem(self) -> str | None:
        """Return what is wrong with the base URL of a Foundry resource without a project."""
        host, path = self.settings.host, urlsplit(self.settings.base_url).path
        if host.endswith(_FOUNDRY) and not _PROJECT.match(path):
            return (
                "has the host of a Foundry resource without a project; change it to "
                f"https://{host}/api/projects/PROJECT"
            )
        return None

    def get(self, ref: RunRef) -> Call:
        """Return ``GET /threads/{thread_id}/runs/{run_id}``."""
        return Call(f"get {ref}", "GET", self._path(ref), ref)

    def cancel(self, ref: RunRef, action: str | None = None) -> Call:
        """Return ``POST /threads/{thread_id}/runs/{run_id}/cancel``.

        The server answers a second cancel with 400. So after an error the run's status decides.
        """
        path = f"{self._path(ref)}/cancel"
        return Call(f"cancel {ref}", "POST", path, ref, judged=CANCEL_REFUSED)

    def list_runs(self, thread_id: str, cursor: str | None, limit: int = PAGE_SIZE) -> Call:
        """Return ``GET /threads/{thread_id}/runs``, newest first."""
        params: dict[str, str | int] = {"limit": limit, "order": "desc"}
        if cursor:
            params["after"] = cursor
        path = f"/threads/{self._segment('thread_id', thread_id)}/runs"
        what = f"list the runs of thread {thread_id!r}"
        return Call(what, "GET", path, params=params, thread_id=thread_id)

    def prepared(self, start: Start) -> Start:
        """Check the body of ``POST /threads/{thread_id}/runs``, and put the marks into it."""
        if start.thread_id is not None:
            self._segment("thread_id", start.thread_id)
        return self._prepare(start, {})

    def place(self, start: Start) -> Exchange[Start]:
        """Make a thread with ``POST /threads``, unless one is given."""
        if start.thread_id is not None:
            return start
        call = Call("make a thread", "POST", "/threads", json={"metadata": {KEY: start.key}})
        body = (yield call).body()
        thread_id = self._own_id(body.get("id")) if isinstance(body, dict) else None
        if not isinstance(thread_id, str) or not thread_id:
            raise ValueError("it is not a thread, as it has no 'id'")
        segment("its id", thread_id)  # raises if no path can carry it
        return replace(start, thread_id=thread_id, on_own_thread=True)

    def start(self, start: Start) -> Exchange[Run]:
        """Start a run with ``POST /threads/{thread_id}/runs``."""
        path = f"/threads/{self._segment('thread_id', start.thread_id)}/runs"
        call = Call(
            f"start a run on thread {start.thread_id!r}",
            "POST",
            path,
            json=start.sent,
            thread_id=start.thread_id,
            judged=NO_SUCH,
            repeatable=self.may_start_again(start),
        )
        return self._read_started((yield call).body(), start)

    def finds(self, start: Start) -> bool:
        """Return whether its thread is known: runs are listed by their thread."""
        return start.thread_id is not None

    def find_started(self, start: Start) -> Exchange[Run | None]:
        """Search the thread's runs for the marks."""
        return (yield from self._find_in_list(start))

    def output(self, ref: RunRef, run: Run) -> Exchange[list[Any]]:
        """Return the messages of the run, the oldest first (``GET /threads/{thread_id}/messages``).

        Each is a message object of the API.
        """
        thread = self._segment("thread_id", ref.thread_id, ref)
        params: dict[str, str | int] = {"run_id": ref.run_id, "order": "asc", "limit": PAGE_SIZE}
        messages: list[Any] = []
        for _ in range(MAX_PAGES):
            what, path = f"list the messages of {ref}", f"/threads/{thread}/messages"
            call = Call(what, "GET", path, ref, params=dict(params), holds_result=True)
            page = self.read_page((yield call).body(), None)
            messages += page.items
            if page.cursor is None:
                return messages
            params["after"] = page.cursor
        raise ValueError(f"the list of messages goes on after {MAX_PAGES} pages")

    def probe(self) -> Call:
        """Return ``GET /assistants?limit=1``: it needs the key and changes nothing."""
        params = {"limit": 1}
        return Call("list the assistants", "GET", "/assistants", params=params, has_ids=False)

    def landmark(self) -> Call:
        """Return the probe: only this API lists assistants there."""
        return self.probe()

    def read_landmark(self, answer: Answer) -> None:
        """Check that the answer is a list of assistants."""
        self.read_probe(answer)

    def read_page(self, body: object, cursor: str | None, limit: int = PAGE_SIZE) -> Page[object]:
        """Read a list object: ``data``, ``last_id``, ``has_more``."""
        if not isinstance(body, dict) or not isinstance(body.get("data"), list):
            raise ValueError("it is not a list of runs")  # noqa: TRY004 - the content is wrong, not a type
        runs = body["data"]
        if not body.get("has_more") or not runs:
            return Page(runs, None)
        ids = [run.get("id") for run in runs if isinstance(run, dict)]
        known = [each for each in (*ids, body.get("last_id")) if isinstance(each, str) and each]
        if not known:
            raise ValueError("it says that there are more runs, but has no id to ask for them by")
        return Page(runs, known[-1])

    def is_gone(self) -> bool:
        """Return whether the host belongs to OpenAI or Azure OpenAI."""
        host = self.settings.host
        return any(host == gone or host.endswith(f".{gone}") for gone in _GONE)

    def _path(self, ref: RunRef) -> str:
        thread = self._segment("thread_id", ref.thread_id, ref)
        return f"/threads/{thread}/runs/{self._segment('run_id', ref.run_id, ref)}"


class AssistantsBackend(ThreadRuns, OpenAIBackend):
    """Assistants v2, formerly at OpenAI, and at compatible servers."""

    form = ConnectionForm(
        conn_type="runs_assistants",
        label="Runs: OpenAI Assistants and compatible",
        default_base_url="https://api.openai.com/v1",
        placeholders={"host": "https://gateway.example.com/v1", "port": "443"},
        options=AssistantsOptions,
    )
    options: AssistantsOptions

    def headers(self) -> dict[str, str]:
        """Return the headers of all APIs in OpenAI's style, and the beta header."""
        beta = self.options.beta
        return {**super().headers(), **({"OpenAI-Beta": beta} if beta else {})}
