"""Where bytes move: the drivers of a flow, the HTTP clients that they use, and Entra ID tokens."""

from __future__ import annotations

__all__: list[str] = []
