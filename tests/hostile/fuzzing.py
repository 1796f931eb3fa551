"""Answers that nobody has thought of: good ones, of which some parts are replaced by odd ones."""

from __future__ import annotations

import json
from copy import deepcopy
from typing import TYPE_CHECKING, Any

import httpx

from airflow_provider_runs.backends.wire import Answer

if TYPE_CHECKING:
    from random import Random

__all__ = ["Fuzzer"]

_UUID = "0b5e4a3c-1111-4222-8333-444455556666"
#: What a good answer may hold: a run in each dialect, lists of runs and threads, errors.
_RUN = {
    "id": "run_1",
    "object": "thread.run",
    "thread_id": "thread_1",
    "status": "in_progress",
    "created_at": 1_700_000_000,
    "expires_at": None,
    "last_error": {"code": "server_error", "message": "It failed."},
    "required_action": {"type": "x", "submit_tool_outputs": {"tool_calls": [{"id": "c"}]}},
    "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3, "more": {"a": 1}},
    "tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}],
    "metadata": {"a": "b"},
    "temperature": 1.0,
    "tool_choice": "auto",
    "response_format": {"type": "json_schema", "json_schema": {"schema": {}}},
}
_GRAPH = {
    "run_id": _UUID,
    "thread_id": _UUID,
    "status": "success",
    "created_at": "2026-01-02T03:04:05Z",
    "updated_at": "2026-01-02T03:04:05.123456+00:00",
    "metadata": {},
    "kwargs": {"input": {}},
}
_RESPONSE = {
    "id": "resp_1",
    "object": "response",
    "status": "completed",
    "error": {"code": "x", "message": "y"},
    "incomplete_details": {"reason": "max_output_tokens"},
    "output": [{"type": "message", "content": [{"type": "output_text", "text": "hello"}]}],
    "usage": {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3},
}
_THREAD = {
    "thread_id": _UUID,
    "status": "interrupted",
    "updated_at": "2026-01-02T03:04:05Z",
    "values": {},
    "error": {"error": "ValueError", "message": "bad"},
    "interrupts": {"t": [{"value": "ok?", "id": "i"}]},
}
_GOOD: list[Any] = [
    *(_RUN, _GRAPH, _RESPONSE, _THREAD, [_GRAPH, _GRAPH], [_THREAD], {"ok": True}, {}),
    {"object": "list", "data": [_RUN, _RUN], "last_id": "run_1", "has_more": True},
    {"error": {"message": "No run found with id 'run_1'.", "type": "invalid", "code": None}},
    {"detail": [{"loc": ["path", "run_id"], "msg": "not a UUID", "type": "uuid_parsing"}]},
    {"type": "about:blank", "title": "Not Found", "status": 404, "detail": "Thread not found"},
]
_STATUSES = ("queued", "in_progress", "requires_action", "cancelling", "cancelled", "failed")
_MORE_STATUSES = ("completed", "incomplete", "expired", "success", "interrupted", "timeout")
_ODD: list[Any] = [
    *(None, True, False, "", 0, -1, 1.5, -0.0, 2**63, 2**64, -(2**63) - 1, 10**25, 10**4000),
    *(float("nan"), float("inf"), float("-inf"), 1e308, [], {}, [[]], [None], {"": None}),
    *(
        "\ud83d",
        "\udc00",
        "a\0b",
        "line\nbreak",
        "\r\n",
        "\x1b[31mred",
        "\u2028",
        "\u202e",
        "é" * 99,
    ),
    *("18446744073709551616", "1e999", "nan", "inf", "-inf", "0001-01-01T00:00:00+23:59", "T"),
    *(
        "9999-12-31T23:59:59-23:59",
        "2026-99-99T99:99:99Z",
        "completed\n",
        "x" * 5000,
        "../..",
        "%00",
    ),
    *("None", "null", "{run_id}", "\\", "\"'", "run_1", "thread_1", "resp_1", _UUID, _UUID.upper()),
    *_STATUSES,
    *_MORE_STATUSES,
]
_HEADERS = {
    "retry-after": (
        "0",
        "1",
        "-5",
        "1e9",
        "nan",
        "inf",
        "Wed, 21 Oct 2026 07:28:00 GMT",
        "soon",
        "é",
    ),
    "retry-after-ms": ("0", "-1", "1e300", "x"),
    "openai-poll-after-ms": ("0", "1e300", "nan", "-1"),
    "content-type": ("application/json", "text/html", "", "\x00"),
    "location": ("javascript:1", "http://[::1", "/", "é"),
    "x-should-retry": ("true", "false", "maybe"),
    "x-request-id": ("req_1", "x" * 5000, "a b\tc", "é"),
}
_CODES = (*[200] * 12, 201, 202, 204, 302, 400, 401, 403, 404, 404, 405, 409, 422, 429, 500, 503)


class Fuzzer:
    """Makes answers.

    :param random: chooses; the same one makes the same answers.
    """

    def __init__(self, random: Random) -> None:
        self._random = random

    def answer(self) -> Answer:
        """Return an answer."""
        random = self._random
        names = random.sample(sorted(_HEADERS), random.choice((0, 0, 0, 1, 3)))
        headers = [(name, random.choice(_HEADERS[name]).encode("latin-1")) for name in names]
        return Answer(random.choice(_CODES), httpx.Headers(headers), self._content())

    def _content(self) -> bytes:
        random = self._random
        body = self._changed(deepcopy(random.choice(_GOOD)))
        text = json.dumps(body, ensure_ascii=random.random() < 0.8)
        content = bytearray(text.encode("utf-8", "surrogatepass"))
        if random.random() < 0.15:  # what is no JSON any more
            for _ in range(random.randint(1, 8)):
                at = random.randrange(len(content) + 1)
                content[at : at + random.randint(0, 3)] = random.randbytes(random.randint(0, 3))
        if random.random() < 0.02:
            content = content * random.randint(2, 40)
        return bytes(content)

    def _changed(self, body: Any) -> Any:
        """Return a body of which some parts are replaced, repeated or left out."""
        random = self._random
        for _ in range(random.choice((0, 1, 1, 2, 3, 8))):
            holder, name = self._place(body)
            if holder is None:
                body = self._odd(body)
            elif random.random() < 0.1:
                del holder[name]
            else:
                holder[name] = self._odd(holder[name])
        return body

    def _place(self, body: Any) -> tuple[Any, Any]:
        """Return an object or array in a body and where in it; or none, for the body itself."""
        random, holder, name = self._random, None, None
        while isinstance(body, (dict, list)) and body and random.random() < 0.85:
            holder = body
            name = (
                random.choice(list(body)) if isinstance(body, dict) else random.randrange(len(body))
            )
            body = holder[name]
        return holder, name

    def _odd(self, part: Any) -> Any:
        random = self._random
        match random.randrange(8):
            case 0:
                return [deepcopy(part) for _ in range(random.randint(1, 3))]
            case 1:
                return {random.choice(("id", "status", "data", "", "\ud83d", "a\nb")): part}
            case 2:
                return json.loads("[" * (depth := random.choice((5, 60, 150))) + "]" * depth)
            case _:
                return deepcopy(random.choice(_ODD))
