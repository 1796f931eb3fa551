"""The parts that hostile answers are made of: a run, a good answer, chunks."""

from __future__ import annotations

import json
from typing import Any

__all__ = ["RUN_ID", "THREAD_ID", "answer", "chunked", "run_body", "run_with"]

RUN_ID, THREAD_ID = "run_1", "thread_1"
_RUN = {
    "id": RUN_ID,
    "object": "thread.run",
    "thread_id": THREAD_ID,
    "created_at": 1_700_000_000,
    "status": "in_progress",
}


def run_body(**fields: Any) -> bytes:
    """Return a run as JSON, with some fields changed."""
    return json.dumps({**_RUN, **fields}).encode()


def run_with(text: bytes | str) -> bytes:
    """Return a run as JSON, with fields that are given as the text of their JSON."""
    text = text.encode() if isinstance(text, str) else text
    return run_body()[:-1] + b", " + text + b"}"


def answer(
    body: bytes | None = None,
    *headers: bytes,
    status: bytes = b"HTTP/1.1 200 OK",
    length: bool = True,
) -> bytes:
    """Return an answer, by default a good one with a run that is ``in_progress``."""
    body = run_body() if body is None else body
    size = [b"Content-Length: %d" % len(body)] if length else []
    lines = [status, b"Content-Type: application/json", *size, *headers, b"", body]
    return b"\r\n".join(lines)


def chunked(body: bytes, *headers: bytes, size: int = 1000, end: bytes = b"0\r\n\r\n") -> bytes:
    """Return a good answer whose body comes in chunks."""
    pieces = [body[start : start + size] for start in range(0, len(body), size)]
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces)
    return answer(b"", b"Transfer-Encoding: chunked", *headers, length=False) + chunks + end
