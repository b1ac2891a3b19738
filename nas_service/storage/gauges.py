"""Numbers for monitoring: states of searches, jobs and trials, depth of the queue, ages of leases."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, extract, func, select

from nas_service.storage.session import Session
from nas_service.storage.tables import AttemptRow, JobRow, SearchRow, TrialRow


@dataclass(frozen=True)
class Gauges:
    """Counts by (kind and) state, and ages in seconds, 0 when there is nothing.

    ``queue_depth`` counts the jobs of a kind that could run now. A lease is as old as its claim; ``leases_expired``
    are those whose holder has not renewed them in time and that nobody has freed yet.
    """

    searches: dict[str, int]
    trials: dict[str, int]
    jobs: dict[tuple[str, str], int]
    queue_depth: dict[str, int]
    oldest_queued_s: float
    leases_expired: int
    oldest_lease_s: float


def read(session: Session) -> Gauges:
    """The numbers now, by the database clock."""
    searches = session.execute(select(SearchRow.state, func.count()).group_by(SearchRow.state))
    trials = session.execute(select(TrialRow.state, func.count()).group_by(TrialRow.state))
    jobs = session.execute(select(JobRow.kind, JobRow.state, func.count()).group_by(JobRow.kind, JobRow.state))
    due = (JobRow.state == "queued", JobRow.run_after <= func.now())
    depth = session.execute(select(JobRow.kind, func.count()).where(*due).group_by(JobRow.kind))
    oldest_queued = select(_age_s(func.min(JobRow.created_at))).where(*due)
    expired = select(func.count()).where(JobRow.state == "running", JobRow.lease_until < func.now())
    oldest_lease = select(_age_s(func.min(AttemptRow.started_at))).where(AttemptRow.outcome == "running")
    return Gauges(
        searches={row[0]: row[1] for row in searches},
        trials={row[0]: row[1] for row in trials},
        jobs={(kind, state): count for kind, state, count in jobs},
        queue_depth={row[0]: row[1] for row in depth},
        oldest_queued_s=float(session.scalar(oldest_queued) or 0.0),
        leases_expired=session.scalar(expired) or 0,
        oldest_lease_s=float(session.scalar(oldest_lease) or 0.0),
    )


def _age_s(moment: ColumnElement[datetime]) -> ColumnElement[int]:
    return extract("epoch", func.now() - moment)
