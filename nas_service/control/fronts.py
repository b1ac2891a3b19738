"""Fronts of a search: of the search stage (scores on the search split, predicted latency) and of its finalists."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nas_service.control.objectives import objectives_of
from nas_service.domain.pareto import hypervolume, hypervolume_contributions, non_dominated, select_best_k
from nas_service.domain.records import SearchRecord, TrialRecord
from nas_service.domain.search import SearchSpec
from nas_service.storage import searches, trials
from nas_service.storage.session import Session


@dataclass(frozen=True)
class Front:
    """Non-dominated trials, ordered by the first axis, best first; ``contributions`` is the volume only each adds.

    ``dominated`` are succeeded finalists that the others dominate, so that nothing that was measured is hidden.
    ``hypervolume`` is None before the search phase, which fixes the reference point.
    """

    search_id: str
    stage: str
    axes: tuple[str, ...]
    num_evaluations: int
    reference_point: list[float] | None
    hypervolume: float | None
    points: list[TrialRecord]
    contributions: list[float]
    dominated: list[TrialRecord]


def read_front(session: Session, search_id: str, stage: str = "search", at_evaluation: int | None = None) -> Front:
    """The front now or, for stage ``search``, after the first ``at_evaluation`` trials. Raises NotFound."""
    search = searches.get(session, search_id)
    if stage == "search":
        # Told trials only, so that the front agrees with the stored hypervolume.
        limit = search.num_told if at_evaluation is None else min(at_evaluation, search.num_told)
        return front_of(search, stage, front_members(session, search, limit), limit)
    found = trials.of_search(session, search_id, stage, states=("succeeded",))
    return front_of(search, stage, found, len(found))


def front_members(session: Session, search: SearchRecord, before: int) -> list[TrialRecord]:
    """The search-stage front after ``before`` told trials: found by the values of those that ever joined, then read."""
    numbers, F = joined_front(session, search, before)
    return trials.numbered(session, search.id, numbers[non_dominated(F)].tolist())


def joined_front(session: Session, search: SearchRecord, before: int) -> tuple[np.ndarray, np.ndarray]:
    """Of the first ``before`` told trials those that nothing told before them dominated: numbers (n,) in order, and
    minimised objectives (n, axes)."""
    axes = SearchSpec.from_json(search.spec).axes
    joined = trials.that_joined_front(session, search.id, [axis.metric for axis in axes], before)
    F = np.array([values for _, *values in joined], dtype=np.float64).reshape(-1, len(axes))
    F, numbers = F * [axis.sign for axis in axes], np.array([number for number, *_ in joined], dtype=np.int64)
    finite = np.isfinite(F).all(axis=1)
    return numbers[finite], F[finite]


def front_of(search: SearchRecord, stage: str, found: list[TrialRecord], num_evaluations: int) -> Front:
    """The front of succeeded trials."""
    spec = SearchSpec.from_json(search.spec)
    scored = [(trial, objectives) for trial in found if (objectives := objectives_of(spec, trial)) is not None]
    axes, reference = tuple(axis.metric for axis in spec.axes), search.reference_point
    if not scored:
        volume = 0.0 if reference is not None else None
        return Front(search.id, stage, axes, num_evaluations, reference, volume, [], [], [])
    F = np.array([objectives for _, objectives in scored])
    mask = non_dominated(F)
    order = [i for i in np.lexsort(F.T[::-1]) if mask[i]]
    gains = [0.0] * len(order) if reference is None else hypervolume_contributions(F[order], reference).tolist()
    return Front(
        search_id=search.id,
        stage=stage,
        axes=axes,
        num_evaluations=num_evaluations,
        reference_point=reference,
        hypervolume=None if reference is None else hypervolume(F, reference),
        points=[scored[i][0] for i in order],
        contributions=gains,
        dominated=[trial for (trial, _), keep in zip(scored, mask, strict=True) if not keep]
        if stage == "final"
        else [],
    )


def candidates(search: SearchRecord, found: list[TrialRecord], count: int) -> list[TrialRecord]:
    """The whole search front in the order in which its members should become finalists: by greedy hypervolume gain.

    The gain is measured from just outside the front itself, its worst values and a margin of 1 / (count - 1) of its
    range (Ishibuchi et al., "How to specify a reference point in hypervolume calculation", 2018): measured from the
    reference of the search, the ends of the front, the most accurate network among them, would add next to nothing.
    """
    spec = SearchSpec.from_json(search.spec)
    scored = [(trial, objectives) for trial in found if (objectives := objectives_of(spec, trial)) is not None]
    if not scored:
        return []
    F = np.array([objectives for _, objectives in scored])
    front = F[non_dominated(F)]
    span = np.ptp(front, axis=0)
    reference = front.max(axis=0) + np.where(span > 0, span, 1.0) / max(1, count - 1)
    return [scored[i][0] for i in select_best_k(F, reference, len(scored))]
