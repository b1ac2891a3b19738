"""What every reader of data returns: samples, labels and what the source says about groups and splits."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from nas_service.datasets.errors import DatasetError
from nas_service.datasets.limits import (
    MAX_CHANNELS,
    MAX_CLASSES,
    MAX_FEATURES,
    MAX_SAMPLES,
    MAX_SIDE,
    check_bytes,
)
from nas_service.datasets.texts import RawText
from nas_service.datasets.tokenizer import SPECIALS

Kind = Literal["image", "vector", "text"]


@dataclass(frozen=True)
class Skipped:
    """A sample that was left out, and why."""

    where: str
    what: str


@dataclass(frozen=True)
class RawData:
    """Samples before they are split.

    x: uint8 (N, C, H, W) when kind is "image", float32 (N, F) when it is "vector", int32 (N, L) when it is "text" (ids
    as `text` explains them); y: int64 (N,), index of class, all 0 for text without labels, which has no classes.
    split_names: for each sample the split that the source puts it in ("" = not said); groups: for each sample a value
    that ties it to others (a patient, a scene), which never end up in different splits.
    """

    kind: Kind
    x: np.ndarray
    y: np.ndarray
    classes: tuple[str, ...]
    source: Mapping[str, Any]
    split_names: np.ndarray | None = None
    groups: np.ndarray | None = None
    skipped: tuple[Skipped, ...] = ()
    resize: Mapping[str, Any] = field(default_factory=dict)
    text: RawText | None = None

    def __post_init__(self) -> None:
        where = str(self.source.get("format", "data"))
        {"image": self._check_images, "text": self._check_texts, "vector": self._check_vectors}[self.kind](where)
        n = len(self.y)
        if self.x.shape[0] != n:
            raise DatasetError(where, f"{self.x.shape[0]} samples but {n} labels", "as many labels as samples")
        if not 2 <= n <= MAX_SAMPLES:
            raise DatasetError(where, f"{n} samples", f"2 to {MAX_SAMPLES}")
        if not 2 <= len(self.classes) <= MAX_CLASSES and not (self.kind == "text" and not self.classes):
            raise DatasetError(where, f"{len(self.classes)} classes", f"2 to {MAX_CLASSES}")
        if self.y.dtype != np.int64 or self.y.min() < 0 or self.y.max() >= max(1, len(self.classes)):
            raise DatasetError(where, "labels are no indices of the classes", f"int64 in 0..{len(self.classes) - 1}")
        for name, values in (("split", self.split_names), ("group", self.groups)):
            if values is not None and values.shape != (n,):
                raise DatasetError(f"{where}, {name}", f"shape {values.shape}", f"({n},)")
        check_bytes(where, self.x.nbytes)

    def _check_images(self, where: str) -> None:
        if self.x.ndim != 4 or self.x.dtype != np.uint8:
            raise DatasetError(where, f"images are {self.x.dtype} {self.x.shape}", "uint8 (N, C, H, W)")
        _, channels, height, width = self.x.shape
        if not 1 <= channels <= MAX_CHANNELS or not 1 <= height <= MAX_SIDE or not 1 <= width <= MAX_SIDE:
            raise DatasetError(
                where,
                f"images have {channels} channels, {height} x {width} pixels",
                f"at most {MAX_CHANNELS} channels and {MAX_SIDE} pixels a side",
            )

    def _check_texts(self, where: str) -> None:
        if self.text is None or self.x.ndim != 2 or self.x.dtype != np.int32:
            raise DatasetError(where, f"token ids are {self.x.dtype} {self.x.shape}", "int32 (N, L)")
        known = len(SPECIALS) + len(self.text.pieces)
        if self.x.size and (self.x.min() < 0 or self.x.max() >= known):
            raise DatasetError(where, "a token id is outside the vocabulary", f"0 to {known - 1}")

    def _check_vectors(self, where: str) -> None:
        if self.x.ndim != 2 or self.x.dtype != np.float32:
            raise DatasetError(where, f"vectors are {self.x.dtype} {self.x.shape}", "float32 (N, F)")
        if not 1 <= self.x.shape[1] <= MAX_FEATURES:
            raise DatasetError(where, f"{self.x.shape[1]} features", f"1 to {MAX_FEATURES}")
        if not np.isfinite(self.x).all():
            row, column = (int(i) for i in np.argwhere(~np.isfinite(self.x))[0])
            raise DatasetError(f"{where}, row {row}, feature {column}", "is NaN or infinite", "finite numbers")


def encode_labels(
    where: str, labels: np.ndarray, classes: Sequence[str] | None = None
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Labels of any kind as int64 indices and class names.

    Without `classes` they are the distinct values: numbers in numeric order, text in text order. With `classes`, text
    labels must be among them and integers are their indices.
    """
    labels = np.asarray(labels)
    if labels.ndim != 1:
        raise DatasetError(where, f"labels have shape {labels.shape}", "one label for each sample")
    if labels.dtype.kind == "f" and (not np.isfinite(labels).all() or (labels != np.round(labels)).any()):
        raise DatasetError(where, "labels are fractions", "integers or text (regression is not supported)")
    if labels.dtype.kind in "bf":
        labels = labels.astype(np.int64)
    if labels.dtype.kind not in "iuUS":
        raise DatasetError(where, f"labels are {labels.dtype}", "integers or text")
    if labels.dtype.kind == "S":
        labels = np.char.decode(labels, "utf-8")
    if classes is None:
        values, indices = np.unique(labels, return_inverse=True)
        return indices.astype(np.int64), tuple(str(value) for value in values)
    names = tuple(str(name) for name in classes)
    if len(set(names)) != len(names):
        raise DatasetError(f"{where}, classes", "a class is named twice", "distinct names")
    if labels.dtype.kind == "U":
        index_of = {name: i for i, name in enumerate(names)}
        unknown = sorted(set(labels.tolist()) - set(names))
        if unknown:
            raise DatasetError(where, f"label {unknown[0]!r} is not among the classes", ", ".join(names[:20]))
        return np.array([index_of[label] for label in labels.tolist()], dtype=np.int64), names
    if len(labels) and (labels.min() < 0 or labels.max() >= len(names)):
        raise DatasetError(where, "a label is no index of the classes", f"0 to {len(names) - 1}")
    return labels.astype(np.int64), names
