"""The event log: what happened, written in the transaction that made it happen, numbered in commit order.

`record` only notes the event. The rows are inserted as the last step of the commit, under one advisory lock that is
held until the transaction is visible: a reader who has seen number n never finds a smaller number later, and no
transaction waits for a row while it holds this lock.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy import event as hooks
from sqlalchemy import func, insert, select, text
from sqlalchemy.orm import SessionTransaction

from nas_service.storage.session import Session
from nas_service.storage.tables import EventRow

LOCK = 7_236_002  # advisory lock of the log; any constant that nothing else here uses
_NOTED, _SAVEPOINTS = "events", "event_savepoints"


@dataclass(frozen=True)
class Event:
    """One entry of the log; ``seq`` is the cursor."""

    seq: int
    type: str
    search_id: str | None
    data: dict[str, Any]
    created_at: datetime


def record(session: Session, type: str, data: dict[str, Any], search_id: str | None = None) -> None:
    """Note an event of the current transaction; it exists exactly when the transaction commits."""
    session.info.setdefault(_NOTED, []).append({"type": type, "data": data, "search_id": search_id})


def read(session: Session, search_id: str | None, after: int, limit: int) -> list[Event]:
    """Up to ``limit`` events with ``seq`` > ``after`` in order: of one search, or with None of all."""
    query = select(EventRow.seq, EventRow.type, EventRow.search_id, EventRow.data, EventRow.created_at)
    query = query.where(EventRow.seq > after).order_by(EventRow.seq).limit(limit)
    if search_id is not None:
        query = query.where(EventRow.search_id == search_id)
    return [Event(*row) for row in session.execute(query)]


def last_seq(session: Session) -> int:
    """The number of the newest event, 0 when there is none."""
    return session.execute(select(func.coalesce(func.max(EventRow.seq), 0))).scalar_one()


@hooks.listens_for(Session, "before_commit")
def _write(session: Session) -> None:
    if session.in_nested_transaction():
        return  # a savepoint is released; the transaction goes on
    noted = session.info.pop(_NOTED, [])
    if noted:
        session.flush()  # may fail or wait; the lock comes last
        session.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
        session.execute(insert(EventRow), noted)


@hooks.listens_for(Session, "after_transaction_create")
def _remember(session: Session, transaction: SessionTransaction) -> None:
    if transaction.nested:
        starts = session.info.setdefault(_SAVEPOINTS, WeakKeyDictionary())
        starts[transaction] = len(session.info.get(_NOTED, []))


@hooks.listens_for(Session, "after_soft_rollback")
def _forget(session: Session, previous: SessionTransaction) -> None:
    if previous.nested:
        del session.info.get(_NOTED, [])[session.info[_SAVEPOINTS].get(previous, 0) :]
    elif previous.parent is None:  # else a flush, which always takes one of the others with it
        session.info.pop(_NOTED, None)
