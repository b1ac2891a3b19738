"""Every command has an example, and what the examples say exists."""

from __future__ import annotations

import re
import shlex

import pytest
import typer

from nas_service.cli.main import app

ROOT = typer.main.get_command(app)
CONTEXT = typer.Context(ROOT)


def commands(group, path: tuple[str, ...] = ()) -> dict:
    found = {}
    for name in group.list_commands(CONTEXT):
        command = group.get_command(CONTEXT, name)
        found |= commands(command, (*path, name)) if hasattr(command, "commands") else {(*path, name): command}
    return found


COMMANDS = commands(ROOT)


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_a_command_has_an_example_that_it_understands(path):
    examples = re.findall(r"^Example: (.+)$", COMMANDS[path].help or "", re.MULTILINE)
    assert len(examples) == 1, f"nas {' '.join(path)} has no line `Example: nas ...` in its help"
    used = [used_in(part) for part in examples[0].split("|")]
    assert path in used
    for command, words in zip(used, examples[0].split("|"), strict=True):
        known = {name for parameter in COMMANDS[command].params for name in parameter.opts}
        for word in shlex.split(words):
            assert not word.startswith("-") or word in known, f"{word} is no option of nas {' '.join(command)}"


def used_in(text: str) -> tuple[str, ...]:
    """The command that a line calls, behind the variables it sets."""
    words = [word for word in shlex.split(text) if not re.match(r"[A-Z_]+=", word)]
    assert words[0] == "nas"
    return tuple(words[1:3] if hasattr(ROOT.get_command(CONTEXT, words[1]), "commands") else words[1:2])
