"""Graphs that do nothing but take their time, for the agent server of dev/agent_server.py.

They run in `.venv-langgraph`, which has neither Airflow nor this project in it.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, TypedDict

from langgraph.graph import END, START, StateGraph
from langgraph.types import interrupt


class Work(TypedDict, total=False):
    """A run's input, and in the end its output; what a run leaves out, its thread remembers.

    ``seconds`` is how long it works, and ``until`` names a file for which it waits after that,
    unless empty; ``stop_seconds`` is how long `lingerer` takes to end when it is cancelled,
    ``error`` what it fails with after its work, unless empty, and ``answer`` what a human told
    `asker`. If there are ``messages``, the answer of `sleeper` and `lingerer` is added to them.
    """

    seconds: float
    until: str
    stop_seconds: float
    error: str
    answer: str
    messages: list[dict[str, str]]


async def sleep(work: Work) -> Work:
    """Work, then end or fail; when cancelled, end at once."""
    await asyncio.sleep(work.get("seconds", 0.0))
    if work.get("until"):
        while not await asyncio.to_thread(Path(work["until"]).exists):  # noqa: ASYNC110 - no event
            await asyncio.sleep(0.1)
    if work.get("error"):
        raise RuntimeError(work["error"])
    if not work.get("messages"):
        return {}
    said = {"role": "assistant", "content": f"I have slept for {work.get('seconds', 0.0):g} s."}
    return {"messages": [*work["messages"], said]}


async def linger(work: Work) -> Work:
    """Work like `sleep`, but when cancelled go on for a while, as code that tidies up does."""
    try:
        return await sleep(work)
    except asyncio.CancelledError:
        await asyncio.sleep(work.get("stop_seconds", 0.0))
        raise


async def ask(work: Work) -> Work:
    """Work, then wait for a human; after the answer, the node starts anew."""
    await sleep(work)
    return {"answer": str(interrupt("May I go on?"))}


def _graph(node: Any) -> Any:
    builder = StateGraph(Work)
    builder.add_node("work", node)
    builder.add_edge(START, "work")
    builder.add_edge("work", END)
    return builder.compile()


sleeper = _graph(sleep)
lingerer = _graph(linger)
asker = _graph(ask)
