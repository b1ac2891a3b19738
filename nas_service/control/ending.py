"""How a search ends: with a front, with a reason, or by request."""

from __future__ import annotations

from typing import Any

from nas_service.domain.records import SearchRecord
from nas_service.storage import events, jobs, searches, trials
from nas_service.storage.session import Session


def fail_search(
    session: Session, search: SearchRecord, reason: str, message: str, cause: dict[str, Any] | None = None
) -> None:
    """End a locked search as failed; what is still open is cancelled."""
    error = {"reason": reason, "message": message, **({"cause": cause} if cause else {})}
    searches.change_state(session, search, "failed", error)
    _drop_open_work(session, search.id)
    events.record(session, "search.failed", error, search_id=search.id)


def counted_states(session: Session, search_id: str) -> str:
    """How the trials of the search phase ended, for a message: ``3 failed, 1 infeasible``."""
    states = trials.tallies(session, [search_id])[search_id].counts.get("search", {})
    return ", ".join(f"{count} {state}" for state, count in sorted(states.items()))


def finish_search(session: Session, search: SearchRecord) -> None:
    """End a locked search that has its final front."""
    searches.enter_phase(session, search.id, "done")
    searches.change_state(session, search, "succeeded")
    events.record(session, "search.succeeded", {}, search_id=search.id)


def cancel_locked(session: Session, search: SearchRecord) -> None:
    """End a locked search by request."""
    searches.change_state(session, search, "cancelled")
    _drop_open_work(session, search.id)
    events.record(session, "search.cancelled", {}, search_id=search.id)


def _drop_open_work(session: Session, search_id: str) -> None:
    jobs.cancel_for_search(session, search_id)
    trials.cancel_open(session, search_id)
