"""Model-based search: Gaussian processes on the genes and expected hypervolume improvement around the front.

Far from the front the model says where to look; near it, where architectures differ by less than the model resolves,
it orders the neighbourhood of the front, so the search becomes a local one with foresight.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy.special import ndtri
from scipy.stats import rankdata

from nas_service.domain.pareto import non_dominated
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
from nas_service.methods.strategies.gaussian_process import Floats, GaussianProcess
from nas_service.methods.strategies.improvement import expected_improvement
from nas_service.methods.strategies.proposing import ProposingStrategy

_FIT_POINTS = 150
_NEIGHBOURS = 500
_WORST_SCORE = 3.0
_REACH = 1.5


class SurrogateParams(StrategyParams):
    """Parameters of ``surrogate``."""

    initial: int = Field(16, ge=4, le=10_000, description="Random architectures before the model is asked.")
    max_points: int = Field(
        300,
        ge=20,
        le=2_000,
        description="Most trials in the model: the front, then the latest; bounds ask.",
    )
    random_candidates: int = Field(1_000, ge=0, le=20_000, description="Random architectures among the candidates.")
    two_steps: int = Field(300, ge=0, le=20_000, description="Candidates two changes away from the front.")
    global_until: int = Field(80, ge=0, description="Up to this trial all candidates compete everywhere.")
    global_every: int = Field(4, ge=1, description="Later, one ask in so many looks beyond the front's neighbours.")


class Surrogate(ProposingStrategy):
    """The candidate with the largest expected gain; objectives known without evaluation enter exactly."""

    name = "surrogate"
    help = "Gaussian process and expected hypervolume improvement; the choice when an evaluation is expensive."
    Params = SurrogateParams

    def __init__(self, problem: Problem, params: StrategyParams | None = None) -> None:
        super().__init__(problem, params)
        self._good: list[Evaluation] = []
        self._front: list[int] = []  # indices into _good
        self._models: list[GaussianProcess] = []
        self._fitted_at = 0
        self._around: dict[bytes, Genes] = {}

    def learn(self, evaluation: Evaluation) -> None:
        if evaluation.status != "succeeded":
            return
        self._good.append(evaluation)
        new = np.array(evaluation.objectives)
        if self._front:
            F = np.array([self._good[i].objectives for i in self._front])
            if (new >= F).all(axis=1).any():
                return
            kept = np.flatnonzero(~(new <= F).all(axis=1))
            self._front = [self._front[i] for i in kept]
        self._front.append(len(self._good) - 1)

    def ask(self, number: int, pending: Sequence[Genes]) -> Proposal | Wait | Exhausted:
        if number < self.params.initial or len(self._good) < 4:
            return self.propose_random(number, pending, {"kind": "initial"})
        rng = generator(self.problem.seed, number)
        taken = self.candidates.taken(pending)
        everywhere = number < self.params.global_until or number % self.params.global_every == 0
        rows = self._candidates(rng, taken, everywhere)
        if len(rows) == 0:
            return self.propose_random(number, pending, {"kind": "random"})
        gains = self._gains(rows, pending, rng)
        return Proposal(rows[int(np.argmax(gains))], {"kind": "global" if everywhere else "local"})

    def score(self, genes: Genes, number: int, pending: Sequence[Genes]) -> Floats | None:
        """Expected gain (n,) of each of genes (n, G); None before the model has anything to learn from."""
        if len(self._good) < 4:
            return None
        return self._gains(genes, pending, generator(self.problem.seed, number, 3))

    def _candidates(self, rng: np.random.Generator, taken: set[bytes], everywhere: bool) -> Genes:
        """New feasible rows (m, G): neighbours of the front, and with ``everywhere`` random ones."""
        parts = []
        for i in rng.permutation(len(self._front)):
            centre = self._good[self._front[i]].genes
            key = key_of(centre)
            if key not in self._around:
                self._around[key] = self.problem.space.neighbours(centre)
            parts.append(self._around[key])
            if sum(len(part) for part in parts) >= 2 * _NEIGHBOURS:
                break
        near = np.concatenate(parts)
        if len(near) > _NEIGHBOURS:
            near = near[np.sort(rng.permutation(len(near))[:_NEIGHBOURS])]
        parts = [near]
        if self.params.two_steps:
            front = np.stack([self._good[i].genes for i in self._front])
            centres = front[rng.integers(len(front), size=self.params.two_steps)]
            parts.append(self.problem.space.mutate(centres, rng, 2))
        if everywhere and self.params.random_candidates:
            parts.append(self.problem.space.sample(self.params.random_candidates, rng))
        return self.candidates.fresh(np.concatenate(parts), taken)

    def _points(self, count: int, limit: int) -> list[int]:
        """Up to ``limit`` indices among the first ``count`` successes: the front as far as it fits, then the latest."""
        front = [i for i in self._front if i < count][-limit // 2 :]
        latest = range(count - 1, -1, -1)
        chosen = dict.fromkeys(front)
        for i in latest:
            if len(chosen) >= limit:
                break
            chosen.setdefault(i)
        return sorted(chosen)

    def _gains(self, rows: Genes, pending: Sequence[Genes], rng: np.random.Generator) -> Floats:
        self._fit()
        points = self._points(len(self._good), self.params.max_points)
        genes = np.stack([self._good[i].genes for i in points])
        F = np.array([self._good[i].objectives for i in points])
        waiting = np.stack(list(pending)) if len(pending) else genes[:0]
        costs = self._known(np.concatenate((rows, waiting)))
        mean, std = np.empty((len(rows), F.shape[1])), np.zeros((len(rows), F.shape[1]))
        scores, expected = np.empty_like(F), np.empty((len(waiting), F.shape[1]))
        for j, model in enumerate(self._models):
            scores[:, j] = normal_scores(F[:, j])
            exact = costs[j]
            if exact is not None:
                known = score_like(F[:, j], scores[:, j], exact)
                mean[:, j], expected[:, j] = known[: len(rows)], known[len(rows) :]
                continue
            centre, scale = scores[:, j].mean(), scores[:, j].std() or 1.0
            model.condition(genes, (scores[:, j] - centre) / scale, waiting)
            m, s = model.predict(rows)
            mean[:, j], std[:, j] = m * scale + centre, s * scale
            if len(waiting):
                expected[:, j] = model.mean(waiting) * scale + centre
        front = np.concatenate((scores[non_dominated(F)], expected))
        reference = self._reference(F, scores)
        return expected_improvement(mean, std, front[non_dominated(front)], reference, rng)

    def _reference(self, F: Floats, scores: Floats) -> Floats:
        """Scores (M,) up to which a gain counts.

        It must reach beyond the front found so far, or a front that began at one end would never be extended to the
        other. The first random trials tell what is ordinary: half as far again behind their median as the best is
        before it, which leaves out the long tail of useless architectures.
        """
        first = np.array([e.objectives for e in self._good[: self.params.initial]])
        best, ordinary = F.min(axis=0), np.median(first, axis=0)
        worst = np.maximum(F.max(axis=0), first.max(axis=0))
        limit = np.minimum(worst, ordinary + _REACH * (ordinary - best))
        at = [score_like(F[:, j], scores[:, j], limit[j : j + 1])[0] for j in range(F.shape[1])]
        return np.array(at) + 0.1

    def _known(self, rows: Genes) -> list[Floats | None]:
        """Values (n,) of the objectives that need no evaluation, None for the others."""
        if not any(self.problem.known):
            return [None] * self.problem.num_objectives
        costs = self.problem.costs(rows)
        return [
            np.asarray(costs[name], dtype=np.float64) if known else None
            for name, known in zip(self.problem.objective_names, self.problem.known, strict=True)
        ]

    def _fit(self) -> None:
        """Fit at numbers of successes that grow by a sixth, from those first successes alone: replay gives the same."""
        milestone = following = 4
        while following <= len(self._good):
            milestone, following = following, max(following + 4, following * 7 // 6)
        if milestone == self._fitted_at:
            return
        self._fitted_at = milestone
        good = self._good[:milestone]
        everything = np.array([e.objectives for e in good])
        points = np.flatnonzero(non_dominated(everything))[-_FIT_POINTS // 2 :]
        latest = np.setdiff1d(np.arange(milestone), points)[-(_FIT_POINTS - len(points)) :]
        points = np.sort(np.concatenate((points, latest)))
        genes = np.stack([good[i].genes for i in points])
        self._models = []
        for j in range(self.problem.num_objectives):
            model = GaussianProcess(genes.shape[1])
            scores = normal_scores(everything[points, j])
            spread = scores.std()
            if spread > 0 and not self.problem.known[j]:
                model.fit(genes, (scores - scores.mean()) / spread)
            self._models.append(model)


def normal_scores(values: NDArray[np.float64]) -> Floats:
    """Ranks as normal quantiles (n,): scale-free, finest where trials are many, and no tail can outweigh the rest."""
    ranks = rankdata(values, method="average")
    return np.minimum(ndtri((ranks - 0.5) / len(values)), _WORST_SCORE)


def score_like(values: Floats, scores: Floats, new: Floats) -> Floats:
    """Scores of ``new`` values by interpolation between those of ``values``; extended in a straight line below."""
    order = np.argsort(values, kind="stable")
    x, y = values[order], scores[order]
    x, first = np.unique(x, return_index=True)
    y = y[first]
    result = np.interp(new, x, y)
    if len(x) > 1 and y[-1] > y[0]:
        slope = (np.median(y) - y[0]) / max(np.median(x) - x[0], 1e-300)
        result = np.where(new < x[0], y[0] - slope * (x[0] - new), result)
    return result
