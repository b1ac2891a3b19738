"""Columns and cells of CSV, TSV and Parquet files, read in pieces: a file may be larger than memory."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from io import StringIO
from pathlib import Path
from typing import Any, TextIO

from nas_service.errors import InvalidInput

Row = tuple[int, list[Any]]
_SEPARATORS = ",;\t|"
_TEXT_KINDS = (".csv", ".tsv", ".tab", ".txt", ".csv.gz", ".tsv.gz")
_PIECE_ROWS = 2_000


@dataclass(frozen=True)
class TableFile:
    """An open question to a file: its ``columns``, and its rows as often as they are asked for.

    A cell of text is stripped and None when empty; Parquet cells keep their kind, NaN is None. ``decimal_comma`` says
    that the commas of a text file may be decimal ones, since they do not separate its columns.
    """

    path: Path
    columns: tuple[str, ...]
    decimal_comma: bool
    read: Callable[[Sequence[str]], Iterator[Row]]

    def rows(self, names: Sequence[str]) -> Iterator[Row]:
        """(number of the row from 1 on, cells of these columns); empty lines do not count.

        Raises InvalidInput where a line does not fit the header.
        """
        return self.read(names)

    def require(self, names: Sequence[str], option: str) -> None:
        """Raises InvalidInput when the file lacks one of these columns."""
        missing = [name for name in names if name not in self.columns]
        if missing:
            shown = ", ".join(self.columns[:40]) + (", ..." if len(self.columns) > 40 else "")
            raise InvalidInput.at(option, f"{self.path.name} has no column {', '.join(missing)}", suggestion=shown)


def open_table_file(path: Path) -> TableFile:
    """Look at the header. Raises InvalidInput for a file that is missing, empty, or of another kind."""
    if not path.is_file():
        raise InvalidInput.at(str(path), "no such file")
    if path.suffix.lower() == ".parquet":
        return _parquet(path)
    if path.name.lower().endswith(_TEXT_KINDS):
        return _text(path)
    raise InvalidInput.at(str(path), "unknown kind of file", suggestion=f"allowed: {', '.join(_TEXT_KINDS)}, .parquet")


def _text(path: Path) -> TableFile:
    with _readable(path), _open(path) as file:
        first = next((line for line in file if line.strip()), None)
    if first is None:
        raise InvalidInput.at(str(path), "the file is empty", suggestion="the first line names the columns")
    # The separator that makes the most columns of the header; a comma where several or none do.
    separator = max(_SEPARATORS, key=lambda mark: len(next(csv.reader(StringIO(first), delimiter=mark), [])))
    header = [name.strip() for name in next(csv.reader(StringIO(first), delimiter=separator))]
    while len(header) > 1 and not header[-1]:
        header.pop()
    columns = _named(path, header)

    def rows(names: Sequence[str]) -> Iterator[Row]:
        at = [columns.index(name) for name in names]
        with _readable(path), _open(path) as file:
            reader = csv.reader(file, delimiter=separator)
            next(line for line in reader if any(map(str.strip, line)))
            number = 0
            for line in reader:
                cells = [cell.strip() for cell in line]
                if not any(cells):
                    continue
                number += 1
                if len(cells) < len(columns) or any(cells[len(columns) :]):
                    where = f"row {number} (line {reader.line_num})"
                    raise InvalidInput.at(str(path), f"{where}: {len(cells)} cells under {len(columns)} columns")
                yield number, [cells[i] or None for i in at]

    return TableFile(path, columns, separator != ",", rows)


def _open(path: Path) -> TextIO:
    """UTF-8 with or without a byte order mark, or UTF-16 with one; compressed or not."""
    opener: Any = gzip.open if path.suffix.lower() == ".gz" else open
    with opener(path, "rb") as file:
        encoding = "utf-16" if file.read(2) in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    opened: TextIO = opener(path, "rt", newline="", encoding=encoding)
    return opened


class _readable:
    """Turns what a broken text file raises into an error that names the file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        return

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, UnicodeError):
            raise InvalidInput.at(str(self._path), "is not UTF-8 text", suggestion="save it as UTF-8") from None
        if isinstance(error, csv.Error | gzip.BadGzipFile | EOFError):
            raise InvalidInput.at(str(self._path), f"cannot be read as a table: {error}") from None


def _parquet(path: Path) -> TableFile:
    import pyarrow
    import pyarrow.parquet

    try:
        columns = _named(path, pyarrow.parquet.ParquetFile(path).schema_arrow.names)
    except pyarrow.ArrowInvalid as error:
        raise InvalidInput.at(str(path), f"is no Parquet file: {error}") from None

    def rows(names: Sequence[str]) -> Iterator[Row]:
        number = 0
        file = pyarrow.parquet.ParquetFile(path)
        for batch in file.iter_batches(batch_size=_PIECE_ROWS, columns=list(dict.fromkeys(names))):
            data = [batch.column(name).to_pylist() for name in names]
            for cells in zip(*data, strict=True):
                number += 1
                yield number, [_cell(cell) for cell in cells]

    return TableFile(path, columns, False, rows)


def _cell(value: Any) -> Any:
    if isinstance(value, str):
        return value.strip() or None
    if isinstance(value, float):
        return None if value != value else value
    if isinstance(value, Decimal):
        return float(value)
    return value if value is None or isinstance(value, bool | int | list | dict) else str(value)


def _named(path: Path, header: Sequence[str]) -> tuple[str, ...]:
    """Names of the columns; one without a name, such as the index that pandas writes, gets its number."""
    names = tuple(name or f"column {i}" for i, name in enumerate(header, start=1))
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise InvalidInput.at(str(path), f"columns are named twice: {', '.join(repeated)}")
    return names
