"""Model-based search: Gaussian processes on the choices and expected hypervolume improvement around the front.

Far from the front the model says where to look; near it, where architectures differ by less than the model resolves,
it orders the neighbourhood of the front, so the search becomes a local one with foresight. A model that is sure and
wrong about an option it never saw in good company would keep it out for ever: now and then the option tried least is
tried at the front.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from pydantic import Field

from nas_service.domain.pareto import non_dominated
from nas_service.methods.strategies.base import Genes, Problem, Proposal, StrategyParams, generator, key_of
from nas_service.methods.strategies.encoding import Encoded, Encoder
from nas_service.methods.strategies.gaussian_process import Floats, GaussianProcess
from nas_service.methods.strategies.improvement import Belief, expected_improvement
from nas_service.methods.strategies.learning import LearningStrategy
from nas_service.methods.strategies.objective_scale import ObjectiveScale

_FIT_POINTS = 150
_NEIGHBOURS = 300
_PROMISING = 500
_BROWSED, _BROWSED_BY_SAMPLING = 5_000, 1_500  # with three objectives and more a gain costs more to compute
_REACH, _MARGIN = 1.5, 0.8
_PIECE = 2_000
_COVERED = 16
_STREAM = 7


class SurrogateParams(StrategyParams):
    """Parameters of ``surrogate``."""

    initial: int = Field(16, ge=4, le=10_000, description="Random architectures before the model is asked.")
    max_points: int = Field(
        300,
        ge=20,
        le=2_000,
        description="Most trials in the model: the front, then the latest; bounds ask.",
    )
    random_candidates: int = Field(
        1_000, ge=0, le=20_000, description="Random architectures among the candidates where a space is too large."
    )
    two_steps: int = Field(100, ge=0, le=20_000, description="Candidates two changes away from the front.")
    global_until: int = Field(60, ge=0, description="Up to this trial all candidates compete everywhere.")
    global_every: int = Field(4, ge=1, description="Later, one ask in so many looks beyond the front's neighbours.")
    coverage_every: int = Field(
        8, ge=0, description="One ask in so many tries the least tried change at the front; 0: never."
    )


class Surrogate(LearningStrategy):
    """The candidate with the largest expected gain; objectives known without evaluation enter exactly."""

    name = "surrogate"
    help = "Gaussian process and expected hypervolume improvement; the choice when an evaluation is expensive."
    Params = SurrogateParams

    def __init__(self, problem: Problem, params: StrategyParams | None = None) -> None:
        super().__init__(problem, params)
        self._encoder = Encoder(problem.space)
        self._models: list[GaussianProcess] = []
        self._promising: Genes | None = None
        self._around: dict[bytes, Genes] = {}
        self._most_options = max((len(gene.options) for gene in problem.space.genes), default=1)

    def propose(self, number: int, pending: Sequence[Genes]) -> Proposal | None:
        rng = generator(self.problem.seed, number)
        taken = self.candidates.taken(pending)
        every, past = self.params.coverage_every, number - self.params.initial
        if every and past >= every and past % every == 0:
            rows, kind = self.candidates.fresh(self._least_tried(rng, taken), taken), "coverage"
        elif number < self.params.global_until or number % self.params.global_every == 0:
            rows, kind = self.candidates.fresh(self._everywhere(rng), taken), "global"
        else:
            rows, kind = self.candidates.fresh(self._near(rng), taken), "local"
        if len(rows) == 0:
            rows, kind = self.candidates.fresh(self._everywhere(rng), taken), "global"
        if len(rows) == 0:
            return None
        return Proposal(rows[int(np.argmax(self._gains(rows, pending, rng)))], {"kind": kind})

    def score(self, genes: Genes, number: int, pending: Sequence[Genes]) -> Floats | None:
        """Expected gain (n,) of each of genes (n, G); None before the model has anything to learn from."""
        return self._gains(genes, pending, generator(self.problem.seed, number, 3)) if self.ready else None

    # --- candidates ------------------------------------------------------------------------------------

    def _front_genes(self) -> Genes:
        return self._archive.genes(np.array(self._archive.front))

    def _neighbours(self, centre: Genes) -> Genes:
        key = key_of(centre)
        if key not in self._around:
            self._around[key] = self.candidates.neighbours(centre)
        return self._around[key]

    def _near(self, rng: np.random.Generator) -> Genes:
        """Rows (m, G) one change away from the front, some two."""
        front, parts, count = self._front_genes(), [], 0
        for i in rng.permutation(len(front)):
            parts.append(self._neighbours(front[i]))
            count += len(parts[-1])
            if count >= 4 * _NEIGHBOURS:
                break
        near = np.concatenate(parts)
        if len(near) > _NEIGHBOURS:
            near = near[np.sort(rng.permutation(len(near))[:_NEIGHBOURS])]
        if not self.params.two_steps:
            return near
        centres = front[rng.integers(len(front), size=self.params.two_steps)]
        return np.concatenate((near, self.problem.space.mutate(centres, rng, 2)))

    def _everywhere(self, rng: np.random.Generator) -> Genes:
        """Rows (m, G) near the front, and the most promising of the space or random ones."""
        self._refit()
        parts = [self._near(rng)]
        if self._promising is not None:
            parts.append(self._promising)
        elif self.params.random_candidates:
            parts.append(self.problem.space.sample(self.params.random_candidates, rng))
        return np.concatenate(parts)

    def _least_tried(self, rng: np.random.Generator, taken: set[bytes]) -> Genes:
        """A new neighbour of the front (at most 1, G), by a change that has been tried there least."""
        front, rows, changes, new = self._front_genes(), [], [], []
        for i in rng.permutation(len(front))[:_COVERED]:
            around = self._neighbours(front[i])
            gene = ((around != front[i]) & (around >= 0)).argmax(axis=1)
            rows.append(around)
            changes.append(gene * self._most_options + around[np.arange(len(around)), gene])
            new += [key_of(row) not in self.seen and key_of(row) not in taken for row in around]
        found, change, open_ = np.concatenate(rows), np.concatenate(changes), np.array(new, dtype=bool)
        if not open_.any():
            return found[:0]
        tried = np.bincount(change[~open_], minlength=change.max() + 1)[change]
        least = np.flatnonzero(open_ & (tried == tried[open_].min()))
        return found[rng.choice(least, 1)]

    # --- the model -------------------------------------------------------------------------------------

    def _gains(self, rows: Genes, pending: Sequence[Genes], rng: np.random.Generator) -> Floats:
        self._refit()
        waiting = np.stack(list(pending)) if len(pending) else rows[:0]
        return self._gains_given(len(self._archive), rows, waiting, rng)

    def _gains_given(self, count: int, rows: Genes, waiting: Genes, rng: np.random.Generator) -> Floats:
        """Expected gains (n,) of genes (n, G) from the first ``count`` results; ``waiting`` ones at their means."""
        points = self._archive.window(count, self.params.max_points)
        F = self._archive.objectives[points]
        reference = self._reference(count)
        costs = self._known(np.concatenate((rows, waiting)))
        told, asked, extra = (self._encoder(genes) for genes in (self._archive.genes(points), rows, waiting))
        beliefs, expected = [], np.empty((len(waiting), F.shape[1]))
        for j, model in enumerate(self._models):
            exact = costs[j]
            if exact is not None:
                beliefs.append(Belief(exact[: len(rows)], np.zeros(len(rows))))
                expected[:, j] = exact[len(rows) :]
                continue
            scale = ObjectiveScale.of(F[:, j], reference[j])
            scaled = scale.to(F[:, j])
            centre, spread = scaled.mean(), scaled.std() or 1.0
            model.condition(told, (scaled - centre) / spread, extra)
            mean, std = _in_pieces(model, asked)
            beliefs.append(Belief(mean * spread + centre, std * spread, scale))
            if len(waiting):
                expected[:, j] = scale.back(model.mean(extra) * spread + centre)
        front = np.concatenate((self._front(count), expected))
        return expected_improvement(beliefs, front[non_dominated(front)], reference, rng)

    def _reference(self, count: int) -> Floats:
        """Objectives (M,) up to which a gain counts.

        It must reach beyond the front found so far, or a front that began at one end would never be extended to the
        other: by most of the front's own extent, and at least half as far again behind the median of the first random
        trials as that is behind the best. As in the hypervolume of a table, points below half of the best of a
        maximised metric do not set it: a front often ends in cheap architectures that have learned nothing.
        """
        F = self._archive.objectives[:count]
        best, worst = F.min(axis=0), F.max(axis=0)
        typical = np.median(F[: self.params.initial], axis=0)
        front = self._front(count)
        maximised = (F <= 0).all(axis=0)
        useful = front[(~maximised | (front <= best / 2)).all(axis=1)]
        end = (useful if len(useful) else front).max(axis=0)
        limit = np.maximum(end + _MARGIN * (end - best), best + _REACH * (typical - best))
        return np.where(limit > best, limit, best + np.maximum(worst - best, 1e-9 * (1 + np.abs(best))))

    def _front(self, count: int) -> Floats:
        """Objectives (k, M) of the front of the first ``count`` results."""
        if count == len(self._archive):
            return self._archive.objectives[self._archive.front]
        F = self._archive.objectives[:count]
        return F[non_dominated(F)]

    def _known(self, rows: Genes) -> list[Floats | None]:
        """Values (n,) of the objectives that need no evaluation, None for the others."""
        if not any(self.problem.known):
            return [None] * self.problem.num_objectives
        costs = self.problem.costs(rows)
        return [
            np.asarray(costs[name], dtype=np.float64) if known else None
            for name, known in zip(self.problem.objective_names, self.problem.known, strict=True)
        ]

    def _refit(self) -> None:
        """Fit at numbers of successes that grow by a sixth, from those first successes alone: replay gives the same.

        In a space that can be enumerated, the model then looks over (a part of) all of it for what is promising.
        """
        count = self._due()
        if count == self._fitted_at:
            return
        self._fitted_at = count
        points = self._archive.window(count, _FIT_POINTS)
        x = self._encoder(self._archive.genes(points))
        self._models, reference = [], self._reference(count)
        for j in range(self.problem.num_objectives):
            model = GaussianProcess(self._encoder.columns)
            values = self._archive.objectives[points, j]
            scaled = ObjectiveScale.of(values, reference[j]).to(values)
            spread = scaled.std()
            if spread > 0 and not self.problem.known[j]:
                model.fit(x, (scaled - scaled.mean()) / spread)
            self._models.append(model)
        pool = self.candidates.pool()
        if pool is None or len(pool) == 0:
            return
        rng = generator(self.problem.seed, count, _STREAM)
        most = _BROWSED if self.problem.num_objectives <= 2 else _BROWSED_BY_SAMPLING
        if len(pool) > most:
            pool = pool[np.sort(rng.choice(len(pool), most, replace=False))]
        gains = self._gains_given(count, pool, pool[:0], rng)
        self._promising = pool[np.argsort(-gains, kind="stable")[:_PROMISING]]


def _in_pieces(model: GaussianProcess, x: Encoded) -> tuple[Floats, Floats]:
    """Predictions (n,), (n,) without a large array in between."""
    parts = [model.predict(x[start : start + _PIECE]) for start in range(0, len(x), _PIECE)]
    return np.concatenate([mean for mean, _ in parts]), np.concatenate([std for _, std in parts])
