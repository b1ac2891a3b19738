"""Habits of the code base that a reader relies on: empty package files, a first line that says what a file is for."""

from __future__ import annotations

import ast
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("nas_service", "search_spaces", "workers", "migrations")


def tracked(pattern: str) -> list[Path]:
    listed = subprocess.run(["git", "ls-files", pattern], cwd=ROOT, capture_output=True, text=True, check=True)
    return [ROOT / line for line in listed.stdout.splitlines() if (ROOT / line).exists()]


def sources() -> list[Path]:
    return [path for package in PACKAGES for path in tracked(f"{package}/*.py")]


def test_package_files_are_empty() -> None:
    filled = [path for path in sources() if path.name == "__init__.py" and path.read_text().strip()]
    assert filled == []


def test_every_module_says_what_it_is_for() -> None:
    silent = [
        path for path in sources() if path.name != "__init__.py" and not ast.get_docstring(ast.parse(path.read_text()))
    ]
    assert silent == []


def test_no_module_is_over_450_lines() -> None:
    long = {str(path): count for path in sources() if (count := len(path.read_text().splitlines())) > 450}
    assert long == {}
