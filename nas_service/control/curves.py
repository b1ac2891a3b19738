"""Hypervolume over evaluations against any reference point, so that curves of several searches can share one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nas_service.control.fronts import joined_front
from nas_service.domain.pareto import hypervolume, non_dominated
from nas_service.domain.search import SearchSpec
from nas_service.errors import InvalidInput
from nas_service.storage import searches
from nas_service.storage.session import Session


@dataclass(frozen=True)
class Curve:
    """Hypervolumes after growing numbers of told trials; ``reference_point`` is of the minimised objectives."""

    axes: tuple[str, ...]
    reference_point: list[float]
    num_evaluations: list[int]
    hypervolume: list[float]


def hypervolume_curve(session: Session, search_id: str, reference: list[float] | None, num_points: int) -> Curve | None:
    """The curve at up to ``num_points`` evenly spaced numbers of trials; None before the search phase.

    Raises NotFound, and InvalidInput for a reference point with another number of axes.
    """
    search = searches.get(session, search_id)
    axes = SearchSpec.from_json(search.spec).axes
    chosen = reference or search.reference_point
    if chosen is None:
        return None
    if len(chosen) != len(axes):
        names = ", ".join(axis.metric for axis in axes)
        raise InvalidInput(f"reference_point: {len(chosen)} numbers, but the axes are {names}")
    # Every front of the search, at any time and seen from anywhere, is among the few trials that ever joined it.
    numbers, values = joined_front(session, search, search.num_told)
    counts = np.unique(np.linspace(0, search.num_told, num_points + 1).round().astype(int))
    front, volumes, told = np.empty((0, len(axes))), [], 0
    for count in counts:
        fresh = values[(numbers >= told) & (numbers < count)]
        told = int(count)
        if len(fresh):
            both = np.concatenate((front, fresh))
            front = both[non_dominated(both)]
        volumes.append(float(hypervolume(front, chosen)) if len(front) else 0.0)
    return Curve(tuple(axis.metric for axis in axes), list(chosen), counts.tolist(), volumes)
