"""What a dialect's paths are made of."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


class Paths:
    """Paths of a prefix, which may be empty, and of what an endpoint is called after it.

    :param prefixes: templates of the prefixes, such as ``/api/projects/{project}``
    :param run_path: template of a run's path, with ``{run_id}``
    """

    def __init__(self, prefixes: Iterable[str], run_path: str) -> None:
        longest_first = sorted(prefixes, key=len, reverse=True)
        self._prefix = re.compile(f"^(?:{'|'.join(map(_pattern, longest_first))})(?=/)")
        self._run = re.compile(f"^{_pattern(run_path)}")

    def without_prefix(self, path: str) -> str:
        """Return a path as it is without its prefix."""
        return self._prefix.sub("", path, count=1)

    def run_id(self, path: str) -> str | None:
        """Return the run that a path without prefix names; None if it names none."""
        found = self._run.match(path)
        return found["run_id"] if found else None


def _pattern(template: str) -> str:
    return re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", template)
