"""Numbers for monitoring: how many searches, jobs and trials are in which state, and how long work has waited."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import func, select

from nas_service.storage.session import Session
from nas_service.storage.tables import JobRow, SearchRow, TrialRow


@dataclass(frozen=True)
class Gauges:
    """Counts by (kind and) state; ``oldest_queued_s`` is 0 when nothing waits."""

    searches: dict[str, int]
    trials: dict[str, int]
    jobs: dict[tuple[str, str], int]
    oldest_queued_s: float


def read(session: Session) -> Gauges:
    """The numbers now, by the database clock."""
    searches = session.execute(select(SearchRow.state, func.count()).group_by(SearchRow.state))
    trials = session.execute(select(TrialRow.state, func.count()).group_by(TrialRow.state))
    jobs = session.execute(select(JobRow.kind, JobRow.state, func.count()).group_by(JobRow.kind, JobRow.state))
    waited = func.extract("epoch", func.now() - func.min(JobRow.created_at))
    oldest = session.scalar(select(waited).where(JobRow.state == "queued", JobRow.run_after <= func.now()))
    return Gauges(
        searches={row[0]: row[1] for row in searches},
        trials={row[0]: row[1] for row in trials},
        jobs={(kind, state): count for kind, state, count in jobs},
        oldest_queued_s=float(oldest or 0.0),
    )
