"""How the search-stage front of a search grew: hypervolume and size after each told trial."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from nas_service.domain.records import FrontPoint
from nas_service.storage.records import to_record
from nas_service.storage.tables import FrontPointRow


def add_points(session: Session, search_id: str, points: Sequence[FrontPoint]) -> None:
    """Store points of the curve; one that is there already stays."""
    if points:
        rows = [{"search_id": search_id, **vars(point)} for point in points]
        session.execute(insert(FrontPointRow).on_conflict_do_nothing(), rows)


def curve(session: Session, search_id: str) -> list[FrontPoint]:
    """The curve in order of the number of evaluations."""
    query = select(FrontPointRow).where(FrontPointRow.search_id == search_id).order_by(FrontPointRow.num_evaluations)
    return [to_record(row, FrontPoint) for row in session.scalars(query)]
