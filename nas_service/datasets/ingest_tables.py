"""Reads a CSV, TSV, JSON lines or Parquet table: a label column, and an image column or numeric features."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from nas_service.datasets.errors import DatasetError
from nas_service.datasets.images import Fit, ImageError
from nas_service.datasets.ingest_images import MAX_SKIPPED, choose_form, decode_all, read_file_inside
from nas_service.datasets.limits import MAX_FEATURES, MAX_SAMPLES, check_bytes
from nas_service.datasets.raw import RawData, encode_labels


def ingest_table(
    path: str | Path,
    *,
    label: str,
    image: str | None = None,
    features: Sequence[str] | None = None,
    split: str | None = None,
    group: str | None = None,
    image_root: str | Path | None = None,
    size: tuple[int, int] | None = None,
    channels: int | None = None,
    fit: Fit = "crop",
    max_skipped: int = MAX_SKIPPED,
) -> RawData:
    """Rows of a .csv, .tsv, .jsonl or .parquet file.

    image: column of encoded images (binary, or a struct with a binary field "bytes") or of paths under `image_root` (by
    default the table's folder; others are refused, links resolved). features: numeric columns, by default all that are
    not named otherwise. split, group: columns that say where a row belongs and what it belongs with. Raises an error
    that names column and row.
    """
    where = Path(path).name
    if image is not None and features is not None:
        raise DatasetError(where, "both an image column and features are named", "one of the two")
    table = read_table(Path(path), [label, image, split, group, *(features or ())])
    y, classes = encode_labels(f"{where}, column {label!r}", read_column(where, table, label))
    splits = None if split is None else _text(table, split)
    groups = None if group is None else read_column(where, table, group).astype(str)
    source: dict[str, Any] = {"format": "table", "label": label}
    if image is None:
        names = list(features) if features is not None else _numeric_columns(table, {label, split, group})
        x = _features(where, table, names)
        return RawData("vector", x, y, classes, {**source, "features": names}, splits, groups)
    readers = _image_readers(where, table, image, Path(image_root or Path(path).parent).resolve())
    rows = [f"{where}, row {i + 1}, column {image!r}" for i in range(len(readers))]
    form = choose_form(readers, size, channels, fit)
    x, kept, skipped = decode_all(readers, rows, form, max_skipped)
    return RawData(
        kind="image",
        x=x,
        y=y[kept],
        classes=classes,
        source={**source, "image": image},
        split_names=None if splits is None else splits[kept],
        groups=None if groups is None else groups[kept],
        skipped=skipped,
        resize=form.as_json(),
    )


def read_table(path: Path, columns: Sequence[str | None] = ()) -> pa.Table:
    """The table of a file, which must have these columns. Raises DatasetError."""
    table = _read(path)
    for column in columns:
        if column is not None and column not in table.column_names:
            raise DatasetError(f"{path.name}, column {column!r}", "does not exist", ", ".join(table.column_names[:50]))
    return table


def _read(path: Path) -> pa.Table:
    suffix = path.suffix.lower()
    if not path.is_file():
        raise DatasetError(str(path), "is no file", "a .csv, .tsv, .jsonl or .parquet file")
    check_bytes(path.name, path.stat().st_size)
    try:
        if suffix in (".csv", ".tsv"):
            from pyarrow import csv

            form = csv.ParseOptions(delimiter="," if suffix == ".csv" else "\t", newlines_in_values=True)
            table = csv.read_csv(path, parse_options=form)
        elif suffix == ".jsonl":
            from pyarrow import json

            table = json.read_json(path)
        elif suffix == ".parquet":
            from pyarrow import parquet

            with parquet.ParquetFile(path) as file:
                groups = (file.metadata.row_group(i) for i in range(file.metadata.num_row_groups))
                check_bytes(path.name, sum(group.total_byte_size for group in groups))
            table = parquet.read_table(path)
        else:
            raise DatasetError(path.name, f"has the ending {path.suffix!r}", ".csv, .tsv, .jsonl or .parquet")
    except (pa.ArrowException, OSError) as error:
        raise DatasetError(path.name, f"cannot be read: {error}", f"a valid {suffix} file") from error
    if len(set(table.column_names)) != len(table.column_names):
        raise DatasetError(path.name, "two columns have the same name", "distinct column names")
    if not 2 <= table.num_rows <= MAX_SAMPLES:
        raise DatasetError(path.name, f"{table.num_rows} rows", f"2 to {MAX_SAMPLES}")
    return table


def _no_nulls(where: str, table: pa.Table, name: str) -> pa.ChunkedArray:
    column = table.column(name)
    if column.null_count:
        row = int(np.flatnonzero(column.is_null().to_numpy())[0]) + 1
        raise DatasetError(f"{where}, row {row}, column {name!r}", "is empty", "a value in every row")
    return column.combine_chunks().dictionary_decode() if pa.types.is_dictionary(column.type) else column


def text_column(where: str, table: pa.Table, name: str) -> list[str]:
    """The texts of a column without gaps. Raises DatasetError."""
    column = _no_nulls(where, table, name)
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        raise DatasetError(f"{where}, column {name!r}", f"holds {column.type}", "text")
    return column.to_pylist()


def read_column(where: str, table: pa.Table, name: str) -> np.ndarray:
    """Values (n,) of a column of text, integers, floats or truth values without gaps. Raises DatasetError."""
    column = _no_nulls(where, table, name)
    kind = column.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return np.array(column.to_pylist(), dtype=str)
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind):
        return column.to_numpy()
    raise DatasetError(f"{where}, column {name!r}", f"holds {kind}", "integers or text")


def _text(table: pa.Table, name: str) -> np.ndarray:
    return np.array(["" if value is None else str(value) for value in table.column(name).to_pylist()])


def _is_numeric(kind: pa.DataType) -> bool:
    return pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)


def _numeric_columns(table: pa.Table, others: set[str | None]) -> list[str]:
    return [field.name for field in table.schema if field.name not in others and _is_numeric(field.type)]


def _features(where: str, table: pa.Table, names: list[str]) -> np.ndarray:
    if not 1 <= len(names) <= MAX_FEATURES:
        raise DatasetError(where, f"{len(names)} numeric columns", f"1 to {MAX_FEATURES} features, or an image column")
    check_bytes(where, 4 * len(names) * table.num_rows)
    x = np.empty((table.num_rows, len(names)), dtype=np.float32)
    for i, name in enumerate(names):
        column = _no_nulls(where, table, name)
        if not _is_numeric(column.type):
            raise DatasetError(f"{where}, column {name!r}", f"holds {column.type}", "numbers")
        x[:, i] = pc.cast(column, pa.float64()).to_numpy()
        if not np.isfinite(x[:, i]).all():
            row = int(np.flatnonzero(~np.isfinite(x[:, i]))[0]) + 1
            raise DatasetError(f"{where}, row {row}, column {name!r}", "is NaN or too large", "finite numbers")
    return x


def _image_readers(where: str, table: pa.Table, name: str, root: Path) -> list[Callable[[], bytes]]:
    column = table.column(name)
    kind = column.type
    if pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0:
        column = pa.chunked_array(
            [pc.struct_field(chunk, "bytes") for chunk in column.chunks], type=kind.field("bytes").type
        )
        kind = column.type
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        return [partial(_bytes, value) for value in column]
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return [partial(_file, root, value) for value in column]
    raise DatasetError(f"{where}, column {name!r}", f"holds {kind}", "encoded images (binary) or paths (text)")


def _bytes(value: pa.Scalar) -> bytes:
    data = value.as_py()
    if data is None:
        raise ImageError("is empty")
    return data


def _file(root: Path, value: pa.Scalar) -> bytes:
    name = value.as_py()
    if name is None:
        raise ImageError("is empty")
    return read_file_inside(root, root / name)
