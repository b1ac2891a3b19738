"""Who worked on a search when: the attempts of its jobs, and of the shared jobs it waited for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import case, func, or_, select
from sqlalchemy.orm import Session

from nas_service.storage.tables import AttemptRow, JobRow


@dataclass(frozen=True)
class TimelineItem:
    """One attempt of one job; ``num_trials`` is the size of its batch, None for jobs without one."""

    job_id: str
    kind: str
    attempt: int
    owner: str
    outcome: str
    reason: str | None
    message: str | None
    num_trials: int | None
    started_at: datetime
    finished_at: datetime | None


def of_search(session: Session, search_id: str, subjects: Sequence[str], *, limit: int) -> list[TimelineItem]:
    """The latest ``limit`` attempts, oldest first; ``subjects`` are the search's supernet and estimator."""
    size = case((func.jsonb_typeof(_batch()) == "array", func.jsonb_array_length(_batch())))
    query = (
        select(
            JobRow.id,
            JobRow.kind,
            AttemptRow.epoch,
            AttemptRow.owner,
            AttemptRow.outcome,
            AttemptRow.reason,
            AttemptRow.message,
            size,
            AttemptRow.started_at,
            AttemptRow.finished_at,
        )
        .join(AttemptRow, AttemptRow.job_id == JobRow.id)
        .where(or_(JobRow.search_id == search_id, JobRow.subject_id.in_(subjects)))
        .order_by(AttemptRow.started_at.desc(), JobRow.id.desc(), AttemptRow.epoch.desc())
        .limit(limit)
    )
    return [TimelineItem(*row) for row in reversed(session.execute(query).all())]


def _batch() -> Any:
    return func.coalesce(JobRow.payload["trials"], JobRow.payload["architectures"])
