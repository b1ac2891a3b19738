"""What a command prints: JSON, YAML or CSV for programs, tables for people; progress goes to standard error."""

from __future__ import annotations

import csv
import json
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

import typer
import yaml
from rich import box
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

out = Console()
progress = Console(stderr=True)
_TIME = re.compile(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d)[\d:.]*(Z|\+00:00)")


class Format(StrEnum):
    """How one thing is printed."""

    table = "table"
    json = "json"
    yaml = "yaml"


class ListFormat(StrEnum):
    """How a list is printed."""

    table = "table"
    json = "json"
    yaml = "yaml"
    csv = "csv"


FormatOption = Annotated[Format, typer.Option("-o", "--output", help="json or yaml for programs, table for people")]
ListOption = Annotated[
    ListFormat, typer.Option("-o", "--output", help="json, yaml or csv for programs, table for people")
]


def print_json(value: Any) -> None:
    """One JSON document on standard output, in one line."""
    print(json.dumps(value, default=_plain, ensure_ascii=False))


def print_document(value: Any, form: Format | ListFormat) -> None:
    """Everything there is, as JSON or YAML."""
    if form == "json":
        print_json(value)
        return
    plain = json.loads(json.dumps(value, default=_plain))
    print(yaml.safe_dump(plain, sort_keys=False, allow_unicode=True), end="")


def print_csv(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> None:
    """A line for each row: first the usual columns, then the other fields; what has parts is left to JSON and YAML."""
    names = list(dict.fromkeys((*columns, *(name for row in rows for name in row))))
    parted = {name for row in rows for name, value in row.items() if isinstance(value, dict | list | tuple)}
    listed = {name for name in parted if all(_is_list_of_words(row.get(name)) for row in rows)}
    names = [name for name in names if name not in parted or name in listed]
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(names)
    for row in rows:
        values = (row.get(name) for name in names)
        writer.writerow([" ".join(value) if isinstance(value, list | tuple) else value for value in values])


def _is_list_of_words(value: Any) -> bool:
    return value is None or (isinstance(value, list | tuple) and all(isinstance(part, str) for part in value))


def print_rows(
    rows: Iterable[Mapping[str, Any]],
    columns: Sequence[str],
    form: Format | ListFormat,
    title: str = "",
    num_kept: int | None = None,
) -> None:
    """A list: all fields for programs, or the chosen columns as a table.

    Where the terminal is too narrow, columns behind the first ``num_kept`` are left out, the last one first, and told.
    """
    rows = list(rows)
    if form == "csv":
        print_csv(rows, columns)
        return
    if form != "table":
        print_document(rows, form)
        return
    if not rows:
        progress.print("there are none")
        return
    shown = list(columns)
    table = _table(rows, shown, title)
    if _least_width(table) > out.width:
        table = _table(rows, shown, title, narrow=True)
        while num_kept is not None and len(shown) > num_kept and _least_width(table) > out.width:
            shown.pop()
            table = _table(rows, shown, title, narrow=True)
    out.print(table)
    if len(shown) < len(columns):
        hidden = ", ".join(columns[len(shown) :])
        progress.print(f"not shown in {out.width} columns: {hidden}; -o csv has all", soft_wrap=True)


def _table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str], title: str, narrow: bool = False) -> Table:
    """A ``narrow`` one has each word of a head on a line, and less between columns."""
    padding = (0, 0 if narrow else 1, 0, 0)
    table = Table(title=title or None, box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=padding)
    for column in columns:
        values = [row.get(column) for row in rows]
        head = column.replace("_", " ").replace(" ", "\n" if narrow else " ")
        numeric = all(value is None or isinstance(value, int | float) for value in values)
        # An id is there to be copied and a number to be compared; what is too wide for the terminal goes on below.
        whole = column in ("id", "state") or (numeric and any(value is not None for value in values))
        texts = (*head.split("\n"), *map(show, values))
        widest = max(len(part) for text in texts for part in ([text] if whole else text.split()))
        table.add_column(
            head,
            overflow="fold",
            min_width=widest if whole else min(16, widest),
            no_wrap=whole,
            justify="right" if numeric else "left",
        )
    for row in rows:
        table.add_row(*(Text(show(row.get(column))) for column in columns))
    return table


def _least_width(table: Table) -> int:
    # Measured as if there were room enough: otherwise the terminal's width would be the answer.
    return Measurement.get(out, out.options.update_width(10_000), table).minimum


def print_facts(facts: Mapping[str, Any], form: Format) -> None:
    """One thing: JSON or YAML, or a line per field."""
    if form is not Format.table:
        print_document(facts, form)
        return
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in facts.items():
        table.add_row(name, Text(show(value)))
    out.print(table)


def show(value: Any) -> str:
    """A value as people read it: six digits, minutes in UTC, and YAML for what has parts."""
    if value is None or value == []:
        return "-"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, datetime):
        value = value.isoformat()
    if isinstance(value, list | tuple) and all(isinstance(part, str) for part in value):
        return ", ".join(value)
    if isinstance(value, dict):
        return "\n".join(
            _yaml({key: part}) if isinstance(part, dict | list) else f"{key}: {show(part)}"
            for key, part in value.items()
        )
    if isinstance(value, list | tuple):
        return _yaml(value)
    return _TIME.sub(r"\1 \2", str(value)) if isinstance(value, str) else str(value)


def _yaml(value: Any) -> str:
    """What has parts: a line for each, the innermost ones in one line."""
    width = max(40, out.width - 40)
    text = yaml.safe_dump(_readable(value), sort_keys=False, allow_unicode=True, default_flow_style=None, width=width)
    return text.rstrip()


def _readable(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _readable(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_readable(part) for part in value]
    return float(f"{value:.6g}") if isinstance(value, float) else value if _is_yaml(value) else str(value)


def _is_yaml(value: Any) -> bool:
    return value is None or isinstance(value, str | int)


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if hasattr(value, "item"):
        return value.item()
    return str(value)
