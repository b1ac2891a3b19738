"""The queue: jobs are claimed with SKIP LOCKED, held by a lease on the database clock, and fenced by their epoch.

Each claim raises the job's epoch. Whoever reports for a claim names its epoch; the report changes nothing unless
the job still runs under it. Execution is at least once, recording exactly once.

A job that names a `resource`, an attached device, is claimed for that device only: it waits, and costs no attempt,
until somebody has it.

An exclusive job (a measurement) has the machines to itself, whoever claims: from its claim to its end nobody claims
anything else, and it starts (`may_start_alone`) when what others had claimed before is over. Claims hold one advisory
lock together, that question holds it alone, so that neither overlooks the other. On an attached device it needs that
machine alone: its claimer, who knows what runs where, may claim more meanwhile.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import timedelta
from itertools import takewhile
from typing import Any, Protocol

from sqlalchemy import Row, and_, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert

from nas_service import logs
from nas_service.ids import new_id
from nas_service.storage.session import Engine, Session, run_in_transaction
from nas_service.storage.tables import AttemptRow, JobRow, SearchRow

MAX_ATTEMPTS = 3
REAP_LIMIT = 500  # jobs freed in one transaction
NO_NEW_WORK = ("pausing", "paused", "cancelled")  # states of a search whose jobs are not handed out

_CLAIMING = 7_236_003  # advisory lock; any constant that nothing else here uses
_NOW = func.clock_timestamp()


@dataclass(frozen=True)
class ClaimedJob:
    """A job in this process's hands until its lease ends; ``epoch`` is the fencing token of the claim."""

    id: str
    kind: str
    payload: dict[str, Any]
    epoch: int
    attempt: int
    search_id: str | None
    supernet_id: str | None
    subject_id: str | None
    trace_id: str | None
    exclusive: bool
    resource: str | None


@dataclass(frozen=True)
class FreedJob:
    """What `reap` freed: its new ``state``, "queued", "quarantined" or "cancelled", and who lost it at ``epoch``."""

    id: str
    kind: str
    state: str
    epoch: int
    owner: str | None
    search_id: str | None


class Claim(Protocol):
    """What identifies a claim; a `ClaimedJob` is one."""

    @property
    def id(self) -> str: ...
    @property
    def epoch(self) -> int: ...


_CLAIM_COLUMNS = [getattr(JobRow, name) for name in ClaimedJob.__dataclass_fields__]
_FREED_COLUMNS = [JobRow.id, JobRow.kind, JobRow.epoch, JobRow.lease_owner.label("owner"), JobRow.search_id]


def enqueue(
    session: Session,
    *,
    kind: str,
    dedup_key: str,
    payload: dict[str, Any],
    search_id: str | None = None,
    supernet_id: str | None = None,
    subject_id: str | None = None,
    priority: int = 100,
    exclusive: bool = False,
    max_attempts: int = MAX_ATTEMPTS,
) -> str:
    """Queue a job and return its id; when ``dedup_key`` was ever used, the id of that job instead.

    A job with a ``search_id`` is handed out, paused and cancelled with that search; work that other searches share
    or that outlives the search (a supernet, an export) is queued without one. Smaller ``priority`` is served first.
    The ``resource`` in the payload names the attached device that alone can do the job.
    The job belongs to the trace that log lines written here belong to.
    """
    new = session.execute(
        insert(JobRow)
        .values(
            id=new_id("job"),
            kind=kind,
            dedup_key=dedup_key,
            payload=payload,
            search_id=search_id,
            supernet_id=supernet_id,
            subject_id=subject_id,
            resource=payload.get("resource"),
            priority=priority,
            exclusive=exclusive,
            max_attempts=max_attempts,
            trace_id=logs.current("trace_id"),
        )
        .on_conflict_do_nothing(index_elements=[JobRow.dedup_key])
        .returning(JobRow.id)
    ).scalar_one_or_none()
    return new or session.execute(select(JobRow.id).where(JobRow.dedup_key == dedup_key)).scalar_one()


