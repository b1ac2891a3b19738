"""Candidates that are new and feasible: de-duplication, rejection before evaluation, the end of a space.

Where only some members of a space can be evaluated (a table of few of its architectures), the nearest member takes the
place of what a strategy made, and the neighbours of an architecture are the members nearest to it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cached_property

import numpy as np

from nas_service.methods.strategies.base import Exhausted, Genes, Problem, Wait, key_of

ENUMERATION_LIMIT = 50_000
_ROUNDS = 20
_FEASIBLE_ROUNDS = 3
_CHILD_TRIES = 30


class Candidates:
    """Draws for one search. ``rejected`` counts draws that broke a constraint and never cost an evaluation."""

    def __init__(self, problem: Problem, seen: set[bytes]) -> None:
        self.problem = problem
        self.seen = seen
        self.rejected = 0
        self._pool: Genes | None = None

    @cached_property
    def _pool_keys(self) -> list[bytes]:
        pool = self.pool()
        return [] if pool is None else [key_of(row) for row in pool]

    @cached_property
    def _member_keys(self) -> frozenset[bytes]:
        return frozenset(self._pool_keys)

    def pool(self) -> Genes | None:
        """All feasible architectures (N, G) in the order of enumeration, or None where the space is too large."""
        everything = self.problem.members
        if self._pool is None:
            if everything is None and self.problem.space.cardinality <= ENUMERATION_LIMIT:
                everything = self.problem.space.enumerate(limit=ENUMERATION_LIMIT)
            if everything is not None:
                self._pool = everything[np.asarray(self.problem.feasible(everything), dtype=bool)]
        return self._pool

    def taken(self, pending: Iterable[Genes]) -> set[bytes]:
        """Keys of the pending architectures; what has been told is in ``seen``."""
        return {key_of(genes) for genes in pending}

    def fresh(self, genes: Genes, taken: set[bytes]) -> Genes:
        """The rows of ``genes`` (n, G) that are new, feasible and not repeated, in order."""
        keys: set[bytes] = set()
        rows = []
        members = None if self.problem.members is None else self._member_keys
        for i, row in enumerate(genes):
            key = key_of(row)
            if members is not None and key not in members:
                continue
            if key not in self.seen and key not in taken and key not in keys:
                keys.add(key)
                rows.append(i)
        new = genes[rows]
        if len(new) == 0:
            return new
        ok = np.asarray(self.problem.feasible(new), dtype=bool)
        self.rejected += int(len(ok) - ok.sum())
        return new[ok]

    def random(self, rng: np.random.Generator, taken: set[bytes]) -> Genes | None:
        """One new feasible architecture (G,), uniform as far as the space can tell; None if none was found."""
        space, pool = self.problem.space, self.pool() if self.problem.members is not None else None
        size = 1
        for _ in range(_ROUNDS):
            if pool is None:
                drawn = space.sample(size, rng)
            else:
                drawn = pool[rng.integers(len(pool), size=size)] if len(pool) else pool
            new = self.fresh(drawn, taken)
            if len(new):
                return new[0]
            size = min(2 * size, 64)
        for _ in range(_FEASIBLE_ROUNDS if pool is None else 0):
            new = self.fresh(space.sample_feasible(16, rng, self.problem.bounds), taken)
            if len(new):
                return new[0]
        pool = self.pool()
        if pool is None:
            return None
        left = self.unused(taken)
        return pool[left[rng.integers(len(left))]] if len(left) else None

    def unused(self, taken: set[bytes]) -> np.ndarray:
        """Indices into ``pool()`` that are neither told nor pending."""
        self.pool()
        return np.array(
            [i for i, key in enumerate(self._pool_keys) if key not in self.seen and key not in taken], dtype=np.int64
        )

    def neighbours(self, genes: Genes) -> Genes:
        """Architectures (m, G) one change away from genes (G,), whether told, feasible or not.

        Where only members can be evaluated: the nearest of them, two for each gene.
        """
        if self.problem.members is None:
            return self.problem.space.neighbours(genes)
        pool = self.pool()
        assert pool is not None
        distance = (pool != genes).sum(axis=1)
        nearest = np.argsort(distance, kind="stable")
        return pool[nearest[distance[nearest] > 0][: 2 * len(genes)]]

    def _nearest_member(self, genes: Genes, rng: np.random.Generator, taken: set[bytes]) -> Genes | None:
        """The new member (G,) nearest to genes (G,); ties are drawn."""
        pool = self.pool()
        assert pool is not None
        for i in np.lexsort((rng.random(len(pool)), (pool != genes).sum(axis=1))):
            if self._pool_keys[i] not in self.seen and self._pool_keys[i] not in taken:
                return pool[i]
        return None

    def child(
        self, rng: np.random.Generator, taken: set[bytes], make: Callable[[np.random.Generator], Genes]
    ) -> Genes | None:
        """The first new feasible result (G,) of ``make`` within a bounded number of tries, or the nearest member."""
        if self.problem.members is not None:
            return self._nearest_member(np.atleast_2d(make(rng))[0], rng, taken)
        for _ in range(_CHILD_TRIES):
            new = self.fresh(np.atleast_2d(make(rng)), taken)
            if len(new):
                return new[0]
        return None

    def nothing_left(self, pending: Sequence[Genes]) -> Wait | Exhausted:
        """What to answer when ``random`` found nothing."""
        pool = self.pool()
        if pool is not None and len(pool) == 0:
            return Exhausted("no architecture satisfies the constraints")
        if pool is not None:
            return Exhausted(f"all {len(pool)} feasible architectures of the space have been proposed")
        if pending:
            return Wait("no new feasible architecture was found while trials are pending")
        return Exhausted("no new feasible architecture was found; the constraints may be too tight")
