"""Many runs at once: the poller of an event loop, and the sweep of threads."""

from __future__ import annotations

__all__: list[str] = []
