"""BOSHNAS: second-order search of the input of a network that knows its uncertainty (FlexiBERT, Tuli et al. 2022).

Three small networks: one predicts mean and variance (heteroscedastic, aleatoric uncertainty); a teacher with dropout
disagrees with itself where it has seen little (epistemic); a student learns that disagreement, so that it is smooth in
the input. Mean minus a multiple of the student's answer is minimised over the input itself, with curvature (AdaHessian,
Yao et al. 2021), and the result is snapped to an architecture. Departures: the input is the one-hot code of the choices
instead of an embedding of computational graphs, so nothing has to be embedded before; with several objectives each ask
draws a weighting; what was evaluated before is replaced by a neighbour.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from pydantic import Field
from scipy.special import ndtri

from nas_service.domain.ranks import average_ranks
from nas_service.methods.strategies.archive import Floats
from nas_service.methods.strategies.base import Genes, Problem, Proposal, StrategyParams, generator
from nas_service.methods.strategies.learning import LearningStrategy
from nas_service.methods.strategies.mlp import Adam, Mlp, sigmoid, softplus

_LEARNING_RATE = 0.01
_DROPOUT, _PASSES = 0.3, 10
_DECAY = 1e-3
_STARTS, _STEP_SIZE = 8, 0.2
_PROBE = 1e-2
_STREAM = 5


class BoshnasParams(StrategyParams):
    """Parameters of ``boshnas``."""

    initial: int = Field(16, ge=4, le=10_000, description="Random architectures before the networks are asked.")
    max_points: int = Field(200, ge=20, le=2_000, description="Most results the networks learn from.")
    epochs: int = Field(150, ge=1, le=5_000, description="Steps of training of each network at each refit.")
    steps: int = Field(30, ge=1, le=1_000, description="Steps of the search of the input at each ask.")
    optimism: float = Field(0.5, ge=0, le=10, description="Weight of the epistemic uncertainty.")
    uncertain_share: float = Field(0.1, ge=0, le=1, description="Share of asks that go where least is known.")
    random_share: float = Field(0.1, ge=0, le=1, description="Share of random asks.")


class Surrogates:
    """The three networks, fitted once. Outputs are standardised scores, one column per objective."""

    def __init__(self, x: Floats, y: Floats, elsewhere: Floats, epochs: int, rng: np.random.Generator) -> None:
        """From codes x (n, D), scores y (n, M), and codes of random architectures where nothing was evaluated."""
        width, self._m = x.shape[1], y.shape[1]
        # A weighted worst objective means something for distances from an ideal alone: of scores on both sides of 0
        # the one with the smallest weight would count most where all are good.
        self._best = y.min(axis=0)
        self.mean = Mlp((width, 32, 32, 2 * self._m), rng)
        self.teacher = Mlp((width, 64, 32, self._m), rng)
        self.student = Mlp((width, 64, 32, self._m), rng)

        def likelihood(out: Floats) -> Floats:
            mean, raw = out[:, : self._m], out[:, self._m :]
            variance = softplus(raw) + 1e-2
            residual = mean - y
            by_raw = 0.5 * (1 / variance - residual**2 / variance**2) * sigmoid(raw)
            return np.concatenate((residual / variance, by_raw), axis=1)

        _train(self.mean, x, likelihood, epochs)
        _train(self.teacher, x, lambda out: out - y, epochs, rng)
        everywhere = np.concatenate((x, elsewhere))
        spread = self.disagreement(everywhere, rng)
        _train(
            self.student, everywhere, lambda out: (softplus(out) - spread) * sigmoid(out), epochs
        )  # fmt: skip

    def disagreement(self, x: Floats, rng: np.random.Generator) -> Floats:
        """Standard deviation (n, M) of the teacher over random dropouts: epistemic uncertainty."""
        passes = [self.teacher.forward(x, self.teacher.masks(len(x), _DROPOUT, rng))[0] for _ in range(_PASSES)]
        return np.std(passes, axis=0)

    def uncertainty(self, x: Floats) -> Floats:
        """The student's answer (n, M)."""
        return softplus(self.student.forward(x)[0])

    def acquisition(self, x: Floats, weights: Floats, optimism: float) -> tuple[Floats, Floats]:
        """The value (n,) to minimise and its gradient (n, D): the worst weighted distance from the best, less doubt."""
        out, cache = self.mean.forward(x)
        raw, student_cache = self.student.forward(x)
        values = weights * (out[:, : self._m] - self._best - optimism * softplus(raw))
        rows, worst = np.arange(len(x)), np.argmax(values, axis=1)
        at_mean, at_student = np.zeros_like(out), np.zeros_like(raw)
        at_mean[rows, worst] = weights[worst]
        at_student[rows, worst] = -optimism * weights[worst] * sigmoid(raw[rows, worst])
        _, gradient = self.mean.backward(cache, at_mean)
        _, further = self.student.backward(student_cache, at_student)
        return values[rows, worst], gradient + further


