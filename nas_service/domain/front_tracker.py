"""The front of a growing set of points: who joins it, its hypervolume and its size, one cheap step a point."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nas_service.domain.pareto import IncrementalHypervolume


class FrontTracker:
    """Points with M minimised objectives, in the order they are told; ``reference`` (M,) bounds the hypervolume.

    The members of the front after any number of points are among those that joined until then, since a point that is
    dominated when it comes stays dominated. Of equal points the first is kept.
    """

    def __init__(self, reference: Sequence[float]) -> None:
        self._volume = IncrementalHypervolume(reference)
        self._front = np.empty((0, len(reference)))

    @property
    def hypervolume(self) -> float:
        return self._volume.value

    @property
    def size(self) -> int:
        return len(self._front)

    def add(self, objectives: Sequence[float]) -> bool:
        """Take in one point; whether it joined the front."""
        point = np.asarray(objectives, dtype=np.float64)
        if (self._front <= point).all(axis=1).any():
            return False
        self._front = np.concatenate((self._front[~(self._front >= point).all(axis=1)], point[None]))
        self._volume.add(point)
        return True
