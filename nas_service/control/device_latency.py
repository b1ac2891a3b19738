"""The front of a search with latencies of another device than its own: measured by other searches, or estimated."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from nas_service.control.fronts import Front, front_of
from nas_service.control.spaces import compiled_space
from nas_service.domain.latency_estimator import predict_latency_ms
from nas_service.domain.records import SearchRecord, TrialRecord
from nas_service.domain.search import LatencyTarget, SearchSpec
from nas_service.errors import InvalidInput
from nas_service.storage import latencies, searches, trials
from nas_service.storage.session import Session


def front_on_device(
    session: Session, search_id: str, stage: str, device: str, at_evaluation: int | None = None
) -> Front:
    """As ``fronts.read_front``, with the latencies of ``device`` under the runtime, batch and threads of the search.

    Stage ``final``: the newest measurement of the same architecture there. Stage ``search``: predictions of an
    estimator fitted to the space there. A trial without a value has no latency, so it is left out where latency is an
    axis; hypervolumes are then None, since the reference point belongs to the other device. Raises NotFound, and
    InvalidInput that lists the devices with a value when this one has none.
    """
    search = searches.get(session, search_id)
    spec = SearchSpec.from_json(search.spec)
    found = trials.of_search(session, search_id, stage, states=("succeeded",))
    num_evaluations = len(found)
    if stage == "search":
        num_evaluations = search.num_told if at_evaluation is None else min(at_evaluation, search.num_told)
        found = [trial for trial in found if trial.number < num_evaluations]
    target = replace(spec.latency_target or LatencyTarget(device), device=device)
    placed = (_predicted if stage == "search" else _measured)(session, search, target, found)
    if any(axis.metric == "latency_ms" for axis in spec.axes):
        search = replace(search, reference_point=None)
    return front_of(search, stage, placed, num_evaluations)


def _predicted(
    session: Session, search: SearchRecord, target: LatencyTarget, found: list[TrialRecord]
) -> list[TrialRecord]:
    known = latencies.estimators(session, search.space_id, target)
    if target.device not in known:
        raise _nothing_there(target, known, "an estimator")
    if not found:
        return []
    genes = np.array([trial.genes for trial in found], dtype=np.int16)
    values = predict_latency_ms(known[target.device], compiled_space(session, search.space_id), genes)
    return [_with(trial, (float(value), None, None)) for trial, value in zip(found, values, strict=True)]


def _measured(
    session: Session, search: SearchRecord, target: LatencyTarget, found: list[TrialRecord]
) -> list[TrialRecord]:
    known = latencies.measured(session, [trial.architecture_hash for trial in found], target)
    if target.device not in known:
        raise _nothing_there(target, known, "measurements")
    there = known[target.device]
    return [_with(trial, there.get(trial.architecture_hash, (None, None, None))) for trial in found]


def _with(trial: TrialRecord, values: tuple[float | None, float | None, float | None]) -> TrialRecord:
    return replace(trial, latency_ms=values[0], latency_p10_ms=values[1], latency_p90_ms=values[2])


def _nothing_there(target: LatencyTarget, known: Iterable[str], what: str) -> InvalidInput:
    way = f"{target.runtime}, batch {target.batch_size}, {target.threads} threads"
    names = ", ".join(sorted(known)) or "none"
    message = f"nothing is known of '{target.device}' ({way}) for this search; devices with {what}: {names}"
    return InvalidInput(f"device: {message}")
