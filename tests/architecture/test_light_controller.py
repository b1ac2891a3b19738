"""The controller stays light: importing it loads neither torch nor ray, and the torch-free half of the spaces neither.

The command line loads what takes long to load only for the commands that need it, and nothing that every process
loads needs `scipy.stats`.

Import contracts see only import statements; a package `__init__` that imports its heavy half escapes them, a fresh
process does not.
"""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("torch", "ray", "scipy.stats")
OF_SOME_COMMANDS = (*HEAVY, "optuna", "pyarrow", "scipy", "sqlalchemy")
LIGHT = [
    "search_spaces.space",
    "search_spaces.blocks.registry",
    "nas_service.domain.search",
    "nas_service.datasets.store",
    "nas_service.methods.recipes.registry",
    "nas_service.methods.strategies.registry",
]


@pytest.mark.parametrize(
    ("module", "libraries"),
    [
        *((module, HEAVY) for module in LIGHT),
        *((f"nas_service.cli.{name}", OF_SOME_COMMANDS) for name in ("main", "space")),
    ],
)
def test_importing_loads_no_heavy_library(module: str, libraries: tuple[str, ...]) -> None:
    probe = f"import sys, {module}; print(sorted({set(libraries)} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, timeout=120, check=True)
    assert result.stdout.strip() == "[]"
