"""pymoo's NSGA-II with categorical operators as a peer: ten individuals, uniform crossover, choices drawn anew.

Deb, Pratap, Agarwal, Meyarivan 2002 as pymoo implements it (binary tournament, a mutation rate of one over the number
of choices). A child that an earlier generation has evaluated gets its known values again and costs no evaluation.
Generational: with several trials at a time the last ones of a generation are waited for. For benchmarks alone: the
state of the algorithm is pymoo's and cannot be restored.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from pymoo.algorithms.moo.nsga2 import NSGA2
from pymoo.core.problem import Problem as Definition
from pymoo.core.repair import Repair
from pymoo.core.termination import NoTermination
from pymoo.core.variable import Choice
from pymoo.operators.crossover.ux import UX
from pymoo.operators.mutation.rm import ChoiceRandomMutation
from pymoo.problems.static import StaticProblem

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
from search_spaces.space import SearchSpace

POPULATION = 10
_EMPTY_GENERATIONS = 20  # without any new child: the population has converged, and random architectures follow


class _Canonical(Repair):
    """Children as valid architectures of the space."""

    def __init__(self, space: SearchSpace) -> None:
        super().__init__()
        self._space = space

    def _do(self, problem: Definition, X: Any, random_state: Any = None, **_: Any) -> Genes:
        rows = self._space.canonical(X.astype(np.int16))
        broken = ~self._space.valid(rows)
        if broken.any():
            rows[broken] = self._space.crossover(rows[broken], rows[broken], random_state)
        return rows


class PymooNsga2(ProposingStrategy):
    """The individuals of pymoo's generations, one at a time."""

    name = "pymoo-nsga2"
    help = "pymoo's NSGA-II with categorical operators and a population of 10."

    def __init__(self, problem: Problem, params: StrategyParams | None = None) -> None:
        super().__init__(problem, params)
        variables = {gene.name: Choice(options=np.arange(len(gene.options))) for gene in problem.space.genes}
        self._definition = Definition(vars=variables, n_obj=problem.num_objectives, n_ieq_constr=1)
        rng = generator(problem.seed, 0)
        first: list[Genes] = []
        taken: set[bytes] = set()
        while len(first) < POPULATION and (genes := self.candidates.random(rng, taken)) is not None:
            first.append(genes)
            taken.add(key_of(genes))
        self._algorithm = NSGA2(
            pop_size=POPULATION,
            sampling=np.array(first) if first else np.zeros((0, len(variables)), dtype=np.int16),
            crossover=UX(),
            mutation=ChoiceRandomMutation(),
            repair=_Canonical(problem.space),
            seed=problem.seed % 2**32,
        )
        self._algorithm.setup(self._definition, termination=NoTermination())
        self._generation: Any = self._algorithm.ask() if first else None
        self._known: dict[bytes, tuple[float, ...] | None] = {}  # objectives, None where infeasible or failed

    def learn(self, evaluation: Evaluation) -> None:
        self._known[key_of(evaluation.genes)] = evaluation.objectives

    def ask(self, number: int, pending: Sequence[Genes]) -> Proposal | Wait | Exhausted:
        taken = self.candidates.taken(pending)
        for _ in range(_EMPTY_GENERATIONS):
            if self._generation is None:
                break
            rows: Genes = self._generation.get("X").astype(np.int16)
            missing = self._missing(rows)
            new = [row for row in missing if key_of(row) not in taken]
            if new:
                return Proposal(new[0], {"kind": "individual", "generation": int(self._algorithm.n_iter)})
            if missing:
                return Wait("the generation is not finished")
            self._advance(rows)
        return self.propose_random(number, pending, {"kind": "random"})

    def _missing(self, rows: Genes) -> list[Genes]:
        """The rows without known values; what breaks a constraint is known to be infeasible and costs nothing."""
        missing = [row for row in rows if key_of(row) not in self._known]
        if missing:
            for row, allowed in zip(missing, self.problem.feasible(np.array(missing)), strict=True):
                if not allowed:
                    self._known[key_of(row)] = None
                    self.candidates.rejected += 1
        return [row for row in missing if key_of(row) not in self._known]

    def _advance(self, rows: Genes) -> None:
        """Tell pymoo the generation and ask for the next; None when its mating finds nothing but duplicates."""
        found = [self._known[key_of(row)] for row in rows]
        # Values of an infeasible individual are not looked at: its broken constraint decides.
        values = np.array([objectives or (0.0,) * self.problem.num_objectives for objectives in found])
        broken = np.array([[float(objectives is None)] for objectives in found])
        self._algorithm.evaluator.eval(StaticProblem(self._definition, F=values, G=broken), self._generation)
        self._algorithm.tell(infills=self._generation)
        self._generation = self._algorithm.ask()
