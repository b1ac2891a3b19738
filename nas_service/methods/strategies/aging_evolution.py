"""Regularised (aging) evolution: tournaments in a queue from which the oldest leaves (Real et al. 2019)."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import numpy as np
from pydantic import Field, model_validator

from nas_service.domain.pareto import non_dominated
from nas_service.methods.strategies.base import Evaluation, Genes, Problem, Proposal, StrategyParams, generator
from nas_service.methods.strategies.starting import StartingStrategy


class AgingEvolutionParams(StrategyParams):
    """Parameters of ``aging_evolution``."""

    population: int = Field(30, ge=2, le=10_000, description="Length of the queue.")
    tournament: int = Field(10, ge=1, le=10_000, description="Members drawn for one tournament.")

    @model_validator(mode="after")
    def _tournament_fits(self) -> AgingEvolutionParams:
        if self.tournament > self.population:
            raise ValueError("tournament must not exceed population")
        return self


class AgingEvolution(StartingStrategy):
    """One mutation of a tournament winner; with several objectives a random member of the tournament's front wins."""

    name = "aging_evolution"
    help = "Regularised evolution: a parent is forgotten with age unless its children confirm it."
    Params = AgingEvolutionParams

    def __init__(self, problem: Problem, params: StrategyParams | None = None) -> None:
        super().__init__(problem, params)
        self.num_starts = self.params.population
        self._queue: deque[Evaluation] = deque(maxlen=self.params.population)

    @property
    def ready(self) -> bool:
        return len(self._queue) > 0

    def learn(self, evaluation: Evaluation) -> None:
        if evaluation.status == "succeeded":
            self._queue.append(evaluation)

    def propose(self, number: int, pending: Sequence[Genes]) -> Proposal | None:
        taken = self.candidates.taken(pending)
        child = self.candidates.child(generator(self.problem.seed, number), taken, self._breed)
        return None if child is None else Proposal(child, {"kind": "child"})

    def _breed(self, rng: np.random.Generator) -> Genes:
        size = min(self.params.tournament, len(self._queue))
        entrants = [self._queue[i] for i in rng.choice(len(self._queue), size=size, replace=False)]
        front = np.flatnonzero(non_dominated(np.array([e.objectives for e in entrants], dtype=np.float64)))
        winner = entrants[int(rng.choice(front))]
        return self.problem.space.mutate(winner.genes[None], rng, 1)
