"""What JSON is to the type checker."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["JsonMapping", "JsonObject"]

#: A JSON object; its values are whatever JSON has.
JsonObject = dict[str, Any]
#: The same, to be read only.
JsonMapping = Mapping[str, Any]
