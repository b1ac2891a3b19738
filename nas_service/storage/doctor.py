"""The invariants of the stored state, checked after every fault test and by `nas doctor`. It reads, never repairs."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sqlalchemy import select, text

from nas_service.domain.pareto import hypervolume, non_dominated
from nas_service.domain.search import SearchSpec
from nas_service.processes import strays
from nas_service.storage import columns
from nas_service.storage.doctor_events import EVENT_CHECKS
from nas_service.storage.doctor_files import broken_files, old_entries
from nas_service.storage.session import Engine, Session, unit_of_work
from nas_service.storage.tables import SearchRow, TrialRow

# Seconds after which what a sweep or the controller should have put right counts as forgotten.
LEASE_GRACE_S = 10
CONTROLLER_GRACE_S = 60


@dataclass(frozen=True)
class Finding:
    """A broken invariant: its name, the id of what breaks it, and how."""

    check: str
    subject: str
    detail: str


_OPEN_JOB = "('queued', 'running')"
_OPEN_TRIAL = "('pending', 'running')"
_ENDED_SEARCH = "('succeeded', 'failed', 'cancelled')"

# name of the invariant -> query of (subject, detail), one row for each case in which it is broken
CHECKS = {
    "lease_is_current": """
        SELECT id, 'its lease ended at ' || lease_until FROM job
        WHERE state = 'running' AND lease_until < now() - :lease_grace * interval '1 second'""",
    "running_job_has_one_attempt": """
        SELECT id, 'no open attempt of epoch ' || epoch FROM job WHERE state = 'running' AND NOT EXISTS (
          SELECT FROM attempt a WHERE a.job_id = job.id AND a.epoch = job.epoch AND a.outcome = 'running')""",
    "open_attempt_has_its_claim": """
        SELECT a.job_id, 'attempt ' || a.epoch || ' is open, the job is ' || j.state || ' at epoch ' || j.epoch
        FROM attempt a JOIN job j ON j.id = a.job_id
        WHERE a.outcome = 'running' AND NOT (j.state = 'running' AND j.epoch = a.epoch)""",
    "every_claim_left_an_attempt": """
        SELECT id, epoch || ' claims, ' || (SELECT count(*) FROM attempt a WHERE a.job_id = job.id) || ' attempts'
        FROM job WHERE epoch <> (SELECT count(*) FROM attempt a WHERE a.job_id = job.id)""",
    "ended_job_says_when_and_how": """
        SELECT id, 'state ' || state || ', finished at ' || coalesce(finished_at::text, 'no time') FROM job
        WHERE (state IN ('queued', 'running')) = (finished_at IS NOT NULL)
           OR (state = 'succeeded') <> (result IS NOT NULL)
           OR (state IN ('failed', 'quarantined', 'cancelled') AND error IS NULL)""",
    "succeeded_job_has_one_succeeded_attempt": """
        SELECT id, 'no succeeded attempt of its last epoch' FROM job WHERE state = 'succeeded' AND NOT EXISTS (
          SELECT FROM attempt a WHERE a.job_id = job.id AND a.epoch = job.epoch AND a.outcome = 'succeeded')""",
    "asked_trials_are_stored": """
        SELECT s.id, concat(s.num_asked, ' asked, ', count(t.id), ' stored, the last is number ', max(t.number))
        FROM search s LEFT JOIN trial t ON t.search_id = s.id AND t.stage = 'search'
        GROUP BY s.id HAVING count(t.id) <> s.num_asked OR coalesce(max(t.number), -1) + 1 <> s.num_asked""",
    "told_trials_have_ended": f"""
        SELECT t.id, 'trial ' || t.number || ' is ' || t.state || ', ' || s.num_told || ' are told'
        FROM trial t JOIN search s ON s.id = t.search_id
        WHERE t.stage = 'search' AND t.number < s.num_told AND t.state IN {_OPEN_TRIAL}""",
    "ended_search_has_no_open_work": f"""
        SELECT s.id, s.state || ' with an open trial ' || t.id FROM search s JOIN trial t ON t.search_id = s.id
        WHERE s.state IN {_ENDED_SEARCH} AND t.state IN {_OPEN_TRIAL}
        UNION ALL
        SELECT s.id, s.state || ' with an open job ' || j.id FROM search s JOIN job j ON j.search_id = s.id
        WHERE s.state IN {_ENDED_SEARCH} AND j.state IN {_OPEN_JOB}
          AND s.finished_at < now() - :lease_grace * interval '1 second'""",
    "ended_search_says_when_and_how": f"""
        SELECT id, 'state ' || state || ', phase ' || phase FROM search
        WHERE (state IN {_ENDED_SEARCH}) <> (finished_at IS NOT NULL)
           OR (state = 'succeeded' AND phase <> 'done') OR (state = 'failed' AND error IS NULL)""",
    "open_trial_will_go_on": """
        SELECT t.id, t.state || ', but its job ' || j.id || ' is ' || j.state
        FROM trial t JOIN search s ON s.id = t.search_id JOIN job j ON j.id = t.job_id
        WHERE s.state = 'running' AND t.state IN ('pending', 'running') AND j.state NOT IN ('queued', 'running')
          AND j.finished_at < now() - :controller_grace * interval '1 second'""",
    "reused_result_equals_its_source": """
        SELECT t.id, 'differs from ' || t.reused_from FROM trial t LEFT JOIN trial o ON o.id = t.reused_from
        WHERE t.reused_from IS NOT NULL AND t.state = 'succeeded' AND o.id IS NOT NULL AND (
          o.evaluation_key, o.state, o.accuracy_top1, o.loss)
          IS DISTINCT FROM (t.evaluation_key, 'succeeded', t.accuracy_top1, t.loss)""",
    "hypervolume_never_falls": """
        SELECT search_id, 'falls to ' || hypervolume || ' after ' || num_evaluations FROM (
          SELECT *, lag(hypervolume) OVER (PARTITION BY search_id ORDER BY num_evaluations) AS before
          FROM front_point) AS curve
        WHERE hypervolume < before""",
    "curve_ends_at_the_search": """
        SELECT s.id, 'after ' || s.num_told || ' told: ' || coalesce(s.hypervolume::text, 'none') || ', its curve '
          || coalesce(p.hypervolume::text, 'none')
        FROM search s LEFT JOIN front_point p ON p.search_id = s.id AND p.num_evaluations = s.num_told
        WHERE s.num_told > 0 AND (s.hypervolume, s.front_size) IS DISTINCT FROM (p.hypervolume, p.front_size)""",
    "running_search_goes_on": f"""
        SELECT s.id, 'in phase ' || s.phase || ' with nothing to do since ' || seen.at FROM search s, LATERAL (
          SELECT greatest(s.started_at, (SELECT max(created_at) FROM event WHERE search_id = s.id),
            (SELECT max(j.finished_at) FROM job j
             WHERE j.search_id = s.id OR j.subject_id IN (s.supernet_id, s.estimator_id))) AS at) AS seen
        WHERE s.state IN ('running', 'pausing') AND seen.at < now() - :controller_grace * interval '1 second'
          AND NOT EXISTS (SELECT FROM job j WHERE j.state IN {_OPEN_JOB}
            AND (j.search_id = s.id OR j.subject_id IN (s.supernet_id, s.estimator_id)))""",
    "accepted_search_is_stored": """
        SELECT body->>'id', 'was accepted under Idempotency-Key ' || key || ', but there is no such search'
        FROM idempotency i WHERE status BETWEEN 200 AND 299 AND body->>'id' LIKE 'srch\\_%'
          AND NOT EXISTS (SELECT FROM search s WHERE s.id = i.body->>'id')""",
    "ready_things_have_their_content": """
        SELECT id, 'supernet without a checkpoint' FROM supernet WHERE state = 'ready' AND checkpoint IS NULL
        UNION ALL
        SELECT id, 'estimator without a document' FROM latency_estimator WHERE state = 'ready' AND document IS NULL
        UNION ALL
        SELECT id, 'export without files' FROM export WHERE state = 'ready' AND (path IS NULL OR files IS NULL)""",
    **EVENT_CHECKS,
}


# directory below the artifact directory -> query of those :names in it that a row refers to
REFERENCES = {
    "datasets": "SELECT fingerprint FROM dataset WHERE fingerprint = ANY(:names)",
    "tables": "SELECT id FROM lookup_table WHERE id = ANY(:names)",
    "supernets": "SELECT id FROM supernet WHERE id = ANY(:names)",
    "networks": "SELECT id FROM trial WHERE id = ANY(:names)",
    "exports": "SELECT id FROM export WHERE id = ANY(:names)",
}


def examine(engine: Engine, artifacts: Path | None = None, processes: Path | None = None) -> list[Finding]:
    """Every broken invariant of the database, with ``artifacts`` also of the files it names, with ``processes`` (where
    parts note what they start) also of this machine. Reads the files whole."""
    with unit_of_work(engine) as session:
        session.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY"))
        session.execute(text("SET LOCAL statement_timeout = '10min'"))
        findings = []
        grace = {"lease_grace": LEASE_GRACE_S, "controller_grace": CONTROLLER_GRACE_S}
        for check, query in CHECKS.items():
            used = {name: value for name, value in grace.items() if f":{name}" in query}
            findings += [Finding(check, *row) for row in session.execute(text(query), used)]
        findings += _wrong_fronts(session)
        wanted, unreferenced = None, []
        if artifacts is not None:
            wanted = named_files(session)
            unreferenced = [path for kind in REFERENCES for path in _unreferenced(session, artifacts, kind)]
    if artifacts is not None and wanted is not None:
        findings += [Finding(*broken) for broken in broken_files(artifacts, wanted)]
        findings += [Finding("no_unreferenced_artifacts", path, "no row refers to it") for path in unreferenced]
    for stray in strays(processes) if processes is not None else ():
        detail = f"{stray.process.name}, left running by a dead {stray.part}; the next start ends it"
        findings.append(Finding("no_stray_processes", str(stray.process.pid), detail))
    return findings


def _wrong_fronts(session: Session) -> Iterator[Finding]:
    """Searches whose stored front differs from the one recomputed from their told trials."""
    shown = (
        SearchRow.id,
        SearchRow.spec,
        SearchRow.num_told,
        SearchRow.reference_point,
        SearchRow.hypervolume,
        SearchRow.front_size,
    )
    told = select(*shown).where(SearchRow.num_told > 0, SearchRow.reference_point.is_not(None))
    for search in session.execute(told).all():
        axes = SearchSpec.from_json(search.spec).axes
        values = session.execute(
            select(*[columns.metric(axis.metric) for axis in axes]).where(
                TrialRow.search_id == search.id,
                TrialRow.stage == "search",
                TrialRow.state == "succeeded",
                TrialRow.fidelity == 1.0,
                TrialRow.number < search.num_told,
            )
        )
        scored = [row for row in values if all(value is not None and math.isfinite(value) for value in row)]
        volume, size = 0.0, 0
        if scored:
            F = np.array(scored, dtype=np.float64) * [axis.sign for axis in axes]
            volume, size = hypervolume(F, search.reference_point), int(non_dominated(F).sum())
        stored = search.hypervolume
        if stored is None or not math.isclose(stored, volume, rel_tol=1e-9) or search.front_size != size:
            detail = f"stored {stored} of {search.front_size} points, recomputed {volume} of {size}"
            yield Finding("front_equals_its_trials", search.id, detail)


def named_files(session: Session) -> dict[str, list[tuple]]:
    """What the rows say lies in the artifact directory, by kind."""
    queries = {
        "marker": "SELECT 'installation', artifact_marker FROM installation",
        "dataset": "SELECT id, fingerprint FROM dataset",
        "table": "SELECT id FROM lookup_table",
        "checkpoint": "SELECT id, checkpoint FROM supernet WHERE state = 'ready' AND checkpoint IS NOT NULL UNION ALL "
        "SELECT id, metrics->'checkpoint' FROM trial WHERE jsonb_typeof(metrics->'checkpoint') = 'object'",
        "export": "SELECT id, path, files FROM export WHERE state = 'ready' AND path IS NOT NULL AND files IS NOT NULL",
    }
    return {kind: [tuple(row) for row in session.execute(text(query))] for kind, query in queries.items()}


def _unreferenced(session: Session, artifacts: Path, kind: str) -> list[str]:
    """Old files or directories of a kind that no row names."""
    names = {entry.name.removesuffix(".npz"): entry.name for entry in old_entries(artifacts / kind)}
    if not names:
        return []
    known = set(session.scalars(text(REFERENCES[kind]), {"names": list(names)}))
    return [f"{kind}/{file}" for name, file in sorted(names.items()) if name not in known]
