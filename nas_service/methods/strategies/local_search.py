"""Local search in the single-gene neighbourhood: hill climbing with restarts, or Pareto local search.

One objective: White, Nolen, Savani 2021 (move at the first improvement). Several: every point of the front is a place
to search around until its neighbourhood is used up (Paquete, Chiarandini, Stützle 2004).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from pydantic import Field

from nas_service.methods.strategies.base import (
    Evaluation,
    Exhausted,
    Genes,
    Problem,
    Proposal,
    StrategyParams,
    Wait,
    generator,
    key_of,
)
from nas_service.methods.strategies.proposing import ProposingStrategy


class LocalSearchParams(StrategyParams):
    """Parameters of ``local_search``."""

    starts: int = Field(10, ge=1, le=10_000, description="Random architectures before the first climb.")
    restarts: int = Field(1, ge=1, le=10_000, description="Random architectures before each later climb.")


class LocalSearch(ProposingStrategy):
    """Neighbours of the best until none is better, then somewhere new."""

    name = "local_search"
    help = "Neighbours of the best architectures, one changed choice at a time. Strong on small, smooth spaces."
    Params = LocalSearchParams

    def __init__(self, problem: Problem, params: StrategyParams | None = None) -> None:
        super().__init__(problem, params)
        self._front: list[Evaluation] = []  # the incumbent, or the mutually non-dominated trials around which to look
        self._around: dict[bytes, Genes] = {}
        self._basin: list[Evaluation] = []  # starts told since the last climb ended
        self._climbs = 0

    def _neighbours(self, evaluation: Evaluation) -> Genes:
        """Feasible neighbours (m, G) not told yet; the list is computed once and then only shrinks."""
        key = key_of(evaluation.genes)
        if key not in self._around:
            rows = self.candidates.neighbours(evaluation.genes)
            ok = np.asarray(self.problem.feasible(rows), dtype=bool) if len(rows) else np.zeros(0, dtype=bool)
            self._around[key] = rows[ok]
        rows = self._around[key]
        open_rows = [i for i, row in enumerate(rows) if key_of(row) not in self.seen]
        if len(open_rows) < len(rows):
            self._around[key] = rows[open_rows]
        return self._around[key]

    def learn(self, evaluation: Evaluation) -> None:
        if self.problem.num_objectives > 1:
            if evaluation.status == "succeeded":
                self._insert(evaluation)
            return
        if evaluation.status == "succeeded":
            if not self._front:
                self._basin.append(evaluation)
            elif evaluation.objectives < self._front[0].objectives:  # type: ignore[operator]
                self._front = [evaluation]
        needed = self.params.restarts if self._climbs else self.params.starts
        if not self._front and len(self._basin) >= needed:
            self._front = [min(self._basin, key=lambda e: e.objectives or ())]
            self._basin = []
            self._climbs += 1
        # A climb ends only when every neighbour is told: with several workers some are still on their way.
        if self._front and len(self._neighbours(self._front[0])) == 0:
            self._front = []

    def _insert(self, evaluation: Evaluation) -> None:
        new = np.array(evaluation.objectives)
        if self._front:
            F = np.array([e.objectives for e in self._front])
            if (new >= F).all(axis=1).any():
                return
            kept = np.flatnonzero(~(new <= F).all(axis=1))
            self._front = [self._front[i] for i in kept]
        self._front.append(evaluation)

    def ask(self, number: int, pending: Sequence[Genes]) -> Proposal | Wait | Exhausted:
        if not self._front or (self.problem.num_objectives > 1 and number < self.params.starts):
            return self.propose_random(number, pending, {"kind": "start"})
        rng = generator(self.problem.seed, number)
        taken = self.candidates.taken(pending)
        for i in rng.permutation(len(self._front)):
            centre = self._front[i]
            rows = [row for row in self._neighbours(centre) if key_of(row) not in taken]
            if rows:
                return Proposal(rows[rng.integers(len(rows))], {"kind": "neighbour", "of": centre.number})
        return self.propose_random(number, pending, {"kind": "start"})
