"""Every file and folder the README names exists."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_named_files_exist() -> None:
    text = (ROOT / "README.md").read_text()
    named = re.findall(r"[`(]((?:nas_service|search_spaces|workers|migrations|tests)/[\w./-]*)[`)]", text)
    assert len(named) > 20
    assert [name for name in named if "NAME" not in name and not (ROOT / name).exists()] == []
