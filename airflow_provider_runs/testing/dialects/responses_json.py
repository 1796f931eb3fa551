"""The words and objects of the Responses API."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_provider_runs.testing.json_types import JsonObject
    from airflow_provider_runs.testing.views import RunView

__all__ = ["response_json", "word_of"]

#: What Responses call the statuses for which they have no word of their own.
_WORDS = {
    "cancelling": "in_progress",
    "requires_action": "in_progress",
    "expired": "failed",
}
#: Why a response failed that is ``expired`` by its script.
_EXPIRED = {"code": "server_error", "message": "The response took too long."}
#: The tokens that every response takes.
_USAGE = {
    "input_tokens": 123,
    "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
    "output_tokens": 456,
    "output_tokens_details": {"reasoning_tokens": 0},
    "total_tokens": 579,
}


def word_of(run: RunView) -> str:
    """Return what Responses call a status; a word of no status goes out as it is."""
    return _WORDS.get(run.status, run.status)


def response_json(run: RunView) -> JsonObject:
    """Return a Response object."""
    status = run.status
    return {
        "id": run.id,
        "object": "response",
        "created_at": int(run.created_at),
        "status": word_of(run),
        "completed_at": int(run.updated_at) if status == "completed" else None,
        "error": run.last_error or (_EXPIRED if status == "expired" else None),
        "incomplete_details": {"reason": "max_output_tokens"} if status == "incomplete" else None,
        "output": [] if run.answer is None else [_message(run)],
        "usage": None if run.answer is None else _USAGE,
        **run.fields,
    }


def _message(run: RunView) -> JsonObject:
    text: JsonObject = {
        "type": "output_text",
        "text": run.answer,
        "annotations": [],
        "logprobs": [],
    }
    return {
        "id": f"msg_{run.id.removeprefix('resp_')}",
        "type": "message",
        "status": run.status,
        "role": "assistant",
        "content": [text],
    }
