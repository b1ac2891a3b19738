"""The folder that holds data sets in standard form, one directory each, named by fingerprint."""

import json
import os
import re
import shutil
import tempfile
import threading
from pathlib import Path
from typing import Any

import numpy as np

from nas_service.datasets.dataset import FORMAT_VERSION, Dataset, fingerprint_of
from nas_service.datasets.errors import DatasetError
from nas_service.datasets.texts import tokenizer_sha256, tokenizer_text
from nas_service.datasets.tokenizer import Tokenizer
from nas_service.files import sync

# Folder of the data sets inside the artifact store, where workers look for them.
DATASETS_FOLDER = "datasets"

_ARRAYS = ("x", "y", "split", "calibrate")
_TOKENIZER = "tokenizer.json"
_FINGERPRINT = re.compile(r"[0-9a-f]{64}\Z")
_verified: set[tuple[str, int]] = set()
_verified_lock = threading.Lock()


class DatasetStore:
    """Writes a data set so that it appears at once and complete, or not at all; reads it as memory maps."""

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root)

    def write(self, dataset: Dataset) -> Path:
        """Directory of the data set, written unless it is there already; safe to call from several processes."""
        target = self.path_of(dataset.fingerprint)
        if target.is_dir():
            self.load(dataset.fingerprint)
            return target
        self.root.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{dataset.fingerprint[:16]}.", suffix=".tmp", dir=self.root))
        try:
            for name in _ARRAYS:
                with open(temporary / f"{name}.npy", "wb") as file:
                    np.save(file, getattr(dataset, name), allow_pickle=False)
                    _flush(file)
            if dataset.tokenizer is not None:
                with open(temporary / _TOKENIZER, "wb") as file:
                    file.write(tokenizer_text(dataset.tokenizer).encode())
                    _flush(file)
            with open(temporary / "dataset.json", "wb") as file:
                text = json.dumps(dict(dataset.info), indent=1, sort_keys=True, allow_nan=False)
                file.write(text.encode() + b"\n")
                _flush(file)
            temporary.chmod(0o755)
            sync(temporary)
            try:
                temporary.rename(target)
            except OSError:
                if not target.is_dir():
                    raise
                # Another process was faster with the same content.
            sync(self.root)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        return target

    def load(self, fingerprint: str) -> Dataset:
        """The data set as memory maps; its content is checked against the fingerprint once per process.

        Raises DatasetError when it is not there or is not what the fingerprint says.
        """
        path = self.path_of(fingerprint)
        try:
            info: dict[str, Any] = json.loads((path / "dataset.json").read_bytes())
            arrays = [np.load(path / f"{name}.npy", mmap_mode="r", allow_pickle=False) for name in _ARRAYS]
            tokenizer = _tokenizer(path, info)
        except FileNotFoundError as error:
            raise DatasetError(
                f"data set {fingerprint[:12]}", "is not in the store", "a registered data set"
            ) from error
        except (ValueError, TypeError, OSError) as error:
            raise DatasetError(
                f"data set {fingerprint[:12]}", f"cannot be read: {error}", "an undamaged copy"
            ) from error
        if info.get("format_version") != FORMAT_VERSION:
            raise DatasetError(
                f"data set {fingerprint[:12]}",
                f"has format version {info.get('format_version')!r}",
                f"{FORMAT_VERSION}: add it again",
            )
        key = (str(path.resolve()), (path / "x.npy").stat().st_mtime_ns)
        with _verified_lock:
            if key not in _verified:
                found = fingerprint_of(info, *arrays)
                if found != fingerprint or info.get("fingerprint") != fingerprint:
                    raise DatasetError(
                        f"data set {fingerprint[:12]}", f"its content has fingerprint {found[:12]}", "an undamaged copy"
                    )
                _verified.add(key)
        x, y, split, calibrate = arrays
        return Dataset(info, x, y, split, calibrate, tokenizer)

    def path_of(self, fingerprint: str) -> Path:
        """Directory of a data set; DatasetError when the text is no fingerprint (so that it can name no other path)."""
        if not _FINGERPRINT.match(fingerprint):
            raise DatasetError("fingerprint", f"{fingerprint[:80]!r} is no fingerprint", "64 hexadecimal digits")
        return self.root / fingerprint


def _tokenizer(path: Path, info: dict[str, Any]) -> Tokenizer | None:
    """The tokenizer of a text data set; ValueError when it is another one than dataset.json says."""
    if "tokenizer" not in info:
        return None
    tokenizer = Tokenizer(**json.loads((path / _TOKENIZER).read_bytes()))
    if tokenizer_sha256(tokenizer) != info["tokenizer"]["sha256"]:
        raise ValueError(f"{_TOKENIZER} has another digest than the fingerprint says")
    return tokenizer


def _flush(file: Any) -> None:
    file.flush()
    os.fsync(file.fileno())
