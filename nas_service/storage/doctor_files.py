"""Whether the artifact directory holds what the database says: checkpoints, exports and data sets, byte for byte."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nas_service.files import file_sha256
from nas_service.storage.installation import MARKER

LEFTOVER_S = 3600  # an unfinished file or directory older than this belongs to nobody

Broken = tuple[str, str, str]


def broken_files(artifacts: Path, wanted: dict[str, list[tuple]]) -> Iterator[Broken]:
    """(check, subject, detail) of each thing in ``wanted`` that is missing or changed, and of old unfinished files."""
    for subject, marker in wanted["marker"]:
        if _text(artifacts / MARKER) != marker:
            yield "artifacts_belong_here", subject, f"{artifacts} does not carry the marker of this database"
    for subject, fingerprint in wanted["dataset"]:
        if _below(artifacts, f"datasets/{fingerprint}/dataset.json") is None:
            yield "dataset_is_there", subject, f"datasets/{fingerprint} is missing"
    for (subject,) in wanted["table"]:
        if _below(artifacts, f"tables/{subject}.npz") is None:
            yield "table_is_there", subject, f"tables/{subject}.npz is missing"
    for subject, checkpoint in wanted["checkpoint"]:
        for detail in _broken_checkpoint(artifacts, checkpoint):
            yield "checkpoint_is_whole", subject, detail
    for subject, path, files in wanted["export"]:
        for file in files:
            for detail in _broken_file(artifacts, f"{path}/{file['name']}", file["sha256"]):
                yield "export_is_whole", subject, detail
    oldest = time.time() - LEFTOVER_S
    for path in artifacts.rglob("*.tmp") if artifacts.is_dir() else ():
        if path.lstat().st_mtime < oldest:
            yield "no_leftovers", str(path.relative_to(artifacts)), "unfinished for more than an hour"


def old_entries(folder: Path) -> list[Path]:
    """What lies in a directory for more than an hour: long enough that a row would name it by now."""
    oldest = time.time() - LEFTOVER_S
    if not folder.is_dir():
        return []
    return [path for path in folder.iterdir() if path.suffix != ".tmp" and path.lstat().st_mtime < oldest]


def _broken_checkpoint(artifacts: Path, checkpoint: dict[str, Any]) -> Iterator[str]:
    """A checkpoint is named by the digest of its manifest, which lists the digest of every other file."""
    manifest_name = f"{checkpoint['path']}/manifest.json"
    broken = list(_broken_file(artifacts, manifest_name, checkpoint["sha256"]))
    if broken:
        yield from broken
        return
    for name, facts in json.loads((artifacts / manifest_name).read_text())["files"].items():
        yield from _broken_file(artifacts, f"{checkpoint['path']}/{name}", facts["sha256"])


def _broken_file(artifacts: Path, name: str, sha256: str) -> Iterator[str]:
    path = _below(artifacts, name)
    if path is None:
        yield f"{name} is missing"
        return
    found = file_sha256(path)
    if found != sha256:
        yield f"{name} has sha256 {found}, expected {sha256}"


def _below(artifacts: Path, name: str) -> Path | None:
    """The file, None if it is missing or lies outside the directory."""
    path = (artifacts / name).resolve()
    return path if path.is_relative_to(artifacts.resolve()) and path.is_file() else None


def _text(path: Path) -> str | None:
    return path.read_text() if path.is_file() else None