def claim(
    engine: Engine,
    owner: str,
    *,
    limit: int,
    lease_s: float,
    kinds: Collection[str] | None = None,
    resource: str | None = None,
) -> list[ClaimedJob]:
    """Take up to ``limit`` due jobs for ``lease_s`` seconds, most urgent first; each gets a new epoch and attempt.
    They are those for the attached device ``resource``, or those that any slot can do.

    An exclusive job comes alone, and while one is held there is none for anybody, except for the ``owner`` of one on an
    attached device. A search that pauses in the same instant may lose one last job to a claim; that job is finished
    normally.
    """
    held = and_(JobRow.exclusive, or_(JobRow.resource.is_(None), JobRow.lease_owner != owner))

    def work(session: Session) -> list[ClaimedJob]:
        session.execute(select(func.pg_advisory_xact_lock_shared(_CLAIMING)))
        if session.execute(select(JobRow.id).where(JobRow.state == "running", held).limit(1)).first() is not None:
            return []
        wanted = [JobRow.state == "queued", JobRow.run_after <= _NOW, JobRow.resource.is_not_distinct_from(resource)]
        wanted.append(or_(JobRow.search_id.is_(None), SearchRow.state.not_in(NO_NEW_WORK)))
        if kinds is not None:
            wanted.append(JobRow.kind.in_(kinds))
        due = session.execute(
            select(JobRow.id, JobRow.exclusive)
            .outerjoin(SearchRow, SearchRow.id == JobRow.search_id)
            .where(*wanted)
            .order_by(JobRow.priority, JobRow.id)
            .limit(limit)
            .with_for_update(of=JobRow, skip_locked=True)
        ).all()
        shared = list(takewhile(lambda job: not job.exclusive, due))
        rows = session.execute(
            update(JobRow)
            .where(JobRow.id.in_([job.id for job in shared or due[:1]]))
            .values(
                state="running",
                attempt=JobRow.attempt + 1,
                epoch=JobRow.epoch + 1,
                lease_owner=owner,
                lease_until=_NOW + timedelta(seconds=lease_s),
                progress=None,
            )
            .returning(*_CLAIM_COLUMNS, JobRow.priority)
            .execution_options(synchronize_session=False)
        ).all()
        if rows:
            attempts = [{"job_id": r.id, "epoch": r.epoch, "owner": owner, "outcome": "running"} for r in rows]
            session.execute(insert(AttemptRow), attempts)
        rows = sorted(rows, key=lambda row: (row.priority, row.id))
        return [ClaimedJob(*row[:-1]) for row in rows]

    return run_in_transaction(engine, work)


def may_start_alone(session: Session, claim: Claim, owner: str) -> bool:
    """Whether an exclusive job that ``owner`` has claimed may start: nothing of others runs, and of several exclusive
    jobs that wait for each other it is the first. What ``owner`` itself runs is not looked at."""
    session.execute(select(func.pg_advisory_xact_lock(_CLAIMING)))  # claims under way end first
    before = or_(JobRow.exclusive.is_(False), JobRow.id < claim.id)
    others = select(JobRow.id).where(JobRow.state == "running", JobRow.lease_owner != owner, before)
    return session.execute(others.limit(1)).first() is None


def renew(engine: Engine, claims: Iterable[Claim], lease_s: float) -> set[str]:
    """Extend the leases of ``claims`` to ``lease_s`` seconds from now; the ids still held.

    A claim that is missing from the answer is lost: stop its work, its results would be refused.
    """
    held = [and_(JobRow.id == claim.id, JobRow.epoch == claim.epoch) for claim in claims]
    if not held:
        return set()

    def work(session: Session) -> set[str]:
        # locked in id order, as everywhere, so that two renewals cannot deadlock
        running = select(JobRow.id).where(JobRow.state == "running", or_(*held)).order_by(JobRow.id).with_for_update()
        ids = set(session.execute(running).scalars())
        _update(session, JobRow.id.in_(ids), lease_until=_NOW + timedelta(seconds=lease_s))
        return ids

    return run_in_transaction(engine, work)


def report_progress(session: Session, job_id: str, epoch: int, progress: dict[str, Any]) -> bool:
    """Store the latest progress; False if the claim was superseded."""
    return _update(session, _held(job_id, epoch), progress=progress) == 1


def finish(session: Session, job_id: str, epoch: int, result: dict[str, Any]) -> bool:
    """Record the result; False, and nothing is changed, if the claim was superseded.

    Call it first in the transaction that stores what the result says, and store nothing on False.
    """
    if not _update(
        session, _held(job_id, epoch), state="succeeded", result=result, error=None, **_no_lease(), finished_at=_NOW
    ):
        return False
    _end_attempt(session, job_id, epoch, "succeeded")
    return True


def fail(session: Session, job_id: str, epoch: int, reason: str, message: str, retry: bool) -> str | None:
    """Record a failed attempt (``reason`` of `states.END_REASONS`); the job's new state, None if superseded.

    With ``retry`` the job is queued again after a delay, or quarantined when its attempts are used up.
    """
    job = _lock(session, job_id, epoch)
    if job is None:
        return None
    state = "failed"
    if retry:
        state = "queued" if job.attempt < job.max_attempts else "quarantined"
    _leave(session, job, state, {"reason": reason, "message": message})
    _end_attempt(session, job_id, epoch, "failed", reason, message)
    return state


def release(
    session: Session, job_id: str, epoch: int, message: str = "given back by its worker", delay_s: float = 0.0
) -> bool:
    """Give a claim back unfinished: due again after ``delay_s``, and the attempt does not count."""
    due = _NOW + timedelta(seconds=delay_s)
    values = {"state": "queued", "attempt": JobRow.attempt - 1, "run_after": due, **_no_lease()}
    if not _update(session, _held(job_id, epoch), **values):
        return False
    _end_attempt(session, job_id, epoch, "released", "interrupted", message)
    return True


