"""BANANAS: an ensemble of small networks, candidates near the best, Thompson sampling (White, Neiswanger, Savani 2021).

Departures: the code of an architecture is one-hot over its choices (conditional spaces included) instead of paths of a
cell; scores are normal quantiles of ranks with squared error; random architectures are among the candidates, without
which small ensembles stay in one basin; with several objectives parents come from the whole front and each ask draws
its own weighting of them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from pydantic import Field

from nas_service.methods.strategies.archive import Floats
from nas_service.methods.strategies.base import Genes, Problem, Proposal, StrategyParams, generator
from nas_service.methods.strategies.boshnas import standard_scores
from nas_service.methods.strategies.learning import LearningStrategy
from nas_service.methods.strategies.mlp import Adam, Mlp

_LEARNING_RATE = 0.01
_DECAY = 1e-3
_STREAM = 5


class BananasParams(StrategyParams):
    """Parameters of ``bananas``."""

    initial: int = Field(10, ge=4, le=10_000, description="Random architectures before the ensemble is asked.")
    networks: int = Field(5, ge=2, le=50, description="Members of the ensemble; their spread is the uncertainty.")
    epochs: int = Field(150, ge=1, le=5_000, description="Steps of training of each network at each refit.")
    max_points: int = Field(200, ge=20, le=2_000, description="Most results the ensemble learns from.")
    candidates: int = Field(100, ge=1, le=5_000, description="Mutations of the best that are scored for one ask.")
    random_candidates: int = Field(50, ge=0, le=5_000, description="Random architectures among the candidates.")
    parents: int = Field(10, ge=1, le=1_000, description="Best architectures that are mutated.")
    model: bool = Field(True, description="Off: the first mutation is taken, the ablation that shows the model's part.")


class Bananas(LearningStrategy):
    """Mutations of the best, each with one draw from what the ensemble believes."""

    name = "bananas"
    help = "Neural ensemble and Thompson sampling among mutations of the best; for expensive evaluations."
    Params = BananasParams

    def __init__(self, problem: Problem, params: StrategyParams | None = None) -> None:
        super().__init__(problem, params)
        self._ensemble: list[Mlp] = []
        self._best: Floats = np.zeros(problem.num_objectives)

    def propose(self, number: int, pending: Sequence[Genes]) -> Proposal | None:
        rng = generator(self.problem.seed, number)
        taken = self.candidates.taken(pending)
        parents = self._parents(rng)
        chosen = parents[rng.integers(len(parents), size=self.params.candidates)]
        rows = self.problem.space.mutate(self._archive.genes(chosen), rng, 1)
        if self.params.model and self.params.random_candidates:
            rows = np.concatenate((rows, self.problem.space.sample(self.params.random_candidates, rng)))
        new = self.candidates.fresh(rows, taken)
        if not len(new):
            return None
        if not self.params.model:
            return Proposal(new[0], {"kind": "mutation"})
        mean, std = self._predict(new)
        weights = rng.dirichlet(np.ones(mean.shape[1])) + 0.05
        # Distances from the best result: weights of scores on both sides of 0 would count the wrong way round.
        drawn = mean + std * rng.standard_normal(mean.shape) - self._best
        return Proposal(new[int(np.argmin((weights * drawn).max(axis=1)))], {"kind": "thompson"})

    def score(self, genes: Genes, number: int, pending: Sequence[Genes]) -> Floats | None:
        """Minus the worst predicted objective of each of genes (n, G), as standard scores."""
        return -self._predict(genes)[0].max(axis=1) if self.ready else None

    def _parents(self, rng: np.random.Generator) -> np.ndarray:
        """Indices of the best: by value, with several objectives random members of the front."""
        if self.problem.num_objectives == 1:
            return np.argsort(self._archive.objectives[:, 0], kind="stable")[: self.params.parents]
        front = np.array(self._archive.front)
        return front[rng.permutation(len(front))[: self.params.parents]]

    def _predict(self, genes: Genes) -> tuple[Floats, Floats]:
        """Mean and standard deviation (n, M) over the ensemble, refitted at growing numbers of results."""
        count = self._due()
        if count != self._fitted_at:
            rng = generator(self.problem.seed, count, _STREAM)
            window = self._archive.window(count, self.params.max_points)
            x, y = self._code(self._archive.genes(window)), standard_scores(self._archive.objectives[window])
            self._best = y.min(axis=0)
            self._ensemble = [self._train(x, y, rng) for _ in range(self.params.networks)]
            self._fitted_at = count
        code = self._code(genes)
        outputs = [network.forward(code)[0] for network in self._ensemble]
        return np.mean(outputs, axis=0), np.std(outputs, axis=0)

    def _train(self, x: Floats, y: Floats, rng: np.random.Generator) -> Mlp:
        network = Mlp((x.shape[1], 32, 32, y.shape[1]), rng)
        optimiser = Adam(network.weights, _LEARNING_RATE)
        for _ in range(self.params.epochs):
            out, cache = network.forward(x)
            gradients, _ = network.backward(cache, (out - y) / len(x))
            optimiser.step([g + _DECAY * w for g, w in zip(gradients, network.weights, strict=True)])
        return network

    def _code(self, genes: Genes) -> Floats:
        return self.problem.space.encode_one_hot(genes).astype(np.float64)
