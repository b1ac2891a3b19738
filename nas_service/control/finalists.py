"""The finalists phase: the best of the search front are scored again on data the search has not seen, and measured.

A finalist goes through steps: scores on the split ``select`` (with the supernet's weights, or trained by itself),
measured latency, the hard constraints on what was measured, and at the end scores on ``test``, which decide nothing.
Who breaks a constraint or fails is marked, and the next candidate takes the place.
"""

from __future__ import annotations

import numpy as np

from nas_service.control import payloads
from nas_service.control.advance import evaluation_key, known_values, new_trial
from nas_service.control.batches import settle, submit
from nas_service.control.ending import fail_search
from nas_service.control.fronts import candidates, front_members
from nas_service.control.payloads import Surroundings
from nas_service.domain.metrics import METRICS
from nas_service.domain.records import TrialRecord
from nas_service.domain.states import TRIAL_TERMINAL
from nas_service.ids import content_key
from nas_service.storage import events, trials
from nas_service.storage.session import Session


def finalists_phase(session: Session, around: Surroundings) -> bool:
    """Whether enough finalists have everything; until then submits what is missing."""
    search_id, count = around.search.id, around.spec.finalists.count
    final = trials.of_search(session, search_id, "final")
    if settle(session, search_id, [trial for trial in final if _unfinished(trial)]):
        final = trials.of_search(session, search_id, "final")
    if _decide(session, around, final):
        final = trials.of_search(session, search_id, "final")
    alive = [trial for trial in final if trial.state in ("pending", "running", "succeeded")]
    if len(alive) < count and _add_candidates(session, around, final, count - len(alive)):
        final = trials.of_search(session, search_id, "final")
    if any(trial.state not in TRIAL_TERMINAL for trial in final):
        _submit_scores(session, around, [trial for trial in final if trial.state == "pending" and not trial.job_id])
        _submit_measurements(session, around, final)
        return False
    succeeded = [trial for trial in final if trial.state == "succeeded"]
    if not succeeded:
        reasons = sorted({trial.state for trial in final})
        fail_search(session, around.search, "no_finalist", f"no finalist succeeded: {', '.join(reasons) or 'none'}")
        return False
    untested = [trial for trial in succeeded if "test" not in trial.metrics]
    waiting = [trial for trial in untested if trial.job_id is None]
    if waiting:
        submit(session, search_id, "evaluate", "test", waiting, payloads.evaluate(around, "test", waiting))
    return not untested


def _unfinished(trial: TrialRecord) -> bool:
    return trial.state not in TRIAL_TERMINAL or (trial.state == "succeeded" and trial.job_id is not None)


def _add_candidates(session: Session, around: Surroundings, final: list[TrialRecord], wanted: int) -> bool:
    """Insert the next best members of the search front as finalists; whether there were any left."""
    found = front_members(session, around.search, around.search.num_told)
    order = candidates(around.search, found, around.spec.finalists.count)
    best: dict[str, TrialRecord] = {}
    for trial in order:  # an architecture may be on the front more than once
        best.setdefault(trial.architecture_hash, trial)
    taken = {trial.architecture_hash for trial in final}
    rows = []
    for i, origin in enumerate([trial for name, trial in best.items() if name not in taken][:wanted]):
        number = len(final) + i
        row = new_trial(around, "final", number, origin.architecture_hash, origin.genes, 0)
        costs = around.space.costs(np.array([origin.genes], dtype=np.int16))
        row |= known_values({name: values[0] for name, values in costs.items()})
        row["token"] = {"from_trial": origin.id, "search_accuracy_top1": origin.accuracy_top1}
        key = evaluation_key(around, origin.architecture_hash, f"final:{around.spec.finalists.mode}", 1.0, 0)
        if around.spec.finalists.mode != "inherit":
            key = content_key(key, around.search.spec["finalists"], around.spec.seed)
        row["evaluation_key"] = key
        rows.append(row)
    trials.insert_many(session, rows)
    for row in rows:
        data = {"trial_id": row["id"], "number": row["number"]}
        events.record(session, "finalist.created", data, search_id=around.search.id)
    return bool(rows)


def _submit_scores(session: Session, around: Surroundings, waiting: list[TrialRecord]) -> None:
    unscored = [trial for trial in waiting if trial.accuracy_top1 is None]
    if not unscored:
        return
    if around.spec.finalists.mode == "inherit":
        payload = payloads.evaluate(around, "select", unscored)
        submit(session, around.search.id, "evaluate", "select", unscored, payload)
        return
    for trial in unscored:
        payload = payloads.train_network(around, trial)
        submit(session, around.search.id, "train_network", around.spec.finalists.mode, [trial], payload)


def _submit_measurements(session: Session, around: Surroundings, final: list[TrialRecord]) -> None:
    """Measure all at once, when no finalist waits for a score any more: interleaved, so that they compare."""
    if around.device is None:
        return
    unfinished = [trial for trial in final if trial.state not in TRIAL_TERMINAL]
    if any(trial.accuracy_top1 is None for trial in unfinished):
        return
    waiting = [trial for trial in unfinished if trial.latency_ms is None and trial.job_id is None]
    if waiting:
        payload = payloads.measure(around, waiting)
        submit(session, around.search.id, "measure", "device", waiting, payload, exclusive=True)


def _decide(session: Session, around: Surroundings, final: list[TrialRecord]) -> bool:
    """Give a final state to the finalists that have all their values; whether there were any."""
    decided = False
    for trial in final:
        missing = trial.accuracy_top1 is None or (around.device is not None and trial.latency_ms is None)
        if trial.state in TRIAL_TERMINAL or missing or trial.job_id is not None:
            continue
        broken = around.spec.violations({metric: trial.value(metric) for metric in METRICS})
        state = "infeasible" if broken else "succeeded"
        error = {"reason": "constraint", "violations": broken} if broken else None
        trials.write(session, trial.id, state=state, error=error)
        data = {"trial_id": trial.id, "state": state, "stage": "final"}
        events.record(session, "trial.finished", data, search_id=around.search.id)
        decided = True
    return decided
