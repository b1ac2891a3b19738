"""BoTorch's qLogNEHVI as a peer: noisy expected hypervolume improvement, in logarithms.

Daulton, Balandat, Bakshy 2021; Ament et al. 2023. The library's own defaults: an independent Gaussian process per
objective (``SingleTaskGP``) on one-hot choices, fitted by marginal likelihood at every ask, a reference point inferred
from the front found so far, quasi-Monte-Carlo samples. Every architecture of the space that was not evaluated is a
candidate; of a space too large to enumerate, random ones. Most of the time goes into the joint posterior of a candidate
and the front, so the 500 best by qLogEHVI, which needs the candidate alone, are what qLogNEHVI chooses from.
The only module of the service that imports torch, and only when a benchmark names this peer.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence

import numpy as np
import torch
from botorch.acquisition.logei import qLogNoisyExpectedImprovement
from botorch.acquisition.multi_objective.logei import (
    qLogExpectedHypervolumeImprovement,
    qLogNoisyExpectedHypervolumeImprovement,
)
from botorch.fit import fit_gpytorch_mll
from botorch.models import SingleTaskGP
from botorch.sampling import SobolQMCNormalSampler
from botorch.utils.multi_objective.box_decompositions import FastNondominatedPartitioning
from botorch.utils.multi_objective.hypervolume import infer_reference_point
from botorch.utils.multi_objective.pareto import is_non_dominated
from botorch.utils.sampling import manual_seed
from gpytorch.mlls import ExactMarginalLogLikelihood
from numpy.typing import NDArray

from nas_service.methods.strategies.base import Evaluation, Genes, Problem, Proposal, StrategyParams, generator
from nas_service.methods.strategies.starting import StartingStrategy

_SAMPLES = 128
_SCREENING_SAMPLES = 32
_SCREENED = 500
_DRAWS = 2_000  # candidates of a space too large to enumerate
_BATCH = 2_048  # candidates whose samples are in memory at a time


class Botorch(StartingStrategy):
    """The candidate with the largest expected improvement, after two random architectures per choice and two more."""

    name = "botorch"
    help = "BoTorch's Gaussian processes and noisy expected hypervolume improvement."

    def __init__(self, problem: Problem, params: StrategyParams | None = None) -> None:
        super().__init__(problem, params)
        self.num_starts = 2 * (len(problem.space.genes) + 1)
        self._told: list[Evaluation] = []

    @property
    def ready(self) -> bool:
        return len(self._told) >= 2

    def learn(self, evaluation: Evaluation) -> None:
        if evaluation.status == "succeeded":
            self._told.append(evaluation)

    def _one_hot(self, genes: Genes) -> torch.Tensor:
        """(n, all options of all choices); an inactive choice is all zero."""
        columns: list[NDArray[np.bool_]] = [
            genes[:, [j]] == np.arange(len(gene.options)) for j, gene in enumerate(self.problem.space.genes)
        ]
        return torch.from_numpy(np.concatenate(columns, axis=1).astype(np.float64))

    def _candidates(self, number: int, pending: Sequence[Genes]) -> Genes:
        taken, pool = self.candidates.taken(pending), self.candidates.pool()
        if pool is not None:
            return pool[self.candidates.unused(taken)]
        return self.candidates.fresh(self.problem.space.sample(_DRAWS, generator(self.problem.seed, number)), taken)

    def propose(self, number: int, pending: Sequence[Genes]) -> Proposal | None:
        genes = self._candidates(number, pending)
        if len(genes) == 0:
            return None
        seed = int(generator(self.problem.seed, number, 2).integers(2**31))
        with manual_seed(seed), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a fit that needed more jitter or stopped early: the library goes on
            at = self._best(self._one_hot(genes), self._one_hot(np.array(pending)) if len(pending) else None, seed)
        return Proposal(genes[at], {"kind": "improvement"})

    def _best(self, choices: torch.Tensor, pending: torch.Tensor | None, seed: int) -> int:
        X = self._one_hot(np.array([evaluation.genes for evaluation in self._told]))
        Y = -torch.tensor([evaluation.objectives for evaluation in self._told], dtype=torch.float64)  # it maximises
        model = SingleTaskGP(X, Y)
        fit_gpytorch_mll(ExactMarginalLogLikelihood(model.likelihood, model))
        sampler = SobolQMCNormalSampler(torch.Size([_SAMPLES]), seed=seed)
        if Y.shape[1] == 1:
            single = qLogNoisyExpectedImprovement(model, X, sampler=sampler, X_pending=pending)
            return int(_values(single, choices).argmax())
        reference = infer_reference_point(Y[is_non_dominated(Y)])
        screening = qLogExpectedHypervolumeImprovement(
            model,
            ref_point=reference,
            partitioning=FastNondominatedPartitioning(reference, Y),
            sampler=SobolQMCNormalSampler(torch.Size([_SCREENING_SAMPLES]), seed=seed),
        )
        kept = _values(screening, choices).topk(min(_SCREENED, len(choices))).indices
        acquisition = qLogNoisyExpectedHypervolumeImprovement(
            model, ref_point=reference, X_baseline=X, sampler=sampler, prune_baseline=True, X_pending=pending
        )
        return int(kept[_values(acquisition, choices[kept]).argmax()])


def _values(acquisition: Callable[[torch.Tensor], torch.Tensor], choices: torch.Tensor) -> torch.Tensor:
    """The acquisition of each candidate alone, (n,)."""
    with torch.no_grad():
        return torch.cat([acquisition(part[:, None]) for part in choices.split(_BATCH)])
