"""The true front of a table, and how close a set of evaluations comes to it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nas_service.domain.pareto import hypervolume, hypervolume_sequence, non_dominated

Floats = NDArray[np.float64]
_MARGIN = 1.1


class TrueFront:
    """Scale and hypervolume of the front of all ``objectives`` (N, M), minimised.

    Objectives are scaled by the ideal and the nadir of the front, the reference is 1.1 in each. ``relevant`` (N,)
    marks the points that may set the nadir: a front often ends in cheap architectures that classify nothing, and
    they would set the scale of everything. With one objective, where the front is a point, the worst of all sets it.
    """

    def __init__(self, objectives: Floats, relevant: NDArray[np.bool_] | None = None) -> None:
        on_front = non_dominated(objectives)
        self.points = objectives[on_front]
        setting = self.points if relevant is None else objectives[on_front & relevant]
        if objectives.shape[1] == 1:
            setting = objectives
        self.ideal = self.points.min(axis=0)
        self.nadir = setting.max(axis=0)
        self.reference = np.full(objectives.shape[1], _MARGIN)
        self.hypervolume = hypervolume(self.scaled(self.points), self.reference)

    @staticmethod
    def size_of(objectives: Floats) -> int:
        """Number of points on the front of ``objectives`` (N, M)."""
        return int(non_dominated(objectives).sum())

    @property
    def raw_reference(self) -> Floats:
        """The reference (M,) in the units of the objectives."""
        span = self.nadir - self.ideal
        return self.ideal + _MARGIN * np.where(span > 0, span, 1.0)

    @property
    def raw_hypervolume(self) -> float:
        """Hypervolume of the front from ``raw_reference``, in the units of the objectives."""
        span = self.nadir - self.ideal
        return self.hypervolume * float(np.prod(np.where(span > 0, span, 1.0)))

    def scaled(self, objectives: Floats) -> Floats:
        """Objectives (n, M) with the ideal at 0 and the nadir at 1."""
        span = self.nadir - self.ideal
        return (objectives - self.ideal) / np.where(span > 0, span, 1.0)

    def share(self, objectives: Floats) -> Floats:
        """Normalised hypervolume (n,) after the first 1, 2, ..., n evaluations, at most 1."""
        return hypervolume_sequence(self.scaled(objectives), self.reference) / self.hypervolume

    def igd_plus(self, objectives: Floats) -> float:
        """Mean distance by which the true front, scaled, is missed (IGD+, Ishibuchi et al. 2015); 0 is perfect."""
        scaled = self.scaled(objectives)
        front = scaled[non_dominated(scaled)]
        target = self.scaled(self.points)
        target = target[(target <= self.reference).all(axis=1)]
        behind = np.maximum(front[None] - target[:, None], 0.0)
        return float(np.sqrt((behind**2).sum(axis=2)).min(axis=1).mean())
