"""`nas table`: bring a CSV or Parquet file of evaluated architectures to the service, and list what is there."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from nas_service.cli.connection import connect
from nas_service.cli.output import Format, FormatOption, ListFormat, ListOption, out, print_facts, print_rows, progress
from nas_service.cli.request_file import space_reference
from nas_service.cli.table_files import open_table_file
from nas_service.cli.table_profile import TableOptions
from nas_service.cli.table_reading import Reading, understand
from nas_service.client import Client
from nas_service.errors import InvalidInput
from nas_service.tables.arch_text import Choice
from nas_service.tables.cells import number_of
from search_spaces.library_index import LIBRARY, load_file, load_library

METRIC_COLUMNS = ["name", "goal", "unit", "minimum", "maximum", "num_missing"]

app = typer.Typer(no_args_is_help=True, help="Tables of evaluated architectures, to search without training.")


@app.command()
def add(
    name: str,
    file: Annotated[Path, typer.Argument(help="a .csv, .tsv or .parquet file, one row per result")],
    metrics: Annotated[
        str | None,
        typer.Option(
            help="results: col:goal:unit,... e.g. acc:maximize:percent,t:minimize:ms; goal and unit may be left "
            "out where the name says them; without the option: all columns whose names do"
        ),
    ] = None,
    space: Annotated[
        str | None, typer.Option(help="a built-in family, a document or spc_...; columns are its choices")
    ] = None,
    choices: Annotated[
        str | None, typer.Option(help="columns with the choices, separated by commas; with --space in its order")
    ] = None,
    arch: Annotated[
        str | None, typer.Option(help="a column with whole architectures: |conv~0|+|pool~0|, 8:16:24, 0122, JSON")
    ] = None,
    arch_pattern: Annotated[
        str | None, typer.Option(help="how --arch is written: a regular expression with a named group for each choice")
    ] = None,
    values: Annotated[str | None, typer.Option(help="options by what the file calls them: 0=identity,1=mb3_k3")] = None,
    fidelity: Annotated[str | None, typer.Option(help="a column with how much was spent, e.g. epochs")] = None,
    fidelity_suffixes: Annotated[
        str | None,
        typer.Option(help="results after more and more spent in columns beside each other: _e12=12,_e200=200"),
    ] = None,
    replicate: Annotated[str | None, typer.Option(help="a column that tells repetitions apart, e.g. seed")] = None,
    attribution: Annotated[str | None, typer.Option(help="where the numbers are from, and their licence")] = None,
    output: FormatOption = Format.table,
) -> None:
    """Add a table. An empty cell of a result is a missing value: such trials are infeasible.

    What the options leave open is inferred where names and values leave no doubt, and told.

    Example: nas table add mine results.csv --metrics accuracy:maximize:percent,latency:minimize:ms
    """
    options = TableOptions(
        metrics=_list(metrics),
        choices=_list(choices),
        arch=arch,
        arch_pattern=arch_pattern,
        values=dict(_pairs("--values", values)),
        fidelity=fidelity,
        suffixes=_suffixes(fidelity_suffixes),
        replicate=replicate,
    )
    opened = open_table_file(file)
    with connect() as nas:
        reading = understand(opened, options, None if space is None else space_choices(nas, space))
        definition = {
            "name": name,
            "choices": reading.choices,
            "metrics": [{"name": m.name, "goal": m.goal, "unit": m.unit} for m in reading.metrics],
            "fidelity": reading.fidelity,
            "replicate": reading.replicate,
            "attribution": attribution,
            **({} if space is None else {"space": space_reference(space, "--space")}),
        }
        # Gone before the result or an error is printed; nothing where standard error is no terminal.
        with progress.status("sending rows") as sending:
            table = nas.add_table(
                definition, reading.rows(), on_progress=lambda num_rows: sending.update(f"{num_rows} rows sent")
            )
    if output is not Format.table:
        print_facts(facts(table) | understood(reading), output)
        return
    _print_understood(table, reading)


@app.command("list")
def list_tables(output: ListOption = ListFormat.table) -> None:
    """Tables, newest first.

    Example: nas table list -o csv
    """
    with connect() as nas:
        rows = [facts(table) | {"created_at": table["created_at"]} for table in nas.tables()]
    print_rows(rows, ["name", "architectures", "choices", "metrics", "fidelities", "created_at"], output)


@app.command("show")
def show_table(table: Annotated[str, typer.Argument(help="name or id")], output: FormatOption = Format.table) -> None:
    """The metrics of a table with their ranges.

    Example: nas table show mine
    """
    with connect() as nas:
        found = nas.table(table)
    if output is not Format.table:
        print_facts(found, output)
        return
    print_facts(facts(found) | {"attribution": found["manifest"]["attribution"]}, output)
    print_rows(found["manifest"]["metrics"], METRIC_COLUMNS, output)


def facts(table: Mapping[str, Any]) -> dict[str, Any]:
    """What people compare of tables."""
    manifest = table["manifest"]
    return {
        "id": table["id"],
        "name": table["name"],
        "space_id": table["space_id"],
        "architectures": manifest["num_architectures"],
        "of": manifest["space_cardinality"],
        "covered": f"{100 * manifest['num_architectures'] / int(manifest['space_cardinality']):.4g} %",
        "choices": len(manifest["choices"]),
        "metrics": len(manifest["metrics"]),
        "fidelities": len(manifest["fidelities"]) or 1,
        "replicates": len(manifest["replicates"]) or 1,
        "front": manifest.get("front_size"),
    }


def understood(reading: Reading) -> dict[str, Any]:
    """What was made of a file: rows, options of each choice, metrics, and what was inferred."""
    return {
        "rows": reading.num_rows,
        "options": {name: len(options) for name, options in reading.options.items()},
        "metric_columns": {m.metric.name: [column for column in m.columns if column] for m in reading.measured},
        "notes": list(reading.notes),
    }


def space_choices(nas: Client, space: str) -> tuple[Choice, ...]:
    """The choices of a space, in order."""
    if space.startswith("spc_"):
        found = nas.get(f"/v1/search-spaces/{space}")["genes"]
        return tuple(Choice(gene["name"], tuple(gene["options"])) for gene in found)
    compiled = load_library(space) if space in LIBRARY else load_file(Path(space))
    return tuple(Choice(gene.name, tuple(gene.options)) for gene in compiled.genes)


def _print_understood(table: Mapping[str, Any], reading: Reading) -> None:
    for note in reading.notes:
        _say(f"understood: {note}")
    print_facts(facts(table) | {"rows": reading.num_rows}, Format.table)
    shown = [
        {"choice": name, "options": len(options), "values": ", ".join(map(str, sorted(options, key=_by_kind)))[:120]}
        for name, options in reading.options.items()
    ]
    print_rows(shown, ["choice", "options", "values"], Format.table)
    print_rows(table["manifest"]["metrics"], METRIC_COLUMNS, Format.table)
    names = [metric["name"] for metric in table["manifest"]["metrics"]]
    objectives = " ".join(f"--objective '{name}'" for name in _suggested(table["manifest"]["metrics"]))
    _say(f"search it: nas search create --table {table['name']} {objectives} --trials 200 --wait")
    if len(names) > 2:
        _say("its other metrics may be objectives, constraints or reported: nas table show")


def _say(text: str) -> None:
    """A line as it is: names of columns may look like markup, and commands are copied."""
    out.print(text, markup=False, highlight=False, soft_wrap=True)


def _suggested(metrics: list[dict[str, Any]]) -> list[str]:
    """Something to be large and something to be small, if there are both."""
    picked: dict[str, str] = {}
    for metric in metrics:
        picked.setdefault(metric["goal"], metric["name"])
    return list(picked.values())


def _by_kind(value: Any) -> tuple[bool, Any]:
    return (isinstance(value, str), value if not isinstance(value, bool) else int(value))


def _list(text: str | None) -> tuple[str, ...]:
    return () if text is None else tuple(part.strip() for part in text.split(",") if part.strip())


def _pairs(option: str, text: str | None) -> list[tuple[str, str]]:
    pairs = [tuple(part.strip() for part in item.split("=")) for item in _list(text)]
    if any(len(pair) != 2 or not all(pair) for pair in pairs):
        raise InvalidInput.at(option, f"{text!r} is no list of a=b,c=d")
    return [(pair[0], pair[1]) for pair in pairs]


def _suffixes(text: str | None) -> tuple[tuple[str, float], ...]:
    found = []
    for suffix, spent in _pairs("--fidelity-suffixes", text):
        value = number_of(spent)
        if value is None or value <= 0:
            raise InvalidInput.at("--fidelity-suffixes", f"{spent!r} is no positive number")
        found.append((suffix, value))
    if len({value for _, value in found}) < len(found):
        raise InvalidInput.at("--fidelity-suffixes", "two suffixes have the same fidelity")
    return tuple(sorted(found, key=lambda pair: pair[1]))
