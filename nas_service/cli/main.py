"""The `nas` command."""

from __future__ import annotations

import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nas_service.cli.failures import SchemaMismatch, guarded
from nas_service.cli.groups import Groups
from nas_service.cli.output import Format, FormatOption, ListFormat, ListOption, print_facts, print_rows, progress

if TYPE_CHECKING:
    from nas_service.storage.session import Engine

app = typer.Typer(
    cls=Groups,
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    help="Neural architecture search as a service.",
)
device = typer.Typer(no_args_is_help=True, help="Devices that measure latency.")
app.add_typer(device, name="device")


class What(StrEnum):
    """What the demo searches."""

    digits = "digits"
    table = "table"


@app.command()
def up(port: Annotated[int | None, typer.Option(help="port of the API and the dashboard")] = None) -> None:
    """Run the whole service on this machine until Ctrl-C.

    Example: nas up --port 8000
    """
    from nas_service.cli.up import up as run

    run(port)


@app.command()
def serve() -> None:
    """Run the API and the dashboard only (NAS_DATABASE_URL, NAS_HOST, NAS_PORT).

    Example: NAS_DATABASE_URL=postgresql://nas@db/nas NAS_HOST=0.0.0.0 nas serve
    """
    from nas_service.cli.serve import serve as run

    run()


@app.command()
def dispatch() -> None:
    """Run the dispatcher only: claims work, hands it to Ray or child processes (NAS_DATABASE_URL, NAS_RAY_ADDRESS).

    Example: NAS_DATABASE_URL=postgresql://nas@db/nas NAS_RAY_ADDRESS=head:6379 nas dispatch
    """
    os.execv(sys.executable, [sys.executable, "-m", "workers.dispatch"])


@app.command()
def demo(
    what: Annotated[
        What, typer.Argument(help="digits: train and measure; table: NAS-Bench-201 in seconds")
    ] = What.digits,
    keep: Annotated[bool, typer.Option(help="leave the service running at the end")] = False,
) -> None:
    """Searches from start to end, with controls beside them: on handwritten digits, or over NAS-Bench-201.

    Example: nas demo table
    """
    from nas_service.cli.demo import demo as run
    from nas_service.cli.demo import demo_digits
    from nas_service.cli.demo_table import demo_table

    run(demo_table if what is What.table else demo_digits, keep=keep)


@app.command()
def migrate(output: FormatOption = Format.table) -> None:
    """Bring the database to this release's schema and install the built-in families and data.

    Example: nas migrate
    """
    from nas_service.cli.connection import database
    from nas_service.cli.prepare import prepare
    from nas_service.settings import Settings
    from nas_service.storage import migrate as schema

    engine = database()
    before = schema.current(engine)
    prepare(engine, Settings.from_environment())
    print_facts({"schema_before": before, "schema": schema.current(engine)}, output)


@app.command()
def doctor(output: ListOption = ListFormat.table) -> None:
    """Check the invariants of the stored state; exit code 1 when one is broken.

    Example: nas doctor
    """
    from nas_service.cli.connection import database
    from nas_service.settings import Settings
    from nas_service.storage.doctor import examine

    engine = database()
    _require_schema(engine)
    settings = Settings.from_environment()
    findings = examine(engine, settings.artifacts, settings.home / "processes")
    if findings or output is not ListFormat.table:
        print_rows([vars(finding) for finding in findings], ["check", "subject", "detail"], output)
    else:
        progress.print("every invariant holds")
    if findings:
        raise typer.Exit(1)


@app.command()
def backup(
    folder: Annotated[Path, typer.Argument(help="does not exist yet, or is empty")], output: FormatOption = Format.table
) -> None:
    """Write database and artifacts to a folder, while the service runs or not. It holds the hashes of the API keys.

    Example: nas backup ./backup-of-today
    """
    from nas_service.cli.connection import database
    from nas_service.settings import Settings
    from nas_service.storage.backup import back_up

    engine = database()
    _require_schema(engine)
    print_facts(vars(back_up(engine, Settings.from_environment().artifacts, folder)), output)


@app.command()
def restore(folder: Path, output: FormatOption = Format.table) -> None:
    """Bring a backup into an empty service (a new NAS_HOME or database); exit code 1 if the doctor finds anything.

    Example: NAS_HOME=./restored nas restore ./backup-of-today
    """
    from nas_service.cli.connection import database
    from nas_service.settings import Settings
    from nas_service.storage.backup import restore as run

    summary, findings = run(database(), Settings.from_environment().artifacts, folder)
    print_facts({**vars(summary), "findings": [vars(finding) for finding in findings]}, output)
    if findings:
        raise typer.Exit(1)


@device.command("list")
def list_devices(output: ListOption = ListFormat.table) -> None:
    """Registered devices.

    Example: nas device list
    """
    from nas_service.cli.connection import connect

    with connect() as nas:
        print_rows(nas.pages("/v1/devices"), ["name", "runtimes", "last_measured_at", "away_since"], output)


def _require_schema(engine: Engine) -> None:
    """Raises ``SchemaMismatch`` unless the database is at this release's schema."""
    from nas_service.storage import migrate as schema

    found, needed = schema.current(engine), schema.head()
    if found != needed:
        raise SchemaMismatch(f"the schema is at {found}, this release needs {needed}: nas migrate")


def main() -> None:
    """Entry point: runs the command, maps errors to messages and exit codes."""
    sys.exit(guarded(lambda: app(standalone_mode=True)))


if __name__ == "__main__":
    main()