def reap(engine: Engine) -> list[FreedJob]:
    """Free jobs whose lease has ended, and cancel what a cancelled search still has queued or running.

    A lost job is queued again after a delay, or quarantined when its attempts are used up. Safe to run in any number of
    processes at once.
    """

    def work(session: Session) -> list[FreedJob]:
        freed = []
        expired = and_(JobRow.state == "running", JobRow.lease_until < _NOW)
        for job in _lock_free(session, select(*_FREED_COLUMNS, JobRow.attempt, JobRow.max_attempts).where(expired)):
            state = "queued" if job.attempt < job.max_attempts else "quarantined"
            message = f"the lease of {job.owner} ended"
            _leave(session, job, state, {"reason": "worker_lost", "message": message})
            _end_attempt(session, job.id, job.epoch, "lost", "worker_lost", message)
            freed.append(_freed(job, state))
        orphaned = (
            select(*_FREED_COLUMNS)
            .join(SearchRow, SearchRow.id == JobRow.search_id)
            .where(SearchRow.state == "cancelled", JobRow.state.in_(("queued", "running")))
        )
        for job in _lock_free(session, orphaned):
            _cancel(session, job.id, job.epoch)
            freed.append(_freed(job, "cancelled"))
        return freed

    return run_in_transaction(engine, work)


def cancel(session: Session, job_id: str) -> bool:
    """Cancel a queued or running job; False if it had ended. Its worker learns of it at the next renewal."""
    open_job = JobRow.state.in_(("queued", "running"))
    epoch = session.execute(
        select(JobRow.epoch).where(JobRow.id == job_id, open_job).with_for_update()
    ).scalar_one_or_none()
    if epoch is None:
        return False
    _cancel(session, job_id, epoch)
    return True


def cancel_for_search(session: Session, search_id: str) -> list[str]:
    """Cancel every queued or running job of a search; their ids."""
    found = session.execute(
        select(JobRow.id, JobRow.epoch)
        .where(JobRow.search_id == search_id, JobRow.state.in_(("queued", "running")))
        .order_by(JobRow.id)
        .with_for_update()
    ).all()
    for job in found:
        _cancel(session, job.id, job.epoch)
    return [job.id for job in found]


def retry_delay_s(attempt: int) -> float:
    """Seconds until attempt number ``attempt`` + 1: doubling from 10 up to 300, spread by a factor of 0.5 to 1.5."""
    return min(5.0 * 2.0**attempt, 300.0) * random.uniform(0.5, 1.5)


def _held(job_id: str, epoch: int) -> Any:
    return and_(JobRow.id == job_id, JobRow.epoch == epoch, JobRow.state == "running")


def _no_lease() -> dict[str, Any]:
    return {"lease_owner": None, "lease_until": None}


def _update(session: Session, which: Any, **values: Any) -> int:
    statement = update(JobRow).where(which).values(**values).execution_options(synchronize_session=False)
    return session.execute(statement).rowcount  # type: ignore[attr-defined]


def _lock(session: Session, job_id: str, epoch: int) -> Row[*tuple[Any, ...]] | None:
    columns = (JobRow.id, JobRow.epoch, JobRow.attempt, JobRow.max_attempts)
    return session.execute(select(*columns).where(_held(job_id, epoch)).with_for_update()).one_or_none()


def _lock_free(session: Session, query: Any) -> list[Row[*tuple[Any, ...]]]:
    """Lock what nobody else is working on, in id order."""
    query = query.order_by(JobRow.id).limit(REAP_LIMIT).with_for_update(of=JobRow, skip_locked=True)
    return list(session.execute(query))


def _leave(session: Session, job: Row[*tuple[Any, ...]], state: str, error: dict[str, Any]) -> None:
    """End the claim of a locked job with an error: queued again with a delay, or in a final state."""
    values = {"state": state, "error": error, **_no_lease()}
    if state == "queued":
        values["run_after"] = _NOW + timedelta(seconds=retry_delay_s(job.attempt))
    else:
        values["finished_at"] = _NOW
    _update(session, JobRow.id == job.id, **values)


def _cancel(session: Session, job_id: str, epoch: int) -> None:
    error = {"reason": "cancelled", "message": "cancelled on request"}
    _update(session, JobRow.id == job_id, state="cancelled", error=error, **_no_lease(), finished_at=_NOW)
    _end_attempt(session, job_id, epoch, "released", "cancelled", error["message"])


def _end_attempt(
    session: Session, job_id: str, epoch: int, outcome: str, reason: str | None = None, message: str | None = None
) -> None:
    session.execute(
        update(AttemptRow)
        .where(AttemptRow.job_id == job_id, AttemptRow.epoch == epoch, AttemptRow.outcome == "running")
        .values(outcome=outcome, reason=reason, message=message, finished_at=_NOW)
        .execution_options(synchronize_session=False)
    )


def _freed(job: Row[*tuple[Any, ...]], state: str) -> FreedJob:
    return FreedJob(job.id, job.kind, state, job.epoch, job.owner, job.search_id)
