"""Back up a service into a folder and restore it into an empty one: rows of one moment, artifacts, and a manifest.

The rows are read first and the artifacts copied after them. Files in the artifact store never change once they are
named by a committed row, so the copy has everything the rows name, also while the service is running.

    manifest.json    schema revision, tables, sequences, files, each with size and SHA-256
    rows/*.copy      one file for each table
    artifacts/...    data sets, checkpoints, exports, and the marker of the store
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from nas_service.errors import Conflict, InvalidInput
from nas_service.files import file_sha256
from nas_service.storage import migrate
from nas_service.storage.backup_rows import FOLDER, TableFile, export_rows, import_rows, table_with_rows
from nas_service.storage.doctor import Finding, examine, named_files
from nas_service.storage.doctor_files import broken_files
from nas_service.storage.session import Engine, unit_of_work

FORMAT_VERSION = 1
MANIFEST = "manifest.json"
ARTIFACTS = "artifacts"
_SHOWN = 5


@dataclass(frozen=True)
class Summary:
    """What was written or brought back."""

    revision: str
    created_at: str
    tables: int
    rows: int
    files: int
    size_bytes: int


def back_up(engine: Engine, artifacts: Path, target: Path) -> Summary:
    """Write a backup to ``target``, which must not exist or be empty; it appears complete or not at all.

    Raises Conflict when ``target`` holds something or a file that the rows name is missing or broken.
    """
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise Conflict(f"{target} is not an empty folder")
    unfinished = target.with_name(f"{target.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(mode=0o700, parents=True)
    try:
        revision = migrate.current(engine)
        with unit_of_work(engine) as session:
            wanted = named_files(session)
        tables = export_rows(engine, unfinished)
        files = [_copied(artifacts / name, unfinished / ARTIFACTS / name, name) for name in _files_below(artifacts)]
        broken = [f"{subject}: {detail}" for _, subject, detail in broken_files(unfinished / ARTIFACTS, wanted)]
        if broken:
            raise Conflict(f"{artifacts} lacks {len(broken)} things that the rows name: {'; '.join(broken[:_SHOWN])}")
        manifest = {
            "format_version": FORMAT_VERSION,
            "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "revision": revision,
            "tables": [asdict(table) for table in tables],
            "files": [file for file in files if file is not None],
        }
        (unfinished / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n")
        if target.exists():
            target.rmdir()
        unfinished.rename(target)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
    return _summary(manifest)


def restore(engine: Engine, artifacts: Path, source: Path) -> tuple[Summary, list[Finding]]:
    """Bring a backup into an empty database and an empty artifact store; what the doctor finds there afterwards.

    Everything in the backup is verified before anything is written. Raises InvalidInput for a folder that is no
    backup or is damaged, Conflict when the service is not empty.
    """
    manifest = _read_manifest(source)
    tables = [TableFile(**table) for table in manifest["tables"]]
    _verify(source, manifest)
    _require_empty(engine, artifacts, manifest["revision"])
    incoming = artifacts.with_name(f"{artifacts.name}.incoming")
    shutil.rmtree(incoming, ignore_errors=True)
    incoming.mkdir(mode=0o700, parents=True)
    try:
        for file in manifest["files"]:
            copied = _copied(source / ARTIFACTS / file["name"], incoming / file["name"], file["name"])
            if copied != file:
                raise Conflict(f"{file['name']} changed while it was read")
        migrate.upgrade(engine, manifest["revision"])

        def take_artifacts() -> None:
            if artifacts.exists():
                artifacts.rmdir()
            incoming.rename(artifacts)

        import_rows(engine, source, tables, take_artifacts)
    finally:
        shutil.rmtree(incoming, ignore_errors=True)
    migrate.upgrade(engine)
    return _summary(manifest), examine(engine, artifacts)


def _read_manifest(source: Path) -> dict[str, Any]:
    try:
        manifest = json.loads((source / MANIFEST).read_text())
        version = manifest["format_version"]
    except (FileNotFoundError, NotADirectoryError, ValueError, KeyError, TypeError):
        raise InvalidInput.at(str(source), f"is no backup: it has no readable {MANIFEST}") from None
    if version != FORMAT_VERSION:
        raise InvalidInput.at(str(source), f"has format {version}; this release reads {FORMAT_VERSION}")
    return manifest


def _verify(source: Path, manifest: dict[str, Any]) -> None:
    """Raises InvalidInput unless every listed file is there with its SHA-256."""
    wanted = {f"{FOLDER}/{table['name']}.copy": table["sha256"] for table in manifest["tables"]}
    wanted |= {f"{ARTIFACTS}/{file['name']}": file["sha256"] for file in manifest["files"]}
    root = source.resolve()
    broken = []
    for name, sha256 in wanted.items():
        path = (source / name).resolve()
        if not path.is_relative_to(root) or not path.is_file() or file_sha256(path) != sha256:
            broken.append(name)
    if broken:
        shown = ", ".join(broken[:_SHOWN])
        raise InvalidInput.at(str(source), f"{len(broken)} files are missing or changed: {shown}")


def _require_empty(engine: Engine, artifacts: Path, revision: str) -> None:
    if not migrate.is_known(revision):
        raise Conflict(f"the backup has schema {revision}, which this release does not know: use a newer release")
    found = migrate.current(engine)
    table = table_with_rows(engine)
    if table is not None:
        raise Conflict(f"the database is not empty (table {table}): restore into a new one")
    if found not in (None, revision):
        raise Conflict(f"the database has schema {found}, the backup {revision}: use a new database")
    if artifacts.exists() and any(artifacts.iterdir()):
        raise Conflict(f"{artifacts} is not empty: choose another NAS_HOME")


def _files_below(artifacts: Path) -> Iterator[str]:
    """Names of finished files, sorted; what is still being written (``*.tmp``, in a folder ``*.tmp``) is left out."""
    found = []
    for folder, folders, names in os.walk(artifacts):
        folders[:] = [name for name in folders if not name.endswith(".tmp")]
        found += [str((Path(folder) / name).relative_to(artifacts)) for name in names if not name.endswith(".tmp")]
    yield from sorted(found)


def _copied(source: Path, target: Path, name: str) -> dict[str, Any] | None:
    """Copy a file and say what it is; None when it has gone, as checkpoints do that a newer one replaces."""
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    digest, size = hashlib.sha256(), 0
    try:
        with source.open("rb") as file, target.open("xb") as out:
            while piece := file.read(1 << 20):
                out.write(piece)
                digest.update(piece)
                size += len(piece)
            out.flush()
            os.fsync(out.fileno())
    except FileNotFoundError:
        return None
    return {"name": name, "size_bytes": size, "sha256": digest.hexdigest()}


def _summary(manifest: dict[str, Any]) -> Summary:
    tables, files = manifest["tables"], manifest["files"]
    return Summary(
        revision=manifest["revision"],
        created_at=manifest["created_at"],
        tables=len(tables),
        rows=sum(table["rows"] for table in tables),
        files=len(files),
        size_bytes=sum(item["size_bytes"] for item in (*tables, *files)),
    )
