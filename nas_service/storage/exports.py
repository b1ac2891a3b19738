"""Exports: at most one per trial, made on request."""

from __future__ import annotations

from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from nas_service.domain.records import ExportRecord
from nas_service.errors import NotFound
from nas_service.ids import new_id
from nas_service.storage.records import oldest_first, to_record
from nas_service.storage.tables import ExportRow


def define(session: Session, *, search_id: str, trial_id: str) -> ExportRecord:
    """The export of this trial, created (state ``queued``) when there is none."""
    session.execute(
        insert(ExportRow)
        .values(id=new_id("export"), search_id=search_id, trial_id=trial_id, state="queued")
        .on_conflict_do_nothing(index_elements=["trial_id"])
    )
    return to_record(session.scalars(select(ExportRow).where(ExportRow.trial_id == trial_id)).one(), ExportRecord)


def get(session: Session, export_id: str) -> ExportRecord:
    """The export. Raises NotFound."""
    row = session.get(ExportRow, export_id, populate_existing=True)
    if row is None:
        raise NotFound(f"export {export_id} does not exist")
    return to_record(row, ExportRecord)


def of_search(session: Session, search_id: str, *, limit: int, after: str | None = None) -> list[ExportRecord]:
    """Exports of a search, oldest first."""
    query = select(ExportRow).where(ExportRow.search_id == search_id)
    return oldest_first(session, query, ExportRow, ExportRecord, limit=limit, after=after)


def unfinished_ids(session: Session) -> list[str]:
    """Exports that are queued or running, oldest first."""
    query = select(ExportRow.id).where(ExportRow.state.in_(("queued", "running")))
    return list(session.scalars(query.order_by(ExportRow.created_at, ExportRow.id)))


def set_state(session: Session, export_id: str, state: str, error: dict[str, Any] | None = None) -> None:
    """Set a state other than ``ready``; a ready export stays ready."""
    session.execute(
        update(ExportRow).where(ExportRow.id == export_id, ExportRow.state != "ready").values(state=state, error=error)
    )


def set_ready(
    session: Session, export_id: str, *, path: str, files: list[dict[str, Any]], parity: dict[str, Any]
) -> None:
    """The files are written under ``path``, relative to the artifact store."""
    session.execute(
        update(ExportRow)
        .where(ExportRow.id == export_id)
        .values(state="ready", path=path, files=files, parity=parity, error=None, ready_at=func.now())
    )
