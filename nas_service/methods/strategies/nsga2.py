"""NSGA-II over genes: steady state (one child per ask) or by generations, without repeats (Deb et al. 2002).

Option: early-exit population initialisation (EEEA-Net, Termritthikun et al. 2021). Random architectures above a bound
on a cost are dropped before they are evaluated; children are not held to it, since it is a place to start and not a
constraint.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
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
from nas_service.methods.strategies.candidates import Candidates
from nas_service.methods.strategies.population import Population
from nas_service.methods.strategies.starting import StartingStrategy

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
    early_exit: dict[Literal["macs", "params", "activations", "peak_activation_bytes"], float] = Field(
        {}, description="Largest costs of the first architectures, such as {params: 5e6}; children may exceed them."
    )


class Nsga2(StartingStrategy):
    """Binary tournaments on rank and crowding, uniform crossover, mutation; constraints reject before evaluation."""

    name = "nsga2"
    help = "Multi-objective evolution; robust, asynchronous, and cheap at any number of trials."
    Params = Nsga2Params

    def __init__(self, problem: Problem, params: StrategyParams | None = None) -> None:
        """Raises ``ValueError`` when ``early_exit`` names a cost that this search does not know."""
        super().__init__(problem, params)
        self.population = self.new_population()
        self._generation: list[Evaluation] = []
        usual = _USUAL_POPULATION
        if problem.budget is not None:
            usual = int(np.clip(problem.budget // 5, _SMALLEST_POPULATION, _USUAL_POPULATION))
        self.num_starts = self.params.population or usual
        self._early = self._early_exit() if self.params.early_exit else None

    def new_population(self) -> Population:
        """How members are ranked and who survives."""
        return Population()

    @property
    def ready(self) -> bool:
        return len(self.population) > 0

    def _early_exit(self) -> Candidates:
        """Draws that also keep the bounds of ``early_exit``."""
        limits = self.params.early_exit
        known = self.problem.costs(self.problem.space.smallest()[None])
        missing = sorted(set(limits) - set(known))
        if missing:
            raise ValueError(f"early_exit: no cost {', '.join(missing)} is known here; known: {', '.join(known)}")

        def feasible(genes: Genes) -> np.ndarray:
            costs = self.problem.costs(genes)
            ok = np.asarray(self.problem.feasible(genes), dtype=bool).copy()
            for name, limit in limits.items():
                ok &= costs[name] <= limit
            return ok

        bounds = dict(self.problem.bounds)
        for name, limit in limits.items():
            low, high = bounds.get(name, (None, None))
            bounds[name] = (low, limit if high is None else min(high, limit))
        return Candidates(replace(self.problem, feasible=feasible, bounds=bounds), self.seen)

    def _size(self) -> int:
        if self.params.population is not None or self.params.mode == "generational":
            return self.num_starts
        return int(np.clip(len(self.history) // 20, self.num_starts, _LARGEST_POPULATION))

    def learn(self, evaluation: Evaluation) -> None:
        self._generation.append(evaluation)
        if self.params.mode == "generational" and len(self._generation) < self.num_starts:
            return
        good = [e for e in self._generation if e.status == "succeeded"]
        self._generation = []
        if good:
            genes = np.stack([e.genes for e in good])
            self.population.add(genes, np.array([e.objectives for e in good], dtype=np.float64), self._size())

    def ask(self, number: int, pending: Sequence[Genes]) -> Proposal | Wait | Exhausted:
        if self.params.mode == "generational":
            needed = number // self.num_starts * self.num_starts
            if len(self.history) < needed and pending:
                return Wait("the generation before is not complete")
        return super().ask(number, pending)

    def propose(self, number: int, pending: Sequence[Genes]) -> Proposal | None:
        taken = self.candidates.taken(pending)
        child = self.candidates.child(generator(self.problem.seed, number), taken, self._breed)
        return None if child is None else Proposal(child, {"kind": "child"})

    def start(self, number: int, pending: Sequence[Genes]) -> Proposal | Wait | Exhausted:
        """The ends of the space first, since they anchor the front, then random architectures."""
        space = self.problem.space
        draws = self._early or self.candidates
        taken = draws.taken(pending)
        ends = [space.smallest, space.largest]
        if number < len(ends) and any(gene.ordered for gene in space.genes):
            fresh = draws.fresh(np.atleast_2d(ends[number]()), taken)
            if len(fresh):
                return Proposal(fresh[0], {"kind": "initial"})
        if self._early is not None:
            genes = self._early.random(generator(self.problem.seed, number, 1), taken)
            if genes is not None:
                return Proposal(genes, {"kind": "initial"})
        return self.propose_random(number, pending, {"kind": "initial"}, stream=2 if self._early else 1)

    @property
    def num_rejected(self) -> int:
        return self.candidates.rejected + (self._early.rejected if self._early else 0)

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
        early = {"early": self._early.rejected} if self._early else {}
        return {**super().state(), "population": len(self.population), **early}

    def restore(self, state: dict[str, Any], history: Iterable[Evaluation]) -> None:
        super().restore(state, history)
        if self._early is not None:
            self._early.rejected = state["early"]