class Boshnas(LearningStrategy):
    """Networks refitted at growing numbers of results, from those results alone."""

    name = "boshnas"
    help = "Gradient search of the input of uncertain neural networks; made for large spaces of costly evaluations."
    Params = BoshnasParams

    def __init__(self, problem: Problem, params: StrategyParams | None = None) -> None:
        super().__init__(problem, params)
        self._fitted: Surrogates | None = None

    def propose(self, number: int, pending: Sequence[Genes]) -> Proposal | None:
        rng = generator(self.problem.seed, number)
        taken = self.candidates.taken(pending)
        kind = rng.random()
        if kind < self.params.random_share:
            return None
        model = self._model()
        weights = rng.dirichlet(np.ones(self.problem.num_objectives)) + 0.05
        if kind < self.params.random_share + self.params.uncertain_share:
            new = self.candidates.fresh(self.problem.space.sample(64, rng), taken)
            if not len(new):
                return None
            return Proposal(new[int(np.argmax(model.uncertainty(self._code(new)).sum(axis=1)))], {"kind": "uncertain"})

        def value(x: Floats) -> tuple[Floats, Floats]:
            return model.acquisition(x, weights, self.params.optimism)

        members = self._archive.front[-_STARTS // 2 :]
        begin = np.concatenate(
            (self._archive.genes(np.array(members)), self.problem.space.sample(_STARTS - len(members), rng))
        )
        found = self._snap(minimise_input(value, self._code(begin), rng, self.params.steps), rng)
        near = self.problem.space.mutate(np.repeat(found, 4, axis=0), rng, 1)
        new = self.candidates.fresh(np.concatenate((found, near)), taken)
        if not len(new):
            return None
        return Proposal(new[int(np.argmin(value(self._code(new))[0]))], {"kind": "gradient"})

    def score(self, genes: Genes, number: int, pending: Sequence[Genes]) -> Floats | None:
        """Minus the acquisition of each of genes (n, G), all objectives weighing the same."""
        if not self.ready:
            return None
        weights = np.ones(self.problem.num_objectives)
        return -self._model().acquisition(self._code(genes), weights, self.params.optimism)[0]

    def _code(self, genes: Genes) -> Floats:
        return self.problem.space.encode_one_hot(genes).astype(np.float64)

    def _model(self) -> Surrogates:
        count = self._due()
        if self._fitted is None or count != self._fitted_at:
            rng = generator(self.problem.seed, count, _STREAM)
            window = self._archive.window(count, self.params.max_points)
            elsewhere = self._code(self.problem.space.sample(50, rng))
            scores = standard_scores(self._archive.objectives[window])
            x = self._code(self._archive.genes(window))
            self._fitted = Surrogates(x, scores, elsewhere, self.params.epochs, rng)
            self._fitted_at = count
        return self._fitted

    def _snap(self, codes: Floats, rng: np.random.Generator) -> Genes:
        """The architectures (n, G) whose one-hot codes are nearest: the largest entry of each choice, made valid."""
        space, start, columns = self.problem.space, 0, []
        for gene in space.genes:
            columns.append(np.argmax(codes[:, start : start + len(gene.options)], axis=1))
            start += len(gene.options)
        rows = space.canonical(np.stack(columns, axis=1).astype(np.int16))
        # A child of two equal parents is the parent, repaired where a constraint of the space is broken.
        broken = ~space.valid(rows)
        rows[broken] = space.crossover(rows[broken], rows[broken], rng) if broken.any() else rows[broken]
        return rows


def minimise_input(
    value: Callable[[Floats], tuple[Floats, Floats]],
    x: Floats,
    rng: np.random.Generator,
    steps: int,
) -> Floats:
    """Minimises ``value`` (rows to values and gradients) from each row of x (n, D) within 0 and 1; the best seen.

    The curvature along the axes is estimated with random signs and differences of gradients (Hutchinson).
    """
    x = x.copy()
    mean, square = np.zeros_like(x), np.zeros_like(x)
    best, best_value = x.copy(), np.full(len(x), np.inf)
    for step in range(1, steps + 1):
        signs = rng.choice([-1.0, 1.0], size=x.shape)
        all_values, gradients = value(np.concatenate((x, x + _PROBE * signs, x - _PROBE * signs)))
        values, (gradient, above, below) = all_values[: len(x)], np.split(gradients, 3)
        better = values < best_value
        best[better], best_value[better] = x[better], values[better]
        curvature = signs * (above - below) / (2 * _PROBE)
        mean += 0.1 * (gradient - mean)
        square += 0.05 * (curvature**2 - square)
        scaled = np.sqrt(square / (1 - 0.95**step)) + 1e-3
        move = mean / (1 - 0.9**step) / scaled
        x = np.clip(x - np.clip(move, -_STEP_SIZE, _STEP_SIZE), 0.0, 1.0)
    values, _ = value(x)
    return np.where((values < best_value)[:, None], x, best)


def standard_scores(objectives: Floats) -> Floats:
    """Normal quantiles of the ranks (n, M): free of scale and of tails, best lowest."""
    ranks = np.stack([average_ranks(column) for column in objectives.T], axis=1)
    return ndtri((ranks - 0.5) / len(objectives))


def _train(
    network: Mlp,
    x: Floats,
    residual: Callable[[Floats], Floats],
    epochs: int,
    rng: np.random.Generator | None = None,
) -> None:
    """Full-batch Adam; ``residual`` maps outputs to d loss / d output. With ``rng`` under dropout."""
    optimiser = Adam(network.weights, _LEARNING_RATE)
    for _ in range(epochs):
        masks = network.masks(len(x), _DROPOUT, rng) if rng is not None else []
        out, cache = network.forward(x, masks)
        gradients, _ = network.backward(cache, residual(out) / len(x))
        optimiser.step([g + _DECAY * w for g, w in zip(gradients, network.weights, strict=True)])
