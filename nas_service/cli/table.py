"""`nas table`: bring a CSV or Parquet file of evaluated architectures to the service, and list what is there."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from nas_service.cli.connection import connect
from nas_service.cli.output import Format, FormatOption, print_facts, print_rows, progress
from nas_service.cli.search_request import space_reference
from nas_service.cli.table_files import Columns, read_rows
from nas_service.client import Client
from nas_service.errors import InvalidInput
from search_spaces.library_index import LIBRARY, load_file, load_library

app = typer.Typer(no_args_is_help=True, help="Tables of evaluated architectures, to search without training.")
GOALS = {"maximize": "maximize", "minimize": "minimize", "max": "maximize", "min": "minimize"}


@app.command()
def add(
    name: str,
    file: Annotated[Path, typer.Argument(help="a .csv or .parquet file, one row per result")],
    metrics: Annotated[str, typer.Option(help="results: col:goal:unit,... e.g. acc:maximize:percent,t:minimize:ms")],
    space: Annotated[
        str | None, typer.Option(help="a built-in family, a document or spc_...; columns are its choices")
    ] = None,
    choices: Annotated[
        str | None, typer.Option(help="columns with the choices, separated by commas; with --space in its order")
    ] = None,
    fidelity: Annotated[str | None, typer.Option(help="a column with how much was spent, e.g. epochs")] = None,
    replicate: Annotated[str | None, typer.Option(help="a column that tells repetitions apart, e.g. seed")] = None,
    attribution: Annotated[str | None, typer.Option(help="where the numbers are from, and their licence")] = None,
    output: FormatOption = Format.table,
) -> None:
    """Add a table. An empty cell of a result is a missing value: such trials are infeasible."""
    measured = [metric_of(text) for text in metrics.split(",")]
    columns = None if choices is None else [column.strip() for column in choices.split(",")]
    with connect() as nas:
        names = None if space is None else choice_names(nas, space)
        if names is None and columns is None:
            raise InvalidInput.at("--choices", "name the columns with the choices, or give --space")
        columns = columns or list(names or ())
        if names is not None and len(columns) != len(names):
            raise InvalidInput.at("--choices", f"{len(columns)} columns for the {len(names)} choices of the space")
        wanted = Columns(tuple(columns), fidelity, replicate, tuple(metric["name"] for metric in measured))
        rows = read_rows(file, wanted)  # complains about missing columns before anything is created
        definition = {
            "name": name,
            "choices": names or columns,
            "metrics": measured,
            "fidelity": fidelity,
            "replicate": replicate,
            "attribution": attribution,
            **({} if space is None else {"space": space_reference(space)}),
        }
        table = nas.add_table(
            definition, rows, on_progress=lambda num_rows: progress.print(f"{num_rows} rows sent", end="\r")
        )
        progress.print()
    print_facts(facts(table), output)


@app.command("list")
def list_tables(output: FormatOption = Format.table) -> None:
    """Tables, newest first."""
    with connect() as nas:
        rows = [facts(table) | {"created_at": table["created_at"]} for table in nas.tables()]
    print_rows(rows, ["name", "architectures", "choices", "metrics", "fidelities", "created_at"], output)


@app.command("show")
def show_table(table: Annotated[str, typer.Argument(help="name or id")], output: FormatOption = Format.table) -> None:
    """The metrics of a table with their ranges."""
    with connect() as nas:
        found = nas.table(table)
    if output is Format.json:
        print_facts(found, output)
        return
    print_facts(facts(found) | {"attribution": found["manifest"]["attribution"]}, output)
    print_rows(found["manifest"]["metrics"], ["name", "goal", "unit", "minimum", "maximum", "num_missing"], output)


def facts(table: Mapping[str, Any]) -> dict[str, Any]:
    """What people compare of tables."""
    manifest = table["manifest"]
    return {
        "id": table["id"],
        "name": table["name"],
        "space_id": table["space_id"],
        "architectures": manifest["num_architectures"],
        "of": manifest["space_cardinality"],
        "choices": len(manifest["choices"]),
        "metrics": len(manifest["metrics"]),
        "fidelities": len(manifest["fidelities"]) or 1,
        "replicates": len(manifest["replicates"]) or 1,
    }


def metric_of(text: str) -> dict[str, str]:
    """``column:goal:unit`` of one metric."""
    parts = [part.strip() for part in text.split(":")]
    example = "e.g. accuracy:maximize:percent"
    if len(parts) != 3 or not all(parts):
        raise InvalidInput.at("--metrics", f"{text!r} is not column:goal:unit", suggestion=example)
    if parts[1] not in GOALS:
        raise InvalidInput.at("--metrics", f"{parts[1]!r} is no goal", suggestion="maximize or minimize")
    return {"name": parts[0], "goal": GOALS[parts[1]], "unit": parts[2]}


def choice_names(nas: Client, space: str) -> list[str]:
    """The names of the choices of a space, in order."""
    if space.startswith("spc_"):
        return [gene["name"] for gene in nas.get(f"/v1/search-spaces/{space}")["genes"]]
    compiled = load_library(space) if space in LIBRARY else load_file(Path(space))
    return [gene.name for gene in compiled.genes]
