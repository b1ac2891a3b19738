"""A search space seen by a strategy that owns some of its choices: what is drawn has the others as they are held."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas_service.methods.strategies.base import Genes, key_of
from search_spaces.space import SearchSpace

_TRIES = 8
_FEW = 4_096


class HeldSpace:
    """Draws, changes and neighbours keep the choices that are not ``owned`` as in ``held`` (G,); None holds nothing.

    Everything else is that of the whole space, so an architecture is the same in both.
    """

    def __init__(self, space: SearchSpace, owned: NDArray[np.bool_]) -> None:
        self._space, self._owned = space, owned
        self.held: Genes | None = None
        self._members: tuple[bytes, Genes | None] = (b"", None)

    def members(self) -> Genes | None:
        """All architectures (n, G) with the held choices, None where there are too many to list or nothing is held."""
        if self.held is None:
            return None
        key = key_of(self.held)
        if key != self._members[0]:
            sizes = [len(gene.options) for gene, own in zip(self._space.genes, self._owned, strict=True) if own]
            found = None
            if math.prod(sizes) <= _FEW:
                rows = np.tile(self.held, (math.prod(sizes), 1))
                rows[:, self._owned] = np.indices(sizes, dtype=np.int16).reshape(len(sizes), -1).T
                found = np.unique(self.project(rows), axis=0)
            self._members = (key, found)
        return self._members[1]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._space, name)

    def project(self, genes: Genes) -> Genes:
        """The rows (n, G) with the held choices put in; the held architecture where that gives no member."""
        if self.held is None:
            return genes
        rows = np.atleast_2d(genes).astype(np.int16).copy()
        put = ~self._owned & (self.held >= 0)
        rows[:, put] = self.held[put]
        rows = self._space.canonical(rows)
        rows[~self._space.valid(rows)] = self.held
        return rows.reshape(np.shape(genes))

    def sample(self, n: int, rng: np.random.Generator) -> Genes:
        return self.project(self._space.sample(n, rng))

    def sample_feasible(self, n: int, rng: np.random.Generator, bounds: Any) -> Genes:
        return self.project(self._space.sample_feasible(n, rng, bounds))

    def mutate(self, genes: Genes, rng: np.random.Generator, num_mutations: int = 1) -> Genes:
        before = self.project(np.atleast_2d(genes))
        rows = before.copy()
        same = np.arange(len(rows))
        for _ in range(_TRIES):  # a change of a choice that is held changes nothing
            if not len(same):
                break
            rows[same] = self.project(self._space.mutate(before[same], rng, num_mutations))
            same = same[(rows[same] == before[same]).all(axis=1)]
        return rows.reshape(np.shape(genes))

    def crossover(self, a: Genes, b: Genes, rng: np.random.Generator) -> Genes:
        return self.project(self._space.crossover(self.project(a), self.project(b), rng))

    def neighbours(self, genes: Genes) -> Genes:
        centre = self.project(genes)
        rows = np.unique(self.project(self._space.neighbours(centre)), axis=0)
        return rows[(rows != centre).any(axis=1)]


def owned_choices(space: SearchSpace, patterns: Sequence[str]) -> NDArray[np.bool_]:
    """Which choices (G,) match one of the patterns. Raises ValueError for a pattern that matches none."""
    names = [gene.name for gene in space.genes]
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in names):
            raise ValueError(f"no choice matches {pattern!r}; choices: {', '.join(names[:50])}")
    return np.array([any(fnmatchcase(name, pattern) for pattern in patterns) for name in names])
