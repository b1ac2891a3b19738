"""Searches: creation, the row lock of the controller, allowed changes of state, and progress."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from nas_service.domain.records import SearchRecord
from nas_service.domain.states import SEARCH_TERMINAL, SEARCH_TRANSITIONS
from nas_service.errors import Conflict, NotFound
from nas_service.storage.records import newest_first, to_record
from nas_service.storage.tables import SearchRow

ACTIVE = ("queued", "running", "pausing")


def insert(session: Session, search_id: str, phase: str, values: dict[str, Any]) -> None:
    """Create a search in state ``queued``; ``values`` are the columns that come from its specification."""
    session.add(SearchRow(id=search_id, state="queued", phase=phase, **values))
    session.flush()


def get(session: Session, search_id: str) -> SearchRecord:
    """The search. Raises NotFound."""
    row = session.get(SearchRow, search_id, populate_existing=True)
    if row is None:
        raise NotFound(f"search {search_id} does not exist")
    return to_record(row, SearchRecord)


def lock(session: Session, search_id: str, *, skip_locked: bool = False) -> SearchRecord | None:
    """The search with its row locked until the transaction ends, so that one controller at a time advances it.

    The lock still lets others insert rows that refer to the search. With ``skip_locked`` a search that somebody else
    holds gives None instead of waiting. Raises NotFound.
    """
    query = select(SearchRow).where(SearchRow.id == search_id).with_for_update(key_share=True, skip_locked=skip_locked)
    row = session.scalars(query.execution_options(populate_existing=True)).first()
    if row is None:
        get(session, search_id)
        return None
    return to_record(row, SearchRecord)


def active_ids(session: Session) -> list[str]:
    """Searches with a next step to take, oldest first."""
    return list(session.scalars(select(SearchRow.id).where(SearchRow.state.in_(ACTIVE)).order_by(SearchRow.id)))


def page(
    session: Session, *, limit: int, after: str | None = None, state: str | None = None, name: str | None = None
) -> list[SearchRecord]:
    """Searches, newest first, optionally of one state or with a text in their name."""
    query = select(SearchRow)
    if state is not None:
        query = query.where(SearchRow.state == state)
    if name is not None:
        query = query.where(SearchRow.name.contains(name, autoescape=True))
    return newest_first(session, query, SearchRow, SearchRecord, limit=limit, after=after)


def change_state(session: Session, search: SearchRecord, state: str, error: dict[str, Any] | None = None) -> None:
    """Move a locked search to another state and count its version up.

    Raises Conflict when the transition is not allowed.
    """
    if state not in SEARCH_TRANSITIONS[search.state]:
        raise Conflict(f"search {search.id} is {search.state} and cannot become {state}")
    values: dict[str, Any] = {"state": state, "version": SearchRow.version + 1}
    if error is not None:
        values["error"] = error
    if state == "running":
        values["started_at"] = func.coalesce(SearchRow.started_at, func.now())
    if state in SEARCH_TERMINAL:
        values["finished_at"] = func.now()
    session.execute(update(SearchRow).where(SearchRow.id == search.id).values(**values))


def save(session: Session, search_id: str, **values: Any) -> None:
    """Write columns of a locked search."""
    session.execute(update(SearchRow).where(SearchRow.id == search_id).values(**values))


def enter_phase(session: Session, search_id: str, phase: str) -> None:
    """Set the phase; the clock of the budget starts with phase ``search``."""
    values: dict[str, Any] = {"phase": phase, "version": SearchRow.version + 1}
    if phase == "search":
        values["search_started_at"] = func.coalesce(SearchRow.search_started_at, func.now())
    session.execute(update(SearchRow).where(SearchRow.id == search_id).values(**values))


def searching_for_s(session: Session, search: SearchRecord) -> float:
    """Seconds since phase ``search`` began, by the database clock; 0 before."""
    return 0.0 if search.search_started_at is None else (now(session) - search.search_started_at).total_seconds()


def now(session: Session) -> datetime:
    """The time of this transaction by the database clock."""
    return session.execute(select(func.now())).scalar_one()


def wants(session: Session, *, supernet_id: str | None = None, estimator_id: str | None = None) -> bool:
    """Whether a search that is queued or running waits for this supernet or estimator."""
    query = select(SearchRow.id).where(SearchRow.state.in_(("queued", "running")))
    if supernet_id is not None:
        query = query.where(SearchRow.supernet_id == supernet_id)
    if estimator_id is not None:
        query = query.where(SearchRow.estimator_id == estimator_id)
    return session.scalars(query.limit(1)).first() is not None


def mean_trial_s(session: Session, table_id: str, strategy: str) -> float | None:
    """Mean time of a trial in finished searches of a table with a strategy, None when there are none."""
    spent = func.sum(func.extract("epoch", SearchRow.finished_at - SearchRow.search_started_at))
    query = select(spent / func.nullif(func.sum(SearchRow.num_told), 0)).where(
        SearchRow.table_id == table_id,
        SearchRow.state == "succeeded",
        SearchRow.spec["strategy"]["name"].astext == strategy,
    )
    found = session.scalar(query)
    return None if found is None else float(found)
