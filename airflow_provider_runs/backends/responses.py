"""OpenAI Responses in background mode: OpenAI, Azure ``/openai/v1``, vLLM, SGLang, OGX, LiteLLM.

Source: https://platform.openai.com/docs/api-reference/responses (as of 2026) and the ``Response``
type of the published ``openai`` SDK (``types/responses/response.py``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from airflow_provider_runs.backends.openai import OpenAIBackend, OpenAIOptions
from airflow_provider_runs.backends.wire import CANCEL_REFUSED, PAGE_SIZE, Call, Page
from airflow_provider_runs.connections.forms import ConnectionForm
from airflow_provider_runs.run_ref import RunRef
from airflow_provider_runs.status import NO_ID

if TYPE_CHECKING:
    from airflow_provider_runs.plain_json import JsonObject

__all__ = ["ResponsesBackend"]

#: The domains of OpenAI, of Azure OpenAI resources, and of Foundry resources.
_OPENAI = (".api.openai.com",)
_AZURE = (".openai.azure.com", ".cognitiveservices.azure.com")
_FOUNDRY = (".services.ai.azure.com",)
#: The fields of a response whose names differ from those of ``Run``.
_RENAMED = {"error": "last_error", "max_output_tokens": "max_completion_tokens"}
_RENAMED_IN_USAGE = {"input_tokens": "prompt_tokens", "output_tokens": "completion_tokens"}


class ResponsesBackend(OpenAIBackend):
    """Responses: ``/responses/{run_id}``. A run is a response; there are no threads."""

    form = ConnectionForm(
        conn_type="runs_responses",
        label="Runs: OpenAI Responses (background)",
        default_base_url="https://api.openai.com/v1",
        placeholders={"host": "https://api.openai.com/v1", "port": "443"},
        options=OpenAIOptions,
    )
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
