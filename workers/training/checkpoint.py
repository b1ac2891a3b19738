"""Checkpoints on disk: a directory of safetensors and JSON with a manifest of sha256 sums, written atomically.

A directory is complete or absent: files are written into `NAME.tmp`, synced, and the directory is renamed.
Names carry the epoch of the writer (`step-00000120.3`), so a superseded writer never touches another's files.
"""

import contextlib
import json
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import Tensor

from nas_service.files import file_sha256, sync
from workers.training.transfer import on_host

MANIFEST = "manifest.json"
STATE = "state.json"
_STEP_NAME = re.compile(r"step-(\d{8,})\.(\d+)")
_TMP_NAME = re.compile(r".+\.(\d+)\.tmp")


class CheckpointError(Exception):
    """A checkpoint is missing, damaged, or not the one that was asked for."""


@dataclass(frozen=True)
class Checkpoint:
    """A verified checkpoint directory; `sha256` is the digest of its manifest, and so of all its files."""

    path: Path
    sha256: str
    state: dict[str, Any]

    def tensors(self, name: str) -> dict[str, Tensor]:
        """The tensors of file `NAME.safetensors`, on the CPU."""
        return load_file(self.path / f"{name}.safetensors")

    def has(self, name: str) -> bool:
        """Whether the checkpoint has a tensor file of this name."""
        return (self.path / f"{name}.safetensors").exists()

    def weights(self) -> dict[str, Tensor]:
        """The weights to evaluate: trained tensors, with their moving average in place where one was kept."""
        tensors = self.tensors("model")
        if self.has("ema"):
            tensors.update(self.tensors("ema"))
        return tensors


def step_name(step: int, epoch: int) -> str:
    """Directory name of the checkpoint after `step` steps, written under `epoch`."""
    return f"step-{step:08d}.{epoch}"


def write_checkpoint(
    parent: Path, name: str, tensors: Mapping[str, Mapping[str, Tensor]], state: Mapping[str, Any]
) -> Checkpoint:
    """Write `parent/name` with one safetensors file per entry of `tensors`, the state and the manifest.

    If a valid checkpoint of that name exists it is kept (the same writer, retrying); a damaged one is replaced.
    """
    parent.mkdir(parents=True, exist_ok=True)
    final, tmp = parent / name, parent / f"{name}.tmp"
    if final.exists():
        with contextlib.suppress(CheckpointError):
            return verify(final)
        shutil.rmtree(final)
    shutil.rmtree(tmp, ignore_errors=True)
    tmp.mkdir()
    files = []
    for file_name, group in tensors.items():
        path = tmp / f"{file_name}.safetensors"
        save_file(on_host(group), path)
        files.append(path)
    (tmp / STATE).write_text(json.dumps(state, sort_keys=True, allow_nan=False), encoding="utf-8")
    files.append(tmp / STATE)
    manifest = {
        "format": 1,
        "files": {p.name: {"sha256": file_sha256(p), "size_bytes": p.stat().st_size} for p in sorted(files)},
    }
    (tmp / MANIFEST).write_text(json.dumps(manifest, sort_keys=True), encoding="utf-8")
    for path in (*files, tmp / MANIFEST, tmp):
        sync(path)
    tmp.replace(final)
    sync(parent)
    return Checkpoint(final, file_sha256(final / MANIFEST), dict(state))


def verify(path: Path) -> Checkpoint:
    """The checkpoint at `path` after comparing every file with the manifest; CheckpointError if any differs."""
    try:
        manifest = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
        for name, expected in manifest["files"].items():
            if Path(name).name != name or file_sha256(path / name) != expected["sha256"]:
                raise CheckpointError(f"{path.name}: {name} does not match its manifest")
        state = json.loads((path / STATE).read_text(encoding="utf-8"))
        return Checkpoint(path, file_sha256(path / MANIFEST), state)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{path.name}: not a complete checkpoint ({error})") from error


def open_checkpoint(path: Path, sha256: str | None = None) -> Checkpoint:
    """The verified checkpoint at `path`, which must be the one whose manifest has digest `sha256` if given."""
    checkpoint = verify(path)
    if sha256 is not None and checkpoint.sha256 != sha256:
        raise CheckpointError(f"{path.name}: manifest digest {checkpoint.sha256} is not the expected {sha256}")
    return checkpoint


def newest(parent: Path) -> Checkpoint | None:
    """The newest step checkpoint in `parent` that verifies; damaged ones are passed over."""
    for _, _, path in reversed(_steps(parent)):
        with contextlib.suppress(CheckpointError):
            return verify(path)
    return None


def prune(parent: Path, keep: int, epoch: int) -> None:
    """Delete all but the newest `keep` step checkpoints, never one written under a later epoch than `epoch`."""
    for _, written_by, path in _steps(parent)[:-keep]:
        if written_by <= epoch:
            shutil.rmtree(path, ignore_errors=True)


def sweep(parent: Path, epoch: int) -> None:
    """Delete what killed writers of this epoch or earlier ones left half written."""
    for path in parent.glob("*.tmp"):
        match = _TMP_NAME.fullmatch(path.name)
        if match and int(match[1]) <= epoch:
            shutil.rmtree(path, ignore_errors=True)


def _steps(parent: Path) -> list[tuple[int, int, Path]]:
    """(step, epoch, path) of all step checkpoints, oldest first."""
    if not parent.is_dir():
        return []
    matches = ((_STEP_NAME.fullmatch(path.name), path) for path in parent.iterdir())
    return sorted((int(match[1]), int(match[2]), path) for match, path in matches if match)
