"""The one row about this installation, and the marker that ties its artifact directory to its database."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from nas_service.errors import Conflict
from nas_service.storage.session import Session
from nas_service.storage.tables import InstallationRow

MARKER = ".nas-artifacts"


@dataclass(frozen=True)
class Installation:
    """``artifact_marker`` is the content of the marker file; ``cursor_secret`` signs page tokens."""

    artifact_marker: str
    cursor_secret: bytes = field(repr=False)


def ensure(session: Session) -> Installation:
    """The installation of this database, made on first use."""
    session.execute(
        insert(InstallationRow)
        .values(id=1, artifact_marker=secrets.token_hex(16), cursor_secret=secrets.token_bytes(32))
        .on_conflict_do_nothing()
    )
    row = session.execute(select(InstallationRow.artifact_marker, InstallationRow.cursor_secret)).one()
    return Installation(row.artifact_marker, row.cursor_secret)


def mark_artifacts(installation: Installation, artifacts: Path) -> None:
    """Create the artifact directory with its marker; `Conflict` if it belongs to another installation."""
    artifacts.mkdir(mode=0o700, parents=True, exist_ok=True)
    marker = artifacts / MARKER
    if not marker.exists():
        unfinished = artifacts / f"{MARKER}.{secrets.token_hex(4)}.tmp"
        unfinished.write_text(installation.artifact_marker)
        unfinished.replace(marker)
    if marker.read_text() != installation.artifact_marker:
        raise Conflict(f"{artifacts} belongs to another installation: choose another NAS_HOME or database")
