"""Exports: files of one trial's network, made on request and kept."""

from __future__ import annotations

from nas_service.control import payloads
from nas_service.domain.records import ExportRecord
from nas_service.domain.states import JOB_TERMINAL
from nas_service.errors import Conflict
from nas_service.storage import events, exports, jobs, searches, trials, work
from nas_service.storage.session import Session


def request_export(session: Session, search_id: str, trial_id: str) -> ExportRecord:
    """The export of a succeeded trial, submitted unless it exists; a failed one is tried again.

    Raises NotFound, Conflict.
    """
    search = searches.get(session, search_id)
    trial = trials.get(session, trial_id)
    if search.table_id is not None:
        raise Conflict(f"search {search_id} looked its results up in a table: there is no network to export")
    if trial.search_id != search_id or trial.state != "succeeded":
        raise Conflict(f"trial {trial_id} is {trial.state}; only a succeeded trial of search {search_id} has an export")
    export = exports.define(session, search_id=search_id, trial_id=trial_id)
    job = work.of_subject(session, export.id)
    if job is None:
        around = payloads.surroundings_of(session, search)
        # Without search_id: an export of a paused or cancelled search is made all the same.
        jobs.enqueue(
            session,
            kind="export",
            dedup_key=f"export:{export.id}",
            payload=payloads.export(around, trial, export.id),
            subject_id=export.id,
            priority=50,
        )
        events.record(session, "export.created", {"export_id": export.id, "trial_id": trial_id}, search_id=search_id)
    elif export.state == "failed":
        work.revive(session, job.id)
        exports.set_state(session, export.id, "queued")
    return exports.get(session, export.id)


def settle_exports(session: Session) -> None:
    """Mark exports whose job has ended without files."""
    for export_id in exports.unfinished_ids(session):
        job = work.of_subject(session, export_id)
        if job is not None and job.state in JOB_TERMINAL and job.state != "succeeded":
            exports.set_state(session, export_id, "failed", job.error)
