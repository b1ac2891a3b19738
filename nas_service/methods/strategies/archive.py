"""What was told so far, kept ready for strategies: successes, their front, and how good a result is among them."""

from __future__ import annotations

from bisect import bisect_left, bisect_right

import numpy as np
from numpy.typing import NDArray

from nas_service.domain.pareto import non_dominated
from nas_service.methods.strategies.base import Evaluation, Genes

Floats = NDArray[np.float64]
_COMPARED = 10_000  # so that a tell stays as cheap in a search of a million trials
_GROWTH = 7 / 6  # of the number of results from one fit of a model to the next


class Archive:
    """The succeeded evaluations in the order told. A prefix of it never changes, so fits on prefixes are repeatable."""

    def __init__(self, num_objectives: int) -> None:
        self.good: list[Evaluation] = []
        self.front: list[int] = []  # indices into good
        self._objectives = np.empty((256, num_objectives))
        self._dominated_by: list[float] = []  # ascending

    def __len__(self) -> int:
        return len(self.good)

    def add(self, evaluation: Evaluation) -> None:
        """Take in one succeeded evaluation."""
        if len(self.good) == len(self._objectives):
            self._objectives = np.concatenate((self._objectives, np.empty_like(self._objectives)))
        new = np.asarray(evaluation.objectives, dtype=np.float64)
        self._objectives[len(self.good)] = new
        front = self._objectives[self.front]
        if not (new >= front).all(axis=1).any():
            kept = np.flatnonzero(~(new <= front).all(axis=1))
            self.front = [*(self.front[i] for i in kept), len(self.good)]
        self.good.append(evaluation)

    @property
    def objectives(self) -> Floats:
        """Minimised objectives (n, M) of all successes."""
        return self._objectives[: len(self.good)]

    def genes(self, indices: NDArray[np.int64]) -> Genes:
        """Genes (k, G) of successes by index."""
        return np.stack([self.good[i].genes for i in indices])

    def window(self, count: int, limit: int) -> NDArray[np.int64]:
        """Up to ``limit`` ascending indices among the first ``count``: the front up to a half, then the latest."""
        if count <= limit:
            return np.arange(count)
        front = np.flatnonzero(non_dominated(self._objectives[:count]))
        front = front[max(0, len(front) - limit // 2) :]
        latest = np.setdiff1d(np.arange(count), front)
        return np.sort(np.concatenate((front, latest[max(0, len(latest) - limit + len(front)) :])))

    def rank_reward(self, objectives: tuple[float, ...]) -> float:
        """In [0, 1], to be asked for once before each ``add``: the share of earlier results that did worse.

        A result does worse than another the larger the share of the latest 10,000 that dominated it when it came.
        With several objectives few results dominate any one, so those shares themselves would hardly differ.
        """
        F, new = self.objectives[-_COMPARED:], np.asarray(objectives)
        dominated_by = float(((new >= F).all(axis=1) & (new > F).any(axis=1)).mean()) if len(F) else 0.0
        below, upto = bisect_left(self._dominated_by, dominated_by), bisect_right(self._dominated_by, dominated_by)
        count = len(self._dominated_by)
        self._dominated_by.insert(upto, dominated_by)
        return 1.0 - (below + upto) / (2 * count) if count else 1.0


def milestone(count: int, first: int) -> int:
    """The largest refit size up to ``count``: from ``first`` on in steps of at least 4 that grow; 0 below ``first``."""
    at, following = 0, first
    while following <= count:
        at, following = following, max(following + 4, int(following * _GROWTH))
    return at


def unit_scaled(objectives: Floats) -> Floats:
    """Each objective (n, M) from its best (0) to its 90th percentile (1) and beyond; 0 where it is constant."""
    low = objectives.min(axis=0)
    span = np.quantile(objectives, 0.9, axis=0) - low
    full = objectives.max(axis=0) - low
    span = np.where(span > 0, span, full)
    return (objectives - low) / np.where(span > 0, span, 1.0)
