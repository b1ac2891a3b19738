"""Search-space documents: content-addressed, so storing one twice is storing it once."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from nas_service.domain.records import SpaceRecord
from nas_service.errors import NotFound
from nas_service.storage.records import newest_first, to_record
from nas_service.storage.tables import SearchSpaceRow


def put(
    session: Session,
    *,
    space_id: str,
    name: str,
    document: dict[str, Any],
    num_genes: int,
    cardinality: int,
    created_by: str | None = None,
) -> str:
    """Store a document under its id unless it is there, and return the id."""
    session.execute(
        insert(SearchSpaceRow)
        .values(
            id=space_id,
            name=name,
            document=document,
            num_genes=num_genes,
            cardinality=cardinality,
            created_by=created_by,
        )
        .on_conflict_do_nothing(index_elements=["id"])
    )
    return space_id


def get(session: Session, space_id: str) -> SpaceRecord:
    """The space. Raises NotFound."""
    row = session.get(SearchSpaceRow, space_id)
    if row is None:
        raise NotFound(f"search space {space_id} does not exist")
    return _record(row)


def page(session: Session, *, limit: int, after: str | None = None) -> list[SpaceRecord]:
    """Spaces, newest first."""
    records = newest_first(session, select(SearchSpaceRow), SearchSpaceRow, SpaceRecord, limit=limit, after=after)
    return [SpaceRecord(**{**vars(record), "cardinality": int(record.cardinality)}) for record in records]


def _record(row: SearchSpaceRow) -> SpaceRecord:
    record = to_record(row, SpaceRecord)
    return SpaceRecord(**{**vars(record), "cardinality": int(record.cardinality)})
