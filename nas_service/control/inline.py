"""Searches over a table: one job after another takes them further by many trials, each recorded in one transaction.

Decision 0001 keeps strategies in the dispatcher because a step is cheap next to an evaluation. Here an evaluation costs
less than the step, so the whole cycle goes to a worker and the dispatcher only records.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from nas_service.control.earlier import earlier_results
from nas_service.control.ending import counted_states, fail_search
from nas_service.control.spaces import compiled_space
from nas_service.domain.records import FrontPoint, SearchRecord
from nas_service.domain.search import SearchSpec
from nas_service.domain.states import JOB_TERMINAL
from nas_service.storage import events, fronts, jobs, searches, trials, work
from nas_service.storage.session import Session
from nas_service.storage.trial_copy import FinishedTrial, copy_trials, history
from nas_service.tables.inline import decode_genes, encode_earlier, encode_genes

# Up to here the history is sent along; beyond, only to a worker that has said that it needs it.
_SHORT_HISTORY = 1_000


def inline_phase(session: Session, search: SearchRecord, spec: SearchSpec) -> bool:
    """Whether every trial has been told; until then sees to it that a job is at it."""
    remaining_s = None
    if spec.budget.wall_s is not None:
        remaining_s = spec.budget.wall_s - searches.searching_for_s(session, search)
    over = search.exhausted or search.num_asked >= spec.budget.trials or (remaining_s is not None and remaining_s <= 0)
    if over and search.num_told == search.num_asked and search.reference_point is not None:
        if not search.front_size:
            fail_search(session, search, *_why_empty(session, search))
            return False
        return True
    place = f"advance:{search.id}:{search.num_asked}:{search.num_told}"
    job = work.find(session, place)
    short = search.num_asked <= _SHORT_HISTORY
    if job is not None and job.state == "succeeded":  # the worker did not know the history
        place, short = f"{place}:history", True
        job = work.find(session, place)
    if job is None:
        _enqueue(session, search, spec, place, remaining_s, with_history=short)
    elif job.state in JOB_TERMINAL:
        fail_search(session, search, "advance_failed", "the strategy could not go on", job.error)
    return False


def record_chunk(session: Session, search_id: str, chunk: dict[str, Any]) -> None:
    """Trials, front, strategy state and events of one chunk, in the transaction of the caller."""
    search = searches.get(session, search_id)
    if search.num_asked != chunk["first"]:
        raise ValueError(f"a chunk from trial {chunk['first']} on, but {search.num_asked} are recorded")
    first, count = chunk["first"], len(chunk["states"])
    joined = set(chunk["joined_front"])
    num_genes = len(compiled_space(session, search.space_id).genes)
    genes = decode_genes(chunk["genes"], num_genes).tolist()
    copy_trials(
        session,
        search_id,
        (
            FinishedTrial(
                number=first + i,
                replicate=chunk["replicates"][i],
                fidelity=chunk["fidelities"][i],
                joined_front=first + i in joined,
                architecture_hash=chunk["architecture_hashes"][i],
                genes=genes[i],
                state=chunk["states"][i],
                evaluation_key=chunk["evaluation_keys"][i],
                token=chunk["tokens"][i],
                macs=chunk["costs"][i].get("macs"),
                params=chunk["costs"][i].get("params"),
                metrics=chunk["metrics"][i],
                error=chunk["errors"][i],
            )
            for i in range(count)
        ),
    )
    trials.mark_joined_front(session, search_id, [number for number in joined if number < first])
    fronts.add_points(session, search_id, [FrontPoint(*point) for point in chunk["curve"]])
    searches.save(
        session,
        search_id,
        strategy_state=chunk["strategy_state"],
        num_asked=chunk["num_asked"],
        num_told=chunk["num_told"],
        num_rejected=chunk["num_rejected"],
        exhausted=chunk["exhausted"] is not None,
        reference_point=chunk["reference_point"],
        true_hypervolume=chunk["true_hypervolume"],
        hypervolume=chunk["hypervolume"],
        front_size=chunk["front_size"],
    )
    if count:
        data = {"first": first, "count": count, "states": dict(Counter(chunk["states"]))}
        events.record(session, "trials.finished", data, search_id=search_id)
    if chunk["curve"]:
        data = {"num_evaluations": chunk["num_told"], "hypervolume": chunk["hypervolume"]}
        truth = chunk["true_hypervolume"]
        data |= {"normalised_hypervolume": data["hypervolume"] / truth if truth else None}
        data |= {"front_size": chunk["front_size"]}
        events.record(session, "front.advanced", data, search_id=search_id)
    if chunk["exhausted"] is not None and not search.exhausted:
        events.record(session, "search.exhausted", {"reason": chunk["exhausted"]}, search_id=search_id)


def _enqueue(
    session: Session,
    search: SearchRecord,
    spec: SearchSpec,
    place: str,
    remaining_s: float | None,
    *,
    with_history: bool,
) -> None:
    payload = {
        "search_id": search.id,
        "spec": spec.to_json(),
        "table_id": search.table_id,
        "num_asked": search.num_asked,
        "num_told": search.num_told,
        "strategy_state": search.strategy_state,
        "history": _history(session, search, spec) if with_history else None,
        "remaining_s": remaining_s,
    }
    jobs.enqueue(session, kind="advance", dedup_key=place, payload=payload, search_id=search.id)


def _history(session: Session, search: SearchRecord, spec: SearchSpec) -> dict[str, Any]:
    known = history(session, search.id)
    num_genes = len(compiled_space(session, search.space_id).genes)
    genes = np.array([row for row, _, _ in known], dtype=np.int16).reshape(-1, num_genes)
    return {
        "genes": encode_genes(genes),
        "fidelities": [fidelity for _, fidelity, _ in known],
        "tokens": [token for _, _, token in known],
        "earlier": encode_earlier(earlier_results(session, spec)),
    }


def _why_empty(session: Session, search: SearchRecord) -> tuple[str, str]:
    if search.num_asked == 0 and search.exhausted:
        return "infeasible", "no architecture of the space keeps the constraints"
    if search.num_asked == 0:
        return "no_result", "the time was over before the first trial"
    return "no_result", f"no full evaluation succeeded: {counted_states(session, search.id)}"
