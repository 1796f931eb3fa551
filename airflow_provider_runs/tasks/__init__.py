"""What operators and sensors share: parameters, deferral, events, and what a task remembers."""

from __future__ import annotations

__all__: list[str] = []
