"""Rows of the whole database to files and back, by COPY in one snapshot: needs no programs of Postgres.

One file for each table in the text format of COPY; values of identity columns and their sequences are kept, so that
cursors and event numbers go on where they were.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql
from sqlalchemy import select

from nas_service.errors import Conflict
from nas_service.storage import jobs
from nas_service.storage.session import Engine, Session
from nas_service.storage.tables import Base, JobRow

FOLDER = "rows"


@dataclass(frozen=True)
class TableFile:
    """The rows of one table; ``sequences`` maps identity columns to (last value, whether it was used)."""

    name: str
    columns: list[str]
    rows: int
    size_bytes: int
    sha256: str
    sequences: dict[str, tuple[int, bool]]


def export_rows(engine: Engine, folder: Path) -> list[TableFile]:
    """Write every table below ``folder``/rows as of one moment, parents before children."""
    (folder / FOLDER).mkdir()
    with _connection(engine) as connection, connection.transaction(), connection.cursor() as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        _without_timeouts(cursor)
        return [_export_table(cursor, table, folder) for table in Base.metadata.sorted_tables]


def import_rows(engine: Engine, folder: Path, files: list[TableFile], before_commit: Callable[[], None]) -> None:
    """Fill empty tables from ``folder``; all or nothing. ``before_commit()`` runs when every row is in.

    Work that was running when the rows were written is queued again: its workers belong to another service. Raises
    Conflict when a file does not have the rows it should.
    """
    with _connection(engine) as connection, connection.transaction(), connection.cursor() as cursor:
        _without_timeouts(cursor)
        for file in files:
            _import_table(cursor, file, folder)
        before_commit()
    with Session(engine) as session, session.begin():
        running = session.execute(select(JobRow.id, JobRow.epoch).where(JobRow.state == "running")).all()
        for job_id, epoch in running:
            jobs.release(session, job_id, epoch, "restored from a backup")


def table_with_rows(engine: Engine) -> str | None:
    """The name of a table that has a row, None when there is nothing (not even tables)."""
    with _connection(engine) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = current_schema()")
        names = [str(row[0]) for row in cursor.fetchall() if row[0] != "alembic_version"]
        for name in sorted(names):
            cursor.execute(sql.SQL("SELECT 1 FROM {} LIMIT 1").format(sql.Identifier(name)))
            if cursor.fetchone() is not None:
                return name
    return None


def _export_table(cursor: psycopg.Cursor[Any], table: Any, folder: Path) -> TableFile:
    columns = [column.name for column in table.columns]
    digest, size = hashlib.sha256(), 0
    command = sql.SQL("COPY {} ({}) TO STDOUT").format(sql.Identifier(table.name), _names(columns))
    with (folder / FOLDER / f"{table.name}.copy").open("xb") as out, cursor.copy(command) as copy:
        for piece in copy:
            out.write(piece)
            digest.update(piece)
            size += len(piece)
    rows = cursor.rowcount
    sequences = {}
    for column in table.columns:
        if column.identity is not None:
            cursor.execute("SELECT pg_get_serial_sequence(%s, %s)", (table.name, column.name))
            cursor.execute(sql.SQL("SELECT last_value, is_called FROM {}").format(_qualified(cursor)))
            last = cursor.fetchone()
            assert last is not None
            sequences[column.name] = (int(last[0]), bool(last[1]))
    return TableFile(table.name, columns, rows, size, digest.hexdigest(), sequences)


def _import_table(cursor: psycopg.Cursor[Any], file: TableFile, folder: Path) -> None:
    command = sql.SQL("COPY {} ({}) FROM STDIN").format(sql.Identifier(file.name), _names(file.columns))
    with (folder / FOLDER / f"{file.name}.copy").open("rb") as source, cursor.copy(command) as copy:
        while piece := source.read(1 << 20):
            copy.write(piece)
    if cursor.rowcount != file.rows:
        raise Conflict(f"table {file.name}: {cursor.rowcount} rows came in, the backup lists {file.rows}")
    for column, (last, used) in file.sequences.items():
        cursor.execute("SELECT setval(pg_get_serial_sequence(%s, %s), %s, %s)", (file.name, column, last, used))


def _qualified(cursor: psycopg.Cursor[Any]) -> sql.Identifier:
    """The sequence whose name (``schema.name``) the last query gave."""
    row = cursor.fetchone()
    assert row is not None
    return sql.Identifier(*str(row[0]).split("."))


def _names(columns: list[str]) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, columns))


def _without_timeouts(cursor: psycopg.Cursor[Any]) -> None:
    cursor.execute("SET LOCAL statement_timeout = 0")
    cursor.execute("SET LOCAL idle_in_transaction_session_timeout = 0")


@contextmanager
def _connection(engine: Engine) -> Iterator[psycopg.Connection[Any]]:
    """A connection of the driver itself, which has COPY."""
    pooled = engine.raw_connection()
    try:
        connection: psycopg.Connection[Any] = pooled.driver_connection  # type: ignore[assignment]
        yield connection
    finally:
        pooled.close()
