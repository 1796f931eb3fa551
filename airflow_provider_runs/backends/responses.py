"""OpenAI Responses in background mode: OpenAI, Azure ``/openai/v1``, vLLM, SGLang, OGX, LiteLLM.

Source: https://platform.openai.com/docs/api-reference/responses (as of 2026) and the ``Response``
type of the published ``openai`` SDK (``types/responses/response.py``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from pydantic import Field

from airflow_provider_runs.backends.openai import OpenAIBackend, OpenAIOptions
from airflow_provider_runs.backends.wire import CANCEL_REFUSED, NO_SUCH, PAGE_SIZE, Call, Page
from airflow_provider_runs.connections.forms import ConnectionForm
from airflow_provider_runs.run_ref import RunRef
from airflow_provider_runs.status import NO_ID

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_runs.backends.starts import Start
    from airflow_provider_runs.backends.wire import Exchange
    from airflow_provider_runs.models import Run
    from airflow_provider_runs.plain_json import JsonObject

__all__ = ["ResponsesBackend"]

#: The domains of OpenAI, of Azure OpenAI resources, and of Foundry resources.
_OPENAI = (".api.openai.com",)
_AZURE = (".openai.azure.com", ".cognitiveservices.azure.com")
_FOUNDRY = (".services.ai.azure.com",)
#: The fields of a response whose names differ from those of ``Run``.
_RENAMED = {"error": "last_error", "max_output_tokens": "max_completion_tokens"}
_RENAMED_IN_USAGE = {"input_tokens": "prompt_tokens", "output_tokens": "completion_tokens"}


#: The values of ``client_ids``: where an id goes that is chosen here.
_BODY_ID, _HEADER_ID = "request_id", "x-agent-response-id"


class ResponsesOptions(OpenAIOptions):
    """The options of a connection to such a server."""

    client_ids: Literal["none", "request_id", "x-agent-response-id"] = Field(
        default="none",
        title="Ids of new runs",
        description=(
            "Who chooses them. none: the server; request_id: we do, in the body (vLLM); "
            "x-agent-response-id: we do, in a header (Foundry-hosted agents). By an id of ours "
            "a run is found again whose start was not answered."
        ),
    )


class ResponsesBackend(OpenAIBackend):
    """Responses: ``/responses/{run_id}``. A run is a response; there are no threads."""

    form = ConnectionForm(
        conn_type="runs_responses",
        label="Runs: OpenAI Responses (background)",
        default_base_url="https://api.openai.com/v1",
        placeholders={"host": "https://api.openai.com/v1", "port": "443"},
        options=ResponsesOptions,
    )
    options: ResponsesOptions
    no_run = RunRef("resp_0")
    vanished = (
        "so its record has expired: unless a response is stored, servers forget it a few minutes "
        "after its end. How it ended can no longer be known"
    )

    def base_url_problem(self) -> str | None:
        """Return what is wrong with a base URL at OpenAI or Azure that lacks the API's own path."""
        host, path = self.settings.host, f"{urlsplit(self.settings.base_url).path}/"
        if f".{host}".endswith(_OPENAI) and not path.startswith("/v1/"):
            return f"has OpenAI's host without the path of this API; change it to https://{host}/v1"
        # Azure's previews of this API are at /openai, with a version.
        is_preview = bool(self.options.api_version) and "/openai/" in path
        if host.endswith(_AZURE) and "/openai/v1/" not in path and not is_preview:
            return (
                "has the host of an Azure OpenAI resource without the path of this API; change it "
                f"to https://{host}/openai/v1"
            )
        # A Foundry project, or an application in it, has this API below a path of its own.
        if host.endswith(_FOUNDRY) and "/openai/" not in path:
            return (
                "has the host of a Foundry resource without the path of this API; change it to "
                f"https://{host}/openai/v1 or https://{host}/api/projects/PROJECT/openai/v1"
            )
        return None

    def get(self, ref: RunRef) -> Call:
        """Return ``GET /responses/{run_id}``."""
        return Call(f"get {ref}", "GET", self._path(ref), ref, holds_result=True)

    def cancel(self, ref: RunRef, action: str | None = None) -> Call:
        """Return ``POST /responses/{run_id}/cancel``.

        A server answers 400 or 409 if the response has already finished; some answer 409 although
        it is still running.
        """
        path = f"{self._path(ref)}/cancel"
        return Call(f"cancel {ref}", "POST", path, ref, judged=CANCEL_REFUSED, holds_result=True)

    def prepared(self, start: Start) -> Start:
        """Check the body of ``POST /responses``, and put the marks into it."""
        if start.thread_id is not None:
            raise self._config_error(
                "The Responses API has no threads: leave thread_id out, and name what the response "
                "follows in the body ('previous_response_id', 'conversation')"
            )
        always: JsonObject = {"background": True, "store": True}
        if self.options.client_ids == _BODY_ID:
            always["request_id"] = self._client_id(start)
        return self._prepare(start, always)

    def start(self, start: Start) -> Exchange[Run]:
        """Start a response with ``POST /responses``."""
        name = self.options.client_ids
        call = Call(
            "start a run",
            "POST",
            "/responses",
            json=start.sent,
            headers={name: self._client_id(start)} if name == _HEADER_ID else {},
            judged=NO_SUCH,
            repeatable=self.may_start_again(start),
            holds_result=True,
        )
        return self._read_started((yield call).body(), start)

    def finds(self, start: Start) -> bool:
        """Return whether responses get their ids from here: the API has no list."""
        return self.options.client_ids != "none"

    def may_start_again(self, start: Start) -> bool:
        """Return whether responses get their ids from here, so that there is only one of each."""
        return self.finds(start)

    def has_own_place(self, start: Start) -> bool:
        """Return whether the id is known beforehand."""
        return self.finds(start)

    def find_started(self, start: Start) -> Exchange[Run | None]:
        """Fetch the response by the id that was chosen for it."""
        if not self.finds(start):
            raise self._config_error(
                "The Responses API cannot list responses, so one whose id is not known cannot be "
                "searched for"
            )
        return (yield from self.fetch_run(RunRef(self._client_id(start))))

    def output(self, ref: RunRef, run: Run) -> Exchange[JsonObject]:
        """Return ``output`` as the API gives it, and ``output_text``, all text in its messages.

        The text is what the SDK calls ``output_text`` (``types/responses/response.py``).
        """
        output = (run.model_extra or {}).get("output")
        if not isinstance(output, list):
            body = (yield self.get(ref)).body()
            output = body.get("output") if isinstance(body, dict) else None
        if not isinstance(output, list):
            raise ValueError("it is not a response, as it has no 'output'")  # noqa: TRY004 - the content is wrong, not a type
        return {"output_text": "".join(_texts(output)), "output": output}

    def _client_id(self, start: Start) -> str:
        if self.options.client_ids == _HEADER_ID:
            return f"caresp_{start.derived_digits(50)}"
        return f"resp_{start.derived_digits(48)}"

    def list_runs(self, thread_id: str, cursor: str | None, limit: int = PAGE_SIZE) -> Call:
        """Raise an error: the API has no such call.

        :raises RunsConfigError: always.
        """
        raise self._config_error(
            "The Responses API has no threads and cannot list responses; name each one by its id"
        )

    def probe(self) -> Call:
        """Return ``GET /models``: all these servers have it, and it needs the key."""
        return Call("list the models", "GET", "/models", has_ids=False)

    def read_page(self, body: object, cursor: str | None, limit: int = PAGE_SIZE) -> Page[object]:
        """Raise an error: the API has no lists.

        :raises ValueError: always.
        """
        raise ValueError("this API cannot list responses")

    def same_run(self, run_id: str, body: object, ref: RunRef) -> bool:
        """Return whether an object is the response that was asked for: its type decides.

        Gateways that protect their ids give another one in each answer.
        """
        is_response = isinstance(body, dict) and body.get("object") == "response"
        return is_response or super().same_run(run_id, body, ref)

    def run_fields(self, body: JsonObject) -> JsonObject:
        """Return a response's fields under the names that ``Run`` uses."""
        run = {_RENAMED.get(name, name): value for name, value in body.items()}
        if isinstance(usage := body.get("usage"), dict):
            run["usage"] = {_RENAMED_IN_USAGE.get(name, name): n for name, n in usage.items()}
        return run

    def _path(self, ref: RunRef) -> str:
        if ref.thread_id not in NO_ID:
            raise self._config_error(
                f"The Responses API has no threads, but thread_id is {ref.thread_id!r}; leave it "
                f"out and give the response's id as run_id",
                ref,
            )
        return f"/responses/{self._segment('run_id', ref.run_id, ref)}"


def _texts(output: list[Any]) -> Iterator[str]:
    """Yield the texts of all messages in an output."""
    for item in output:
        if not isinstance(item, dict) or item.get("type") != "message":
            continue
        for part in item.get("content") or []:
            if isinstance(part, dict) and part.get("type") == "output_text":
                yield str(part.get("text") or "")
