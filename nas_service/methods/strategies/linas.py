"""LINAS: a whole evolution on cheap predictors between two rounds of evaluation (Cummings et al. 2022, DyNAS-T).

Each objective gets the better of ridge regression and kernel ridge regression on the agreement of choices, by
cross-validation; objectives known in advance are exact. NSGA-II runs on the predictions, its last population is
evaluated best first, and then the predictors are fitted anew. Departures: rounds begin at growing numbers of results
instead of every fifty, and single asks are served from the last population, so several workers never wait.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from pydantic import Field

from nas_service.methods.strategies.archive import Floats
from nas_service.methods.strategies.base import Genes, Problem, Proposal, StrategyParams, generator
from nas_service.methods.strategies.boshnas import standard_scores
from nas_service.methods.strategies.learning import LearningStrategy
from nas_service.methods.strategies.population import Population

_RIDGES = (0.03, 0.3, 3.0)
_FOLDS = 5
_STREAM = 5


class LinasParams(StrategyParams):
    """Parameters of ``linas``."""

    initial: int = Field(20, ge=8, le=10_000, description="Random architectures before the predictors are asked.")
    population: int = Field(40, ge=4, le=500, description="Members of the inner evolution.")
    generations: int = Field(25, ge=1, le=1_000, description="Generations of the inner evolution of each round.")
    max_points: int = Field(300, ge=20, le=2_000, description="Most results the predictors learn from.")


class Linas(LearningStrategy):
    """Serves the last population of an evolution on predictions; a new one whenever enough was told."""

    name = "linas"
    help = "Evolution on predictors between evaluations; for cheap costs and expensive accuracies."
    Params = LinasParams
    fewest = 8

    def __init__(self, problem: Problem, params: StrategyParams | None = None) -> None:
        super().__init__(problem, params)
        self._ranked: Genes | None = None

    def propose(self, number: int, pending: Sequence[Genes]) -> Proposal | None:
        taken = self.candidates.taken(pending)
        ranked = self._round()
        new = self.candidates.fresh(ranked, taken)
        if len(new):
            return Proposal(new[0], {"kind": "predicted"})
        rng = generator(self.problem.seed, number)
        new = self.candidates.fresh(self.problem.space.mutate(ranked, rng, 1), taken)
        return Proposal(new[0], {"kind": "near"}) if len(new) else None

    def _round(self) -> Genes:
        """The last population (n, G) of an evolution on the predictions, best first; from the results alone."""
        count = self._due()
        if self._ranked is not None and count == self._fitted_at:
            return self._ranked
        rng = generator(self.problem.seed, count, _STREAM)
        space, size = self.problem.space, self.params.population
        window = self._archive.window(count, self.params.max_points)
        known = self._archive.genes(window)
        predict = Predictors(self.problem, known, self._archive.objectives[window])
        population = Population()
        rows = np.unique(np.concatenate((known[-size:], space.sample(size, rng))), axis=0)
        for _ in range(self.params.generations):
            rows = rows[np.asarray(self.problem.feasible(rows), dtype=bool)]
            if len(rows):
                population.add(rows, predict(rows), size)
            if population.genes is None:
                rows = space.sample(size, rng)
                continue
            mothers = np.stack([population.tournament(rng) for _ in range(size)])
            fathers = np.stack([population.tournament(rng) for _ in range(size)])
            rows = np.unique(space.mutate(space.crossover(mothers, fathers, rng), rng, 1), axis=0)
            members = {row.tobytes() for row in population.genes}
            rows = rows[[row.tobytes() not in members for row in rows]]
        if population.genes is None:
            ranked = known
        else:
            ranked = population.genes[population.best_first()]
        self._ranked, self._fitted_at = ranked, count
        return ranked


class Predictors:
    """One predictor per objective that is not known in advance; answers are standard scores or exact values."""

    def __init__(self, problem: Problem, genes: Genes, objectives: Floats) -> None:
        self._problem = problem
        self._genes = genes
        scores = standard_scores(objectives)
        self._weights: list[tuple[bool, Floats]] = []
        for j in range(scores.shape[1]):
            self._weights.append(self._choose(scores[:, j]))

    def __call__(self, genes: Genes) -> Floats:
        """Predicted (n, M) for genes (n, G)."""
        costs = self._problem.costs(genes) if any(self._problem.known) else {}
        columns = []
        for j, (linear, weights) in enumerate(self._weights):
            if self._problem.known[j]:
                columns.append(np.asarray(costs[self._problem.objective_names[j]], dtype=np.float64))
            else:
                columns.append(self._kernel(genes, self._genes, linear) @ weights)
        return np.stack(columns, axis=1)

    def _kernel(self, a: Genes, b: Genes, linear: bool) -> Floats:
        agreement = (a[:, None, :] == b[None, :, :]).mean(axis=2)
        return agreement if linear else np.exp(3.0 * (agreement - 1.0))

    def _choose(self, y: Floats) -> tuple[bool, Floats]:
        """The kernel and dual weights (n,) with the smallest cross-validated error."""
        n = len(y)
        fold = np.arange(n) % _FOLDS
        best, chosen = np.inf, (True, _RIDGES[0])
        kernels = {linear: self._kernel(self._genes, self._genes, linear) for linear in (True, False)}
        for linear, kernel in kernels.items():
            for ridge in _RIDGES:
                error = 0.0
                for k in range(_FOLDS):
                    train, held = np.flatnonzero(fold != k), np.flatnonzero(fold == k)
                    weights = np.linalg.solve(kernel[np.ix_(train, train)] + ridge * np.eye(len(train)), y[train])
                    error += float(((kernel[np.ix_(held, train)] @ weights - y[held]) ** 2).sum())
                if error < best:
                    best, chosen = error, (linear, ridge)
        linear, ridge = chosen
        return linear, np.asarray(np.linalg.solve(kernels[linear] + ridge * np.eye(n), y), dtype=np.float64)
