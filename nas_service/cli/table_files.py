"""Rows of CSV and Parquet files as plain JSON values, read in pieces: a file may be larger than memory."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nas_service.errors import InvalidInput

MISSING = frozenset({"", "nan", "na", "n/a", "null", "none"})


@dataclass(frozen=True)
class Columns:
    """Which columns make a row: choices, fidelity, replicate, metrics, in this order."""

    choices: tuple[str, ...]
    fidelity: str | None
    replicate: str | None
    metrics: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        extra = [name for name in (self.fidelity, self.replicate) if name is not None]
        return (*self.choices, *extra, *self.metrics)


def read_rows(path: Path, columns: Columns) -> Iterator[list[Any]]:
    """The rows of a .csv or .parquet file. Raises InvalidInput for another kind of file, or when a column is missing.

    A result that is empty or not a number (NaN) is None; text that is no number is left for the service to refuse,
    which knows the row.
    """
    if path.suffix == ".csv":
        return _csv(path, columns)
    if path.suffix == ".parquet":
        return _parquet(path, columns)
    raise InvalidInput.at(str(path), "unknown kind of file", suggestion="allowed: .csv, .parquet")


def _csv(path: Path, columns: Columns) -> Iterator[list[Any]]:
    file = path.open(newline="", encoding="utf-8-sig")
    reader = csv.reader(file)
    header = next(reader, None)
    if header is None:
        file.close()
        raise InvalidInput.at(str(path), "the file is empty", suggestion="the first line names the columns")
    at = _positions(path, header, columns)

    def rows() -> Iterator[list[Any]]:
        with file:
            for number, line in enumerate(reader, start=1):
                if not line:
                    continue
                if len(line) != len(header):
                    raise InvalidInput.at(str(path), f"row {number}: {len(line)} cells under {len(header)} columns")
                yield _row(columns, [_value(line[i]) for i in at])

    return rows()


def _parquet(path: Path, columns: Columns) -> Iterator[list[Any]]:
    import pyarrow
    import pyarrow.parquet

    try:
        file = pyarrow.parquet.ParquetFile(path)
    except pyarrow.ArrowInvalid as error:
        raise InvalidInput.at(str(path), f"is no Parquet file: {error}") from None
    _positions(path, file.schema_arrow.names, columns)

    def rows() -> Iterator[list[Any]]:
        for batch in file.iter_batches(batch_size=2_000, columns=list(columns.names)):
            data = [batch.column(name).to_pylist() for name in columns.names]
            for values in zip(*data, strict=True):
                yield _row(columns, values)

    return rows()


def _positions(path: Path, header: Sequence[str], columns: Columns) -> list[int]:
    missing = [name for name in columns.names if name not in header]
    if missing:
        shown = ", ".join(header[:40])
        raise InvalidInput.at(str(path), f"has no column {', '.join(missing)}", suggestion=f"it has: {shown}")
    return [list(header).index(name) for name in columns.names]


def _row(columns: Columns, values: Sequence[Any]) -> list[Any]:
    first_metric = len(columns.names) - len(columns.metrics)
    return [*map(_plain, values[:first_metric]), *map(_result, values[first_metric:])]


def _value(text: str) -> Any:
    """A cell as the number or truth value that it spells, else as text; None when it is empty."""
    text = text.strip()
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text or None


def _result(value: Any) -> Any:
    if value is None or (isinstance(value, str) and value.strip().lower() in MISSING):
        return None
    if isinstance(value, float) and math.isnan(value):
        return None
    return _plain(value)


def _plain(value: Any) -> Any:
    """JSON has no infinity: it goes as text, which the service refuses by row and column."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)
