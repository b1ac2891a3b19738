"""The phases before a search can propose anything: its supernet is trained, its latency estimator fitted."""

from __future__ import annotations

from nas_service.control import payloads
from nas_service.control.ending import fail_search
from nas_service.control.payloads import Surroundings
from nas_service.domain.states import JOB_TERMINAL
from nas_service.storage import estimators, events, jobs, supernets, work
from nas_service.storage.session import Session


def supernet_phase(session: Session, around: Surroundings) -> bool:
    """Whether the supernet is ready; until then sees to it that somebody trains it."""
    supernet = around.supernet
    if supernet.state == "ready":
        for warning in supernet.warnings:
            events.record(session, "search.warning", warning, search_id=around.search.id)
        return True
    job = work.of_subject(session, supernet.id)
    if job is None:
        jobs.enqueue(
            session,
            kind="train_supernet",
            dedup_key=f"train_supernet:{supernet.id}",
            payload=payloads.train_supernet(around),
            supernet_id=supernet.id,
            subject_id=supernet.id,
        )
    elif job.state == "cancelled":  # it was stopped while nobody waited for it
        work.revive(session, job.id)
        supernets.set_state(session, supernet.id, "queued")
    elif job.state in JOB_TERMINAL:
        supernets.set_state(session, supernet.id, "failed", job.error)
        fail_search(session, around.search, "supernet_failed", "the supernet could not be trained", job.error)
    return False


def latency_phase(session: Session, around: Surroundings) -> bool:
    """Whether the estimator is ready, or none is needed; until then sees to it that somebody fits it."""
    estimator = around.estimator
    if estimator is None or estimator.state == "ready":
        return True
    job = work.of_subject(session, estimator.id)
    if job is None:
        jobs.enqueue(
            session,
            kind="fit_latency",
            dedup_key=f"fit_latency:{estimator.id}",
            payload=payloads.fit_latency(around),
            subject_id=estimator.id,
            exclusive=True,
        )
    elif job.state == "cancelled":
        work.revive(session, job.id)
        estimators.set_state(session, estimator.id, "queued")
    elif job.state in JOB_TERMINAL:
        estimators.set_state(session, estimator.id, "failed", job.error)
        fail_search(session, around.search, "latency_failed", "latency could not be measured", job.error)
    return False
