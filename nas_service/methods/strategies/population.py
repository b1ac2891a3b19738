"""A bounded population ranked by dominance and crowding, for the evolutionary strategies (Deb et al. 2002)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nas_service.domain.pareto import crowding
from nas_service.methods.strategies.base import Genes


class Population:
    """Members with genes (n, G) and minimised objectives (n, M); the best ``size`` survive each ``add``."""

    def __init__(self) -> None:
        self.genes: Genes | None = None
        self.objectives: NDArray[np.float64] = np.empty((0, 0))
        self.ranks: NDArray[np.int64] = np.empty(0, dtype=np.int64)
        self.crowding: NDArray[np.float64] = np.empty(0)

    def __len__(self) -> int:
        return len(self.ranks)

    def add(self, genes: Genes, objectives: NDArray[np.float64], size: int) -> None:
        """Take in rows and keep the best ``size`` by rank, then by crowding inside the rank."""
        if self.genes is None:
            self.genes, self.objectives = genes.copy(), objectives.copy()
        else:
            self.genes = np.concatenate((self.genes, genes))
            self.objectives = np.concatenate((self.objectives, objectives))
        self.ranks = dominance_ranks(self.objectives)
        self.crowding = np.full(len(self.ranks), np.nan)
        self.truncate(size)

    def truncate(self, size: int) -> None:
        """Drop members down to ``size``: the last rank first, in it the most crowded."""
        while len(self) > size:
            # The ranks of the others do not depend on a member of the last rank, only the crowding in it does.
            last = int(self.ranks.max())
            rows = self._spread(last)
            self.keep(np.delete(np.arange(len(self)), rows[np.argmin(self.crowding[rows])]))
            self.crowding[self.ranks == last] = np.nan

    def tournament(self, rng: np.random.Generator) -> Genes:
        """The better (G,) of two random members by rank, then crowding, then chance."""
        assert self.genes is not None
        a, b = rng.integers(len(self), size=2)
        if self.ranks[a] == self.ranks[b]:
            self._spread(int(self.ranks[a]))
        better_b = (self.ranks[b], -self.crowding[b]) < (self.ranks[a], -self.crowding[a])
        return self.genes[b if better_b else a]

    def keep(self, rows: NDArray[np.int64]) -> None:
        """Only these members stay."""
        assert self.genes is not None
        self.genes, self.objectives = self.genes[rows], self.objectives[rows]
        self.ranks, self.crowding = self.ranks[rows], self.crowding[rows]

    def best_first(self) -> NDArray[np.int64]:
        """Indices of the members by rank, then by crowding."""
        for rank in np.unique(self.ranks):
            self._spread(int(rank))
        return np.lexsort((-self.crowding, self.ranks))

    def _spread(self, rank: int) -> NDArray[np.int64]:
        """The members of a rank, once their crowding is known; it is only worked out when it is asked for."""
        rows = np.flatnonzero(self.ranks == rank)
        if len(rows) and np.isnan(self.crowding[rows[0]]):
            self.crowding[rows] = crowding(self.objectives[rows])
        return rows


def dominance_ranks(objectives: NDArray[np.float64]) -> NDArray[np.int64]:
    """``front_ranks`` (n,) for small n, from the matrix of who dominates whom: half the time for a hundred."""
    no_worse = np.ones((len(objectives), len(objectives)), dtype=bool)
    for column in objectives.T:
        no_worse &= column[:, None] <= column[None]
    dominates = no_worse & ~no_worse.T
    above = dominates.sum(axis=0)
    ranks = np.full(len(objectives), -1, dtype=np.int64)
    rank = 0
    while True:
        front = np.flatnonzero((above == 0) & (ranks < 0))
        if not len(front):
            return ranks
        ranks[front] = rank
        above -= dominates[front].sum(axis=0)
        rank += 1
