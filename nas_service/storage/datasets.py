"""Registered data sets: the name and manifest of arrays that lie in the artifact store under their fingerprint."""

from __future__ import annotations

from typing import Any

from sqlalchemy import or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from nas_service.domain.records import DatasetRecord
from nas_service.errors import Conflict, NotFound
from nas_service.ids import new_id
from nas_service.storage.records import newest_first, to_record
from nas_service.storage.tables import DatasetRow


def register(session: Session, *, name: str, manifest: dict[str, Any]) -> str:
    """Register a written data set and return its id; the same content under the same name is registered once.

    Raises Conflict when the name belongs to other content.
    """
    fingerprint = manifest["fingerprint"]
    session.execute(
        insert(DatasetRow)
        .values(id=new_id("dataset"), name=name, fingerprint=fingerprint, manifest=manifest)
        .on_conflict_do_nothing(index_elements=["name"])
    )
    row = session.scalars(select(DatasetRow).where(DatasetRow.name == name)).one()
    if row.fingerprint != fingerprint:
        raise Conflict(f"a data set named {name!r} with other content is registered already")
    return row.id


def get(session: Session, id_or_name: str) -> DatasetRecord:
    """The data set of this id or name. Raises NotFound."""
    query = select(DatasetRow).where(or_(DatasetRow.id == id_or_name, DatasetRow.name == id_or_name))
    row = session.scalars(query.limit(1)).first()
    if row is None:
        raise NotFound(f"data set {id_or_name} does not exist")
    return to_record(row, DatasetRecord)


def page(session: Session, *, limit: int, after: str | None = None) -> list[DatasetRecord]:
    """Data sets, newest first."""
    return newest_first(session, select(DatasetRow), DatasetRow, DatasetRecord, limit=limit, after=after)
