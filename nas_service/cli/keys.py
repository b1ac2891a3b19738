"""`nas key`: make, list and revoke API keys, directly in the database; for the operator."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from nas_service.cli.connection import database
from nas_service.cli.output import Format, FormatOption, ListFormat, ListOption, print_facts, print_rows
from nas_service.errors import InvalidInput, NotFound, allowed
from nas_service.storage import keys
from nas_service.storage.session import unit_of_work

SCOPES = ("search:read", "search:write", "artifact:read", "admin")
app = typer.Typer(no_args_is_help=True, help="API keys.")


@app.command()
def create(
    name: str,
    scope: Annotated[list[str] | None, typer.Option(help=f"one of {', '.join(SCOPES)}; may be repeated")] = None,
    days: Annotated[float, typer.Option(help="lifetime in days")] = 90,
    output: FormatOption = Format.table,
) -> None:
    """Make a key; its text is shown once.

    Example: nas key create ci --scope search:read --days 30
    """
    scopes = scope or ["search:read", "search:write", "artifact:read"]
    for given in scopes:
        if given not in SCOPES:
            raise InvalidInput.at("--scope", f"unknown scope {given!r}", suggestion=allowed(given, SCOPES))
    with unit_of_work(database()) as session:
        made = keys.create_key(session, name, scopes, days * 86_400)
    print_facts({"id": made.id, "key": made.token, "scopes": scopes}, output)


@app.command("list")
def list_all(output: ListOption = ListFormat.table) -> None:
    """Every key, without its secret.

    Example: nas key list
    """
    with unit_of_work(database()) as session:
        rows = [asdict(key) for key in keys.list_keys(session)]
    print_rows(rows, ["id", "name", "scopes", "expires_at", "revoked_at", "last_used_at"], output)


@app.command()
def revoke(key_id: str, output: FormatOption = Format.table) -> None:
    """End a key at once.

    Example: nas key revoke KEY_ID
    """
    with unit_of_work(database()) as session:
        if not keys.revoke_key(session, key_id):
            raise NotFound(f"there is no usable key {key_id}")
    print_facts({"id": key_id, "state": "revoked"}, output)
