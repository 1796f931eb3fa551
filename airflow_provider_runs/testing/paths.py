"""What the path of a request is made of: a prefix of the dialect's, and what it names."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


__all__ = ["Paths"]


class Paths:
    """Takes the paths of a dialect apart.

    :param prefixes: templates of the prefixes, which may be empty, such as
        ``/api/projects/{project}``.
    :param run_path: template of a run's path, with ``{run_id}``.
    """

    def __init__(self, prefixes: Iterable[str], run_path: str) -> None:
        longest_first = sorted(prefixes, key=len, reverse=True)
        self._prefix = re.compile(f"^(?:{'|'.join(map(_pattern, longest_first))})(?=/)")
        self._run = re.compile(f"^{_pattern(run_path)}")

    def without_prefix(self, path: str) -> str:
        """Return a path without its prefix."""
        return self._prefix.sub("", path, count=1)

    def run_id(self, path: str) -> str | None:
        """Return the run that a path without prefix names; ``None`` if it names none."""
        found = self._run.match(path)
        return found["run_id"] if found else None


def _pattern(template: str) -> str:
    return re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", template)
