"""What a user can do to a search that exists: pause, resume, cancel. Each is harmless when repeated."""

from __future__ import annotations

from nas_service.control.ending import cancel_locked
from nas_service.domain.records import SearchRecord
from nas_service.storage import events, searches
from nas_service.storage.session import Session


def pause(session: Session, search_id: str) -> SearchRecord:
    """Start nothing new; what is being computed is finished and recorded. Raises NotFound, Conflict."""
    search = _locked(session, search_id)
    if search.state not in ("pausing", "paused"):
        state = "paused" if search.state == "queued" else "pausing"
        searches.change_state(session, search, state)
        events.record(session, "search.state", {"state": state}, search_id=search_id)
    return searches.get(session, search_id)


def resume(session: Session, search_id: str) -> SearchRecord:
    """Go on where it was paused. Raises NotFound, Conflict."""
    search = _locked(session, search_id)
    if search.state not in ("queued", "running"):
        state = "queued" if search.state == "paused" and search.started_at is None else "running"
        searches.change_state(session, search, state)
        events.record(session, "search.state", {"state": state}, search_id=search_id)
    return searches.get(session, search_id)


def cancel(session: Session, search_id: str) -> SearchRecord:
    """End it now; what was recorded stays. Raises NotFound, Conflict."""
    search = _locked(session, search_id)
    if search.state != "cancelled":
        cancel_locked(session, search)
    return searches.get(session, search_id)


def _locked(session: Session, search_id: str) -> SearchRecord:
    search = searches.lock(session, search_id)
    if search is None:  # only with skip_locked
        raise AssertionError("a waiting lock gave no row")
    return search
