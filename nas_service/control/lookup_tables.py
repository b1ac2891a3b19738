"""Tables of evaluated architectures: rows come in, are judged at once, and are sealed into an immutable table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from nas_service.control.spaces import compiled_space, store_space
from nas_service.domain.records import TableRecord
from nas_service.errors import Conflict, TooLarge
from nas_service.storage import lookup_tables
from nas_service.storage.session import Session
from nas_service.tables.build import build_table
from nas_service.tables.definition import TableDefinition
from nas_service.tables.rows import check_rows
from nas_service.tables.table import Table

MAX_ROWS = 1_000_000


@dataclass(frozen=True)
class Upload:
    """How far a table that is being sent has come."""

    id: str
    name: str
    columns: list[str]
    num_rows: int


def add_rows(session: Session, upload_id: str, first_row: int, rows: Sequence[Sequence[Any]]) -> Upload:
    """Take in the next rows. Raises NotFound, Conflict when they are not the next, InvalidInput with row and column,
    TooLarge beyond a million rows."""
    upload = lookup_tables.get_upload(session, upload_id, lock=True)
    if first_row != upload.num_rows:
        raise Conflict(f"these are rows from {first_row} on, but {upload.num_rows} have come in")
    if first_row + len(rows) > MAX_ROWS:
        raise TooLarge(f"a table has at most {MAX_ROWS:,} rows")
    definition = TableDefinition.from_json(upload.definition)
    space = None if definition.space_id is None else compiled_space(session, definition.space_id)
    check_rows(definition, rows, first_row, space)
    num_rows = lookup_tables.add_piece(session, upload, rows)
    return Upload(upload.id, upload.name, list(definition.columns), num_rows)


def seal(session: Session, upload_id: str, artifacts: Path, created_by: str | None) -> TableRecord:
    """Make a table of the rows that came in. Raises NotFound, Conflict, and InvalidInput for rows that say the same
    thing twice or too much of it."""
    lookup_tables.take_time(session)
    upload = lookup_tables.get_upload(session, upload_id, lock=True)
    definition = TableDefinition.from_json(upload.definition)
    space = None if definition.space_id is None else compiled_space(session, definition.space_id)
    table = build_table(definition, partial(lookup_tables.pieces, session, upload_id), space)
    record = install(session, table, upload.name, artifacts, created_by)
    lookup_tables.end_upload(session, upload_id)
    return record


def install(session: Session, table: Table, name: str, artifacts: Path, created_by: str | None = None) -> TableRecord:
    """Make a table known and write its file before that is committed, so that what is known has its file.

    Raises Conflict for a taken name, and then writes nothing.
    """
    store_space(session, table.space, created_by)
    record = lookup_tables.register(
        session,
        table_id=table.id,
        name=name,
        space_id=table.space.id,
        manifest=table.manifest(),
        created_by=created_by,
    )
    table.save(artifacts)
    return record
