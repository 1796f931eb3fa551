"""The architecture page names every room, and no file that is not there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "airflow_provider_runs"
PAGE = (ROOT / "docs" / "architecture.md").read_text()
ROOMS = sorted(
    f"{path.name}/" if path.is_dir() else path.name
    for path in PACKAGE.iterdir()
    if not path.name.startswith("__") and (path.is_dir() or path.suffix == ".py")
)
NAMED = sorted(set(re.findall(r"`([a-z_./]+(?:\.py|/))`", PAGE)))


@pytest.mark.parametrize("room", ROOMS)
def test_every_room_has_its_line(room):
    assert re.search(rf"^\|[^|]*`{re.escape(room)}`", PAGE, re.MULTILINE)


@pytest.mark.parametrize("path", NAMED)
def test_every_file_named_is_there(path):
    assert (PACKAGE / path).exists() or (ROOT / path).exists()
