"""NSGA-II over genes: steady state (one child per ask) or by generations, without repeats (Deb et al. 2002)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

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
)
from nas_service.methods.strategies.population import Population
from nas_service.methods.strategies.proposing import ProposingStrategy

_SMALLEST_POPULATION, _USUAL_POPULATION, _LARGEST_POPULATION = 8, 20, 100


class Nsga2Params(StrategyParams):
    """Parameters of ``nsga2``."""

    population: int | None = Field(
        None, ge=4, le=1_000, description="Members that breed; empty: 20, less for small budgets, growing to 100."
    )
    mode: Literal["steady_state", "generational"] = Field(
        "steady_state", description="Steady state breeds from every result at once; generational waits for a full one."
    )
    crossover_probability: float = Field(0.9, ge=0, le=1, description="Chance that a child has two parents.")
    mutation_rate: float | None = Field(
        None, gt=0, le=1, description="Chance of each gene to change; empty: one over the number of genes."
    )


class Nsga2(ProposingStrategy):
    """Binary tournaments on rank and crowding, uniform crossover, mutation; constraints reject before evaluation."""

    name = "nsga2"
    help = "Multi-objective evolution; robust, asynchronous, and cheap at any number of trials."
    Params = Nsga2Params

    def __init__(self, problem: Problem, params: StrategyParams | None = None) -> None:
        super().__init__(problem, params)
        self.population = Population()
        self._generation: list[Evaluation] = []
        usual = _USUAL_POPULATION
        if problem.budget is not None:
            usual = int(np.clip(problem.budget // 5, _SMALLEST_POPULATION, _USUAL_POPULATION))
        self._initial = self.params.population or usual

    def _size(self) -> int:
        if self.params.population is not None or self.params.mode == "generational":
            return self._initial
        return int(np.clip(len(self.history) // 20, self._initial, _LARGEST_POPULATION))

    def learn(self, evaluation: Evaluation) -> None:
        self._generation.append(evaluation)
        if self.params.mode == "generational" and len(self._generation) < self._initial:
            return
        good = [e for e in self._generation if e.status == "succeeded"]
        self._generation = []
        if good:
            genes = np.stack([e.genes for e in good])
            self.population.add(genes, np.array([e.objectives for e in good], dtype=np.float64), self._size())

    def ask(self, number: int, pending: Sequence[Genes]) -> Proposal | Wait | Exhausted:
        if self.params.mode == "generational":
            needed = number // self._initial * self._initial
            if len(self.history) < needed and pending:
                return Wait("the generation before is not complete")
        if number < self._initial or len(self.population) == 0:
            return self._first(number, pending)
        taken = self.candidates.taken(pending)
        child = self.candidates.child(generator(self.problem.seed, number), taken, self._breed)
        if child is None:
            return self.propose_random(number, pending, {"kind": "random"})
        return Proposal(child, {"kind": "child"})

    def _first(self, number: int, pending: Sequence[Genes]) -> Proposal | Wait | Exhausted:
        """The ends of the space first, since they anchor the front, then random architectures."""
        space = self.problem.space
        ends = [space.smallest, space.largest]
        if number < len(ends) and any(gene.ordered for gene in space.genes):
            fresh = self.candidates.fresh(np.atleast_2d(ends[number]()), self.candidates.taken(pending))
            if len(fresh):
                return Proposal(fresh[0], {"kind": "initial"})
        return self.propose_random(number, pending, {"kind": "initial"})

    def _breed(self, rng: np.random.Generator) -> Genes:
        space = self.problem.space
        child = self.population.tournament(rng)[None]
        crossed = rng.random() < self.params.crossover_probability
        if crossed:
            child = space.crossover(child, self.population.tournament(rng)[None], rng)
        active = int((child >= 0).sum())
        rate = self.params.mutation_rate or 1 / max(active, 1)
        num_mutations = int(rng.binomial(active, rate))
        if not crossed:
            num_mutations = max(num_mutations, 1)
        return space.mutate(child, rng, num_mutations) if num_mutations else child

    def state(self) -> dict[str, Any]:
        return {**super().state(), "population": len(self.population)}
