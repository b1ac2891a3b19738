"""A data set in standard form: arrays, splits, normalisation and the facts that identify it."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from nas_service.datasets.errors import DatasetError
from nas_service.datasets.raw import RawData
from nas_service.datasets.splits import SPLITS, SplitPlan, assign_splits
from nas_service.datasets.texts import fit_tokenizer, tokenizer_facts
from nas_service.datasets.tokenizer import Tokenizer

FORMAT_VERSION = 1


@dataclass(frozen=True)
class Dataset:
    """Samples, labels and splits; the arrays may be memory maps and are never written to.

    x: uint8 (N, C, H, W), float32 (N, F) or token ids int32 (N, L); y: int64 (N,); split: uint8 (N,), index into
    SPLITS; calibrate: int64 indices. `info` is the content of dataset.json; `tokenizer` belongs to text alone.
    """

    info: Mapping[str, Any]
    x: np.ndarray
    y: np.ndarray
    split: np.ndarray
    calibrate: np.ndarray
    tokenizer: Tokenizer | None = None

    @property
    def name(self) -> str:
        return str(self.info["name"])

    @property
    def kind(self) -> str:
        """ "image", "vector" or "text"."""
        return str(self.info["kind"])

    @property
    def fingerprint(self) -> str:
        """sha256 (64 hex digits) over schema and arrays: what the same data has everywhere, whatever its name."""
        return str(self.info["fingerprint"])

    @property
    def classes(self) -> tuple[str, ...]:
        return tuple(self.info["classes"])

    @property
    def num_samples(self) -> int:
        return int(self.info["num_samples"])

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """(C, H, W) of an image, (F,) of a vector, (L,) of text."""
        return tuple(int(size) for size in self.x.shape[1:])

    def indices(self, split: str) -> np.ndarray:
        """Indices of the samples of train, calibrate, search, select or test, ascending, int64."""
        if split == "calibrate":
            return np.asarray(self.calibrate)
        if split not in SPLITS:
            raise DatasetError("split", f"{split!r} is no split", ", ".join((*SPLITS, "calibrate")))
        return np.flatnonzero(self.split == SPLITS.index(split))

    def arrays(self, split: str) -> tuple[np.ndarray, np.ndarray]:
        """Copies of (x, y) of one split, x as stored (not normalised)."""
        chosen = self.indices(split)
        return np.asarray(self.x[chosen]), np.asarray(self.y[chosen])

    def normalise(self, x: np.ndarray) -> np.ndarray:
        """Stored values as the input of a network: (x / divide_by - mean) / std in float32, mean and std of train.

        Token ids stay as they are, in int64.
        """
        if self.kind == "text":
            return x.astype(np.int64)
        rule = self.info["normalisation"]
        shape = (1, -1, 1, 1) if self.kind == "image" else (1, -1)
        mean = np.asarray(rule["mean"], dtype=np.float32).reshape(shape)
        std = np.asarray(rule["std"], dtype=np.float32).reshape(shape)
        return (x.astype(np.float32) / np.float32(rule["divide_by"]) - mean) / std


def build_dataset(name: str, raw: RawData, plan: SplitPlan | None = None) -> Dataset:
    """Split, normalise and fingerprint what a reader returned."""
    plan = plan or SplitPlan()
    assignment = assign_splits(raw, plan)
    duplicates = assignment.duplicates
    x, tokenizer = raw.x, None
    if raw.text is not None:
        tokenizer, x = fit_tokenizer(raw.text, raw.x, assignment.split == 0)
    info: dict[str, Any] = {
        "format_version": FORMAT_VERSION,
        "name": name,
        "kind": raw.kind,
        "classes": list(raw.classes),
        "num_samples": len(raw.y),
        "input": _input_of(raw, tokenizer),
        "resize": dict(raw.resize),
        "normalisation": {} if raw.kind == "text" else _normalisation(raw, assignment.split == 0),
        "splits": {
            **{split: int((assignment.split == i).sum()) for i, split in enumerate(SPLITS)},
            "calibrate": len(assignment.calibrate),
        },
        "seed": plan.seed,
        "split_rule": {
            "by": "source" if raw.split_names is not None else "seed",
            "grouped": raw.groups is not None,
            "shares": dict(zip(SPLITS, plan.shares, strict=True)),
        },
        "duplicates": {
            "num_duplicates": duplicates.num_duplicates,
            "num_duplicate_sets": duplicates.num_duplicate_sets,
            "num_conflicting_labels": duplicates.num_conflicting_labels,
            "num_moved": duplicates.num_moved,
        },
        "skipped": [{"where": skipped.where, "what": skipped.what} for skipped in raw.skipped],
        "source": dict(raw.source),
    }
    if tokenizer is not None:
        info["tokenizer"] = tokenizer_facts(tokenizer, x)
    arrays = (x, raw.y, assignment.split, assignment.calibrate)
    info["fingerprint"] = fingerprint_of(info, *arrays)
    return Dataset(info, x, raw.y, assignment.split, assignment.calibrate, tokenizer)


def fingerprint_of(
    info: Mapping[str, Any], x: np.ndarray, y: np.ndarray, split: np.ndarray, calibrate: np.ndarray
) -> str:
    """sha256 over what networks see: schema, normalisation, samples, labels, splits; not the name nor the source."""
    schema = {key: info[key] for key in ("format_version", "kind", "classes", "input", "resize", "normalisation")}
    if "tokenizer" in info:
        schema["tokenizer"] = info["tokenizer"]["sha256"]
    digest = hashlib.sha256(json.dumps(schema, sort_keys=True, separators=(",", ":")).encode())
    for array in (x, y, split, calibrate):
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        rows = max(1, 2**24 // max(1, array[:1].nbytes))
        for start in range(0, len(array), rows):  # in pieces: a memory map need not fit into memory
            digest.update(np.ascontiguousarray(array[start : start + rows]).data)
    return digest.hexdigest()


def _input_of(raw: RawData, tokenizer: Tokenizer | None) -> dict[str, int]:
    if tokenizer is not None:
        return {"length": raw.x.shape[1], "vocabulary": tokenizer.vocabulary}
    if raw.kind == "image":
        return {
            "channels": raw.x.shape[1],
            "height": raw.x.shape[2],
            "width": raw.x.shape[3],
        }
    return {"features": raw.x.shape[1]}


def _normalisation(raw: RawData, is_train: np.ndarray) -> dict[str, Any]:
    """Mean and standard deviation of train per channel or feature, after division; a constant one gets deviation 1."""
    divide_by = 255.0 if raw.kind == "image" else 1.0
    axes = (0, 2, 3) if raw.kind == "image" else (0,)
    train = np.flatnonzero(is_train)
    count, total, squares = 0, 0.0, 0.0
    rows = max(1, 2**24 // max(1, raw.x[:1].nbytes))
    # float64 sums of shifted values: a plain sum of squares cancels where the mean is far from zero.
    shift = raw.x[train[:1]].astype(np.float64).mean(axis=axes, keepdims=True)
    for start in range(0, len(train), rows):
        piece = raw.x[train[start : start + rows]].astype(np.float64) - shift
        count += piece.size // piece.shape[1]
        total = total + piece.sum(axis=axes)
        squares = squares + (piece**2).sum(axis=axes)
    mean = np.asarray(total) / count
    std = np.sqrt(np.maximum(np.asarray(squares) / count - mean**2, 0.0)) / divide_by
    mean = (mean + shift.reshape(-1)) / divide_by
    std = np.where(std > 1e-7 * np.maximum(1.0, np.abs(mean)), std, 1.0)
    return {"divide_by": divide_by, "mean": mean.tolist(), "std": std.tolist()}
