"""From a row to its domain object, and pages of rows in a stable order."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, TypeVar

from sqlalchemy import Select, tuple_
from sqlalchemy.orm import Session

Record = TypeVar("Record")


def to_record(row: Any, cls: type[Record]) -> Record:
    """The domain object with the values of the columns that bear the names of its fields."""
    return cls(**{field.name: getattr(row, field.name) for field in fields(cls)})  # type: ignore[arg-type]


def newest_first(
    session: Session, query: Select[Any], table: Any, cls: type[Record], *, limit: int, after: str | None
) -> list[Record]:
    """Up to ``limit`` records, newest first by (created_at, id); ``after`` is the id of the last one already seen."""
    if after is not None:
        last = session.get(table, after)
        if last is None:
            return []
        query = query.where(_place(table) < (last.created_at, after))
    rows = session.scalars(query.order_by(table.created_at.desc(), table.id.desc()).limit(limit))
    return [to_record(row, cls) for row in rows]


def oldest_first(
    session: Session, query: Select[Any], table: Any, cls: type[Record], *, limit: int, after: str | None
) -> list[Record]:
    """As ``newest_first``, the other way round."""
    if after is not None:
        last = session.get(table, after)
        if last is None:
            return []
        query = query.where(_place(table) > (last.created_at, after))
    return [to_record(row, cls) for row in session.scalars(query.order_by(table.created_at, table.id).limit(limit))]


def _place(table: Any) -> Any:
    return tuple_(table.created_at, table.id)
