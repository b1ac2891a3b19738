"""Trials to jobs: which job works on which trials, and what becomes of trials whose job has ended without a result."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from nas_service.domain.records import JobRecord, TrialRecord
from nas_service.domain.states import JOB_TERMINAL
from nas_service.ids import content_key
from nas_service.storage import events, jobs, trials, work
from nas_service.storage.session import Session

PayloadOf = Callable[[Sequence[TrialRecord]], dict[str, Any]]


def submit(
    session: Session,
    search_id: str,
    kind: str,
    step: str,
    batch: Sequence[TrialRecord],
    payload: dict[str, Any],
    *,
    exclusive: bool = False,
) -> str:
    """One job for a batch of trials; ``step`` tells apart jobs of one kind on the same trials."""
    key = content_key([trial.id for trial in batch])[:32]
    job_id = jobs.enqueue(
        session,
        kind=kind,
        dedup_key=f"{kind}:{step}:{key}",
        payload=payload,
        search_id=search_id,
        exclusive=exclusive,
    )
    trials.assign(session, [trial.id for trial in batch], job_id)
    return job_id


def settle(session: Session, search_id: str, unfinished: Iterable[TrialRecord]) -> bool:
    """Deal with trials whose job is over though they have no result; whether any trial changed.

    A batch that failed as a whole is submitted again one architecture each, so that only the one at fault suffers;
    a trial that failed by itself is failed, or quarantined when its job was tried too often.
    """
    waiting: dict[str, list[TrialRecord]] = {}
    for trial in unfinished:
        if trial.job_id is not None:
            waiting.setdefault(trial.job_id, []).append(trial)
    changed = False
    for job_id, job in work.get_many(session, list(waiting)).items():
        if job.state not in JOB_TERMINAL:
            continue
        changed = True
        names = "architectures" if job.kind == "measure" else "trials"
        batch = job.payload.get(names, [])
        for trial in waiting[job_id]:
            if len(batch) > 1:
                own = [item for item in batch if item["id"] == trial.id]
                step = f"{job.payload.get('split', 'device')}:alone"
                payload = {**job.payload, names: own}
                submit(session, search_id, job.kind, step, [trial], payload, exclusive=job.exclusive)
            else:
                _give_up(session, search_id, trial, job)
    return changed


def _give_up(session: Session, search_id: str, trial: TrialRecord, job: JobRecord) -> None:
    error = job.error or {"reason": "error", "message": "the job ended without a result for this trial"}
    if trial.finished_at is not None:  # only its score on the test split is missing
        trials.write(session, trial.id, job_id=job.id, metrics={"test": {"error": error}})
        return
    state = "quarantined" if job.state == "quarantined" else "failed"
    trials.write(session, trial.id, job_id=job.id, state=state, error=error)
    events.record(session, "trial.finished", {"trial_id": trial.id, "state": state}, search_id=search_id)
