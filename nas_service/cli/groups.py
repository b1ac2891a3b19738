"""Groups of commands that are imported when one of their commands is called: all of them together take seconds."""

from __future__ import annotations

from importlib import import_module

import typer
from typer.core import TyperGroup

# Name of the command -> module and attribute: a group, or the function of a single command.
LAZY = {
    "search": ("searches", "app"),
    "front": ("searches", "front"),
    "export": ("searches", "exports"),
    "space": ("space", "app"),
    "data": ("data", "app"),
    "table": ("table", "app"),
    "bench": ("bench", "app"),
    "key": ("keys", "app"),
    "config": ("config", "app"),
}


class Groups(TyperGroup):
    """The commands of `nas_service.cli.main` and those of LAZY."""

    def list_commands(self, ctx: typer.Context) -> list[str]:  # type: ignore[override]
        return [*super().list_commands(ctx), *(name for name in LAZY if name not in self.commands)]

    def get_command(self, ctx: typer.Context, cmd_name: str):  # type: ignore[override]
        """The command, or None for a name that there is not."""
        # Suggestions for a misspelt name are taken from the commands that are there.
        wanted = [cmd_name] if cmd_name in (*self.commands, *LAZY) else LAZY
        for name in wanted:
            if name not in self.commands:
                self.commands[name] = _load(name)
        return super().get_command(ctx, cmd_name)


def _load(name: str):
    module, attribute = LAZY[name]
    found = getattr(import_module(f"nas_service.cli.{module}"), attribute)
    if not isinstance(found, typer.Typer):
        single = typer.Typer(add_completion=False)
        single.command(name)(found)
        return typer.main.get_command(single)
    group = typer.main.get_group(found)
    group.name = name
    return group
