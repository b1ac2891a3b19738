"""`nas config`: the settings in force for this shell, and where each comes from; secrets are never printed."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import fields
from typing import Annotated, Any

import typer

from nas_service.cli.connection import credentials_file, service_address
from nas_service.cli.output import ListFormat, ListOption, print_rows
from nas_service.settings import Settings

app = typer.Typer(no_args_is_help=True, help="Settings.")
HIDDEN = "***"
_PASSWORD = re.compile(r"(?<=://)([^:/@]*):.*(?=@)|(?<=[?&]password=)[^&]*")
_KEY = re.compile(r"nas_[0-9a-f]{32}_")


@app.command()
def show(
    origin: Annotated[bool, typer.Option("--origin", help="where each value comes from")] = False,
    output: ListOption = ListFormat.table,
) -> None:
    """Every setting as this shell has it; passwords and keys are hidden.

    Example: nas config show --origin
    """
    columns = ["setting", "value", *(["origin"] if origin else [])]
    rows = [{name: row[name] for name in columns} for row in settings_in_force(os.environ)]
    print_rows(rows, columns, output)


def settings_in_force(environ: Mapping[str, str]) -> list[dict[str, Any]]:
    """Setting, value and origin of what this machine's processes read, and of what `nas` talks to the service with.

    Raises InvalidInput for a variable that is wrong.
    """
    settings = Settings.from_environment(environ)
    rows = []
    for field in fields(Settings):
        value = getattr(settings, field.name)
        rows.append(_row(f"NAS_{field.name.upper()}", _readable(value), environ, "default"))
    file = credentials_file(settings)
    address = service_address(settings, environ)
    saved = f"file {file}" if file.exists() else "default"
    rows.append(_row("NAS_URL", address.url, environ, saved))
    rows.append(_row("NAS_API_KEY", _hidden_key(address.key), environ, saved if address.key else "default"))
    return rows


def _row(name: str, value: Any, environ: Mapping[str, str], otherwise: str) -> dict[str, Any]:
    return {"setting": name, "value": value, "origin": "environment" if environ.get(name) else otherwise}


def _readable(value: Any) -> Any:
    if isinstance(value, frozenset):
        return ",".join(sorted(value)) or None
    if isinstance(value, str):
        return _PASSWORD.sub(lambda found: f"{found[1]}:{HIDDEN}" if found[1] is not None else HIDDEN, value)
    return value if value is None or isinstance(value, int | float) else str(value)


def _hidden_key(key: str | None) -> str | None:
    """Only the part that `nas key list` shows as well."""
    if key is None:
        return None
    known = _KEY.match(key)
    return f"{known[0] if known else ''}{HIDDEN}"
