"""What the README names exists: files, commands with their options, strategies, targets of make, variables."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import typer.main

from nas_service.cli.main import app
from nas_service.methods.strategies.registry import STRATEGIES
from tests.architecture.test_files import ROOT, sources

README = (ROOT / "README.md").read_text()


def commands() -> list[str]:
    """Every line that begins with `nas` in a block without a language; continued lines in one, without comments."""
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
    text = "\n".join(block for language, block in blocks if not language)
    lines = [line.split("  #")[0].strip() for line in text.replace("\\\n", " ").splitlines()]
    found = [line for line in (re.sub(r"^(\w+=\S+ )+", "", line) for line in lines) if line.startswith("nas ")]
    assert len(found) > 15
    return sorted(set(found))


def test_named_files_exist() -> None:
    named = re.findall(r"[`(]((?:nas_service|search_spaces|workers|migrations|tests)/[\w./-]*)[`)]", README)
    assert len(named) > 20
    assert [name for name in named if "NAME" not in name and not (ROOT / name).exists()] == []


@pytest.mark.parametrize("line", commands())
def test_commands_exist_with_their_options(line: str) -> None:
    command = typer.main.get_command(app)
    words = shlex.split(line)[1:]
    while hasattr(command, "commands"):
        context, name = typer.Context(command), words.pop(0)
        assert name in command.list_commands(context), f"nas has no {name}: {command.list_commands(context)}"
        command = command.get_command(context, name)
    known = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
    assert {word for word in words if word.startswith("-")} <= known


def test_the_table_of_strategies_has_all_of_them() -> None:
    section = README.split("\n## Strategies\n")[1].split("\n## ")[0]
    first_columns = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    assert sorted(name for column in first_columns for name in re.findall(r"`(\w+)`", column)) == sorted(STRATEGIES)


def test_targets_of_make_and_variables_exist() -> None:
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"(?:`|^)make ([\w-]+)", README, re.MULTILINE))
    assert {"demo", "test", "check"} <= named <= targets
    code = "\n".join(Path(path).read_text() for path in sources())
    variables = set(re.findall(r"\bNAS_[A-Z_]+\b", README))
    assert len(variables) > 5
    # What the client reads has the same names; NAS_URL and NAS_API_KEY are also the README's own shell variables.
    assert {name for name in variables if f'"{name}"' not in code} == set()
