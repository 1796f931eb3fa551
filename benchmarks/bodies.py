"""What the benchmark's server tells of a run or of a batch: realistic JSON of about 2 KB."""

from __future__ import annotations

import json
from typing import Any

#: When the first run was created, in epoch seconds.
CREATED = 1_790_000_000
INSTRUCTIONS = (
    "You are the reconciliation assistant of a finance team. Compare the ledger that is attached "
    "to the thread with the bank statement of the same month, line by line. Report each difference "
    "with its date, its amount and the probable reason, and propose the entry that settles it. "
    "Never invent an entry: ask the function `lookup_entry` whenever a reference is unclear."
)
TOOLS = [
    {"type": "code_interpreter"},
    {"type": "file_search", "file_search": {"max_num_results": 20}},
    {
        "type": "function",
        "function": {
            "name": "lookup_entry",
            "description": "Find an entry of the ledger by its reference.",
            "parameters": {
                "type": "object",
                "properties": {
                    "reference": {"type": "string", "description": "The entry's reference."},
                    "month": {"type": "string", "description": "The month, such as 2026-11."},
                },
                "required": ["reference"],
            },
            "strict": False,
        },
    },
]


def run_json(index: int, thread_id: str, status: str) -> bytes:
    """Return a run of Assistants v2, with all 27 fields."""
    final = status in {"completed", "cancelled"}
    created = CREATED + index
    run: dict[str, Any] = {
        "id": f"run_{index:06d}",
        "object": "thread.run",
        "created_at": created,
        "assistant_id": "asst_reconciliation",
        "thread_id": thread_id,
        "status": status,
        "started_at": created + 1,
        "expires_at": None if final else created + 600,
        "cancelled_at": created + 30 if status == "cancelled" else None,
        "failed_at": None,
        "completed_at": created + 30 if status == "completed" else None,
        "required_action": None,
        "last_error": None,
        "model": "gpt-4o",
        "instructions": INSTRUCTIONS,
        "tools": TOOLS,
        "metadata": {
            "dag_id": "monthly_reconciliation",
            "task_id": "compare",
            "run_id": "scheduled__2026-11-01T00:00:00+00:00",
            "map_index": str(index),
        },
        "temperature": 1.0,
        "top_p": 1.0,
        "max_completion_tokens": 4000,
        "max_prompt_tokens": 60000,
        "truncation_strategy": {"type": "auto", "last_messages": None},
        "incomplete_details": None,
        "usage": {"prompt_tokens": 5123, "completion_tokens": 801, "total_tokens": 5924}
        if final
        else None,
        "response_format": "auto",
        "tool_choice": "auto",
        "parallel_tool_calls": True,
    }
    return json.dumps(run).encode()


def openai_batch_json(index: int, *, ended: bool) -> bytes:
    """Return a batch of OpenAI's API."""
    created = CREATED + index
    batch: dict[str, Any] = {
        "id": f"batch_{index:06d}",
        "object": "batch",
        "endpoint": "/v1/chat/completions",
        "errors": None,
        "input_file_id": "file-input",
        "completion_window": "24h",
        "status": "completed" if ended else "in_progress",
        "output_file_id": "file-output" if ended else None,
        "error_file_id": None,
        "created_at": created,
        "in_progress_at": created + 1,
        "expires_at": created + 86400,
        "finalizing_at": None,
        "completed_at": created + 30 if ended else None,
        "failed_at": None,
        "expired_at": None,
        "cancelling_at": None,
        "cancelled_at": None,
        "request_counts": {"total": 100, "completed": 100 if ended else 40, "failed": 0},
        "metadata": {"dag_id": "monthly_reconciliation"},
    }
    return json.dumps(batch).encode()


def anthropic_batch_json(index: int, *, ended: bool) -> bytes:
    """Return a message batch of Anthropic's API."""
    left = 0 if ended else 60
    batch: dict[str, Any] = {
        "id": f"msgbatch_{index:06d}",
        "type": "message_batch",
        "processing_status": "ended" if ended else "in_progress",
        "request_counts": {
            "processing": left,
            "succeeded": 100 - left,
            "errored": 0,
            "canceled": 0,
            "expired": 0,
        },
        "ended_at": "2026-11-01T00:10:00Z" if ended else None,
        "created_at": "2026-11-01T00:00:00Z",
        "expires_at": "2026-11-02T00:00:00Z",
        "archived_at": None,
        "cancel_initiated_at": None,
        "results_url": None,
    }
    return json.dumps(batch).encode()
