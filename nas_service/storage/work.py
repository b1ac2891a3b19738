"""The controller's view of jobs: read them, bring a stopped one back, stop training that nobody waits for."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.orm import Session

from nas_service.domain.records import JobRecord
from nas_service.storage.records import to_record
from nas_service.storage.tables import JobRow

UNFINISHED = ("queued", "running")
# Jobs whose result belongs to no single search: they run as long as one search waits for it.
SHARED_KINDS = ("train_supernet", "fit_latency")


def get(session: Session, job_id: str) -> JobRecord | None:
    """The job, or None."""
    row = session.get(JobRow, job_id, populate_existing=True)
    return None if row is None else to_record(row, JobRecord)


def find(session: Session, dedup_key: str) -> JobRecord | None:
    """The job that was queued under this key, or None."""
    row = session.scalars(select(JobRow).where(JobRow.dedup_key == dedup_key)).one_or_none()
    return None if row is None else to_record(row, JobRecord)


def get_many(session: Session, job_ids: Sequence[str]) -> dict[str, JobRecord]:
    """Jobs by id."""
    if not job_ids:
        return {}
    query = select(JobRow).where(JobRow.id.in_(job_ids)).execution_options(populate_existing=True)
    return {row.id: to_record(row, JobRecord) for row in session.scalars(query)}


def of_subject(session: Session, subject_id: str) -> JobRecord | None:
    """The newest job about a supernet, an estimator or an export."""
    return of_subjects(session, [subject_id]).get(subject_id)


def of_subjects(session: Session, subject_ids: Collection[str]) -> dict[str, JobRecord]:
    """By subject the newest job about it, where there is one."""
    if not subject_ids:
        return {}
    query = select(JobRow).ext(distinct_on(JobRow.subject_id)).where(JobRow.subject_id.in_(subject_ids))
    query = query.order_by(JobRow.subject_id, JobRow.id.desc()).execution_options(populate_existing=True)
    return {str(row.subject_id): to_record(row, JobRecord) for row in session.scalars(query)}


def holds(session: Session, job_id: str, epoch: int) -> bool:
    """Whether the claim of this epoch is still the current one; locks the job until the transaction ends."""
    query = select(JobRow.id).where(JobRow.id == job_id, JobRow.epoch == epoch, JobRow.state == "running")
    return session.scalars(query.with_for_update()).first() is not None


def has_running(session: Session, search_id: str) -> bool:
    """Whether a job of this search is being executed."""
    query = select(JobRow.id).where(JobRow.search_id == search_id, JobRow.state == "running")
    return session.scalars(query.limit(1)).first() is not None


def revive(session: Session, job_id: str) -> None:
    """Queue a stopped job again with all its attempts; epochs go on counting, so no path is ever written twice."""
    session.execute(
        update(JobRow)
        .where(JobRow.id == job_id, JobRow.state.in_(("failed", "quarantined", "cancelled")))
        .values(state="queued", attempt=0, error=None, finished_at=None, run_after=func.now())
    )


def unfinished_shared(session: Session) -> list[JobRecord]:
    """Jobs of the shared kinds that are queued or running."""
    query = select(JobRow).where(JobRow.kind.in_(SHARED_KINDS), JobRow.state.in_(UNFINISHED))
    return [to_record(row, JobRecord) for row in session.scalars(query.order_by(JobRow.id))]
