"""Tables of evaluated architectures: sealed ones by id or name, and those of which rows are still coming in."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import delete, func, or_, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from nas_service.domain.records import TableRecord, TableUploadRecord
from nas_service.errors import Conflict, NotFound
from nas_service.ids import new_id
from nas_service.storage.records import newest_first, to_record
from nas_service.storage.tables import TablePieceRow, TableRow, TableUploadRow

UPLOAD_HOURS = 24


def register(
    session: Session,
    *,
    table_id: str,
    name: str,
    space_id: str,
    manifest: dict[str, Any],
    created_by: str | None = None,
) -> TableRecord:
    """Make a written table known; the same content is known once, under its first name.

    Raises Conflict when the name belongs to other content.
    """
    values = {"id": table_id, "name": name, "space_id": space_id, "manifest": manifest, "created_by": created_by}
    session.execute(insert(TableRow).values(**values).on_conflict_do_nothing())
    row = session.get(TableRow, table_id, populate_existing=True)
    if row is None:
        raise Conflict(f"a table named {name!r} with other content exists already")
    return to_record(row, TableRecord)


def get(session: Session, id_or_name: str) -> TableRecord:
    """The table of this id or name. Raises NotFound."""
    row = session.scalars(
        select(TableRow).where(or_(TableRow.id == id_or_name, TableRow.name == id_or_name)).limit(1)
    ).first()
    if row is None:
        raise NotFound(f"table {id_or_name} does not exist")
    return to_record(row, TableRecord)


def page(session: Session, *, limit: int, after: str | None = None) -> list[TableRecord]:
    """Tables, newest first."""
    return newest_first(session, select(TableRow), TableRow, TableRecord, limit=limit, after=after)


def begin_upload(session: Session, *, name: str, definition: dict[str, Any], created_by: str | None) -> str:
    """Begin a table; the id under which its rows are sent. Uploads that were left alone for a day are dropped.

    Raises Conflict when a table has this name.
    """
    old = TableUploadRow.created_at < func.now() - text(f"interval '{UPLOAD_HOURS} hours'")
    session.execute(delete(TableUploadRow).where(old))
    if session.scalars(select(TableRow.id).where(TableRow.name == name)).first() is not None:
        raise Conflict(f"a table named {name!r} exists already; tables never change, so choose another name")
    upload_id = new_id("upload")
    session.add(TableUploadRow(id=upload_id, name=name, definition=definition, created_by=created_by))
    session.flush()
    return upload_id


def get_upload(session: Session, upload_id: str, *, lock: bool = False) -> TableUploadRecord:
    """The upload, with ``lock`` held until the transaction ends. Raises NotFound."""
    query = select(TableUploadRow).where(TableUploadRow.id == upload_id).execution_options(populate_existing=True)
    row = session.scalars(query.with_for_update() if lock else query).first()
    if row is None:
        raise NotFound(f"upload {upload_id} does not exist, or has ended")
    return to_record(row, TableUploadRecord)


def take_time(session: Session) -> None:
    """Let this transaction compute for long between two statements: a large table takes a while to put together."""
    session.execute(text("SET LOCAL idle_in_transaction_session_timeout = '15min'"))


def add_piece(session: Session, upload: TableUploadRecord, rows: Sequence[Sequence[Any]]) -> int:
    """Store the next rows of a locked upload; the number of rows it has then."""
    content = zlib.compress(json.dumps(rows, allow_nan=False, ensure_ascii=False).encode(), 1)
    session.add(TablePieceRow(upload_id=upload.id, first_row=upload.num_rows, content=content))
    session.flush()
    num_rows = upload.num_rows + len(rows)
    session.execute(update(TableUploadRow).where(TableUploadRow.id == upload.id).values(num_rows=num_rows))
    return num_rows


def pieces(session: Session, upload_id: str) -> Iterator[tuple[int, list[list[Any]]]]:
    """(number of the first row, rows) of each piece in order, one in memory at a time."""
    query = select(TablePieceRow.first_row).where(TablePieceRow.upload_id == upload_id)
    for first_row in session.scalars(query.order_by(TablePieceRow.first_row)).all():
        content = session.scalars(
            select(TablePieceRow.content).where(
                TablePieceRow.upload_id == upload_id, TablePieceRow.first_row == first_row
            )
        ).one()
        yield first_row, json.loads(zlib.decompress(content))


def end_upload(session: Session, upload_id: str) -> None:
    """Forget an upload and its rows."""
    session.execute(delete(TableUploadRow).where(TableUploadRow.id == upload_id))
