"""Readers of data by format name: the digits that ship with scikit-learn, .npz arrays, image folders, tables, text."""

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from nas_service.datasets.errors import DatasetError
from nas_service.datasets.ingest_images import ingest_image_folder
from nas_service.datasets.ingest_tables import ingest_table
from nas_service.datasets.ingest_text import ingest_text
from nas_service.datasets.limits import check_bytes
from nas_service.datasets.raw import RawData, encode_labels


def ingest_digits() -> RawData:
    """The 1,797 handwritten digits of scikit-learn (UCI Optical Recognition of Handwritten Digits), 8 x 8, ten classes.

    The original grey values 0..16 become 0..255 by round(value * 255 / 16), so that they are treated as any image.
    """
    from sklearn.datasets import load_digits  # takes a second to import, and only this reader needs it

    digits = load_digits()
    x = np.rint(digits.images * (255.0 / 16.0)).astype(np.uint8)[:, None]
    y, classes = encode_labels("digits", digits.target)
    return RawData(
        kind="image",
        x=x,
        y=y,
        classes=classes,
        source={
            "format": "digits",
            "citation": "E. Alpaydin, C. Kaynak: UCI Optical Recognition of Handwritten Digits",
        },
        resize={"fit": "crop", "resample": "bilinear"},
    )


def ingest_npz(path: str | Path) -> RawData:
    """Arrays of an .npz file; nothing in it is unpickled.

    Either `x`, `y` and optionally `split` (names), `group` and `classes` (names), or `x_train`, `y_train`, `x_test`,
    `y_test` (and `x_val`, `y_val`). x: uint8 images (N, H, W), (N, C, H, W) or (N, H, W, C) with 1 or 3 channels, or
    numbers (N, F). y: integers or text.
    """
    where = Path(path).name
    arrays = _read_npz(Path(path))
    splits = None
    if "x_train" in arrays and "x" not in arrays:
        parts = [part for part in ("train", "val", "test") if f"x_{part}" in arrays]
        missing = [f"y_{part}" for part in parts if f"y_{part}" not in arrays]
        if missing:
            raise DatasetError(where, f"array {missing[0]!r} is missing", "y_... for each x_...")
        if any(arrays[f"x_{part}"].shape[1:] != arrays["x_train"].shape[1:] for part in parts):
            raise DatasetError(where, "x_... have different shapes", "the same shape in every split")
        arrays["x"] = np.concatenate([arrays[f"x_{part}"] for part in parts])
        arrays["y"] = np.concatenate([arrays[f"y_{part}"] for part in parts])
        splits = np.concatenate([np.full(len(arrays[f"y_{part}"]), part) for part in parts])
    for name in ("x", "y"):
        if name not in arrays:
            raise DatasetError(where, f"array {name!r} is missing", "x and y, or x_train, y_train, x_test and y_test")
    labels = arrays["y"]
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    classes = arrays["classes"].astype(str).tolist() if "classes" in arrays else None
    y, names = encode_labels(f"{where}, y", labels, classes)
    x = _standard_x(where, arrays["x"])
    return RawData(
        kind="image" if x.ndim == 4 else "vector",
        x=x,
        y=y,
        classes=names,
        source={"format": "npz"},
        split_names=arrays["split"].astype(str) if "split" in arrays else splits,
        groups=arrays["group"].astype(str) if "group" in arrays else None,
        resize={"fit": "crop", "resample": "bilinear"} if x.ndim == 4 else {},
    )


def _read_npz(path: Path) -> dict[str, np.ndarray]:
    if not path.is_file():
        raise DatasetError(str(path), "is no file", "an .npz file")
    try:
        with zipfile.ZipFile(path) as archive:
            check_bytes(path.name, sum(entry.file_size for entry in archive.infolist()))
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        if isinstance(error, DatasetError):
            raise
        raise DatasetError(
            path.name, f"cannot be read: {error}", "an .npz file of plain arrays (no objects)"
        ) from error


def _standard_x(where: str, x: np.ndarray) -> np.ndarray:
    """uint8 (N, C, H, W) or float32 (N, F)."""
    if x.ndim == 2:
        if x.dtype.kind not in "iufb":
            raise DatasetError(f"{where}, x", f"holds {x.dtype}", "numbers")
        return x.astype(np.float32)
    if x.ndim not in (3, 4):
        raise DatasetError(f"{where}, x", f"has shape {x.shape}", "(N, F), (N, H, W), (N, C, H, W) or (N, H, W, C)")
    if x.dtype != np.uint8:
        raise DatasetError(f"{where}, x", f"images are {x.dtype}", "uint8 (multiply values in [0, 1] by 255 and round)")
    if x.ndim == 3:
        return x[:, None]
    if x.shape[1] in (1, 3):
        return x
    if x.shape[3] in (1, 3):
        return np.ascontiguousarray(x.transpose(0, 3, 1, 2))
    raise DatasetError(f"{where}, x", f"has shape {x.shape}", "1 or 3 channels, first or last")


READERS: dict[str, Callable[..., RawData]] = {
    "digits": ingest_digits,
    "npz": ingest_npz,
    "image_folder": ingest_image_folder,
    "table": ingest_table,
    "text": ingest_text,
}


def detect_format(path: str | Path) -> str:
    """Key in READERS that a path calls for: a folder is an image folder, files go by their ending."""
    found = Path(path)
    if found.is_dir():
        return "image_folder"
    formats: dict[str, Any] = {
        ".npz": "npz",
        ".csv": "table",
        ".tsv": "table",
        ".jsonl": "table",
        ".parquet": "table",
        ".txt": "text",
    }
    suffix = found.suffix.lower()
    if suffix not in formats:
        raise DatasetError(
            str(path), f"has the ending {suffix!r}", "a folder, .npz, .csv, .tsv, .jsonl, .parquet or .txt"
        )
    return str(formats[suffix])
