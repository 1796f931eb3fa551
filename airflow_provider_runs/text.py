"""Texts that came from outside."""

from __future__ import annotations

__all__ = ["whole_text"]


def whole_text(text: str) -> str:
    """Return a text without halves of characters, which JSON can hold and no encoding can.

    A server that cuts texts may cut an emoji in two. What encodes the text later dies of that:
    Airflow's triggerer, with all of its triggers, and XComs.
    """
    return text if text.isascii() else text.encode("utf-8", "replace").decode()
