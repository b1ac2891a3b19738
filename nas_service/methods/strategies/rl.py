"""A controller learned by policy gradient (NASNet: Zoph et al. 2018; Williams 1992; PPO: Schulman et al. 2017).

The controller draws architectures; results, as ranks among those before, move its probabilities. Departures: an
architecture is not evaluated twice; results of an older controller (several workers, batches) enter with their
probability ratio, which the token keeps, clipped in both algorithms; what the controller did not draw teaches nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from pydantic import Field

from nas_service.methods.strategies.archive import Archive
from nas_service.methods.strategies.base import Evaluation, Genes, Problem, Proposal, StrategyParams, generator
from nas_service.methods.strategies.mlp import Adam, Floats
from nas_service.methods.strategies.policy import Policy, RecurrentPolicy, TabularPolicy
from nas_service.methods.strategies.starting import StartingStrategy

_DRAWS, _ROUNDS = 16, 3
_CLIP = 0.2
_LARGEST_RATIO = 2.0


class RlParams(StrategyParams):
    """Parameters of ``rl``."""

    policy: Literal["tabular", "recurrent"] = Field(
        "tabular", description="Tabular: each choice on its own; recurrent: each choice knows those before."
    )
    algorithm: Literal["reinforce", "ppo"] = Field(
        "ppo", description="PPO uses a batch several times, with clipped steps; REINFORCE once."
    )
    initial: int = Field(10, ge=0, le=10_000, description="Random architectures before the controller is asked.")
    learning_rate: float = Field(0.05, gt=0, le=1, description="Step of Adam.")
    batch: int = Field(5, ge=1, le=1_000, description="Results per update.")
    epochs: int = Field(4, ge=1, le=50, description="Times PPO goes through a batch.")
    entropy: float = Field(0.01, ge=0, le=1, description="Weight that keeps the choices spread.")
    baseline: float = Field(0.9, ge=0, lt=1, description="Memory of the moving average reward.")


class Rl(StartingStrategy):
    """Policy gradient on architectures, with rewards between 0 and 1 by Pareto rank."""

    name = "rl"
    help = "A learned controller (REINFORCE or PPO). Needs many evaluations; for comparison with published searches."
    Params = RlParams

    def __init__(self, problem: Problem, params: StrategyParams | None = None) -> None:
        super().__init__(problem, params)
        self.num_starts = self.params.initial
        kind: type[TabularPolicy | RecurrentPolicy] = (
            TabularPolicy if self.params.policy == "tabular" else RecurrentPolicy
        )
        self.policy: Policy = kind(problem.space, generator(problem.seed, 0, 4))
        self._optimiser = Adam(self.policy.weights, self.params.learning_rate)
        self._archive = Archive(problem.num_objectives)
        self._batch: list[tuple[Genes, float, float]] = []  # genes, log-probability when drawn, reward
        self._mean_reward, self._num_rewards = 0.0, 0

    @property
    def ready(self) -> bool:
        return True

    def learn(self, evaluation: Evaluation) -> None:
        reward = 0.0
        if evaluation.objectives is not None and evaluation.status == "succeeded":
            reward = self._archive.rank_reward(evaluation.objectives)
            self._archive.add(evaluation)
        if "log_probability" in evaluation.token:
            self._batch.append((evaluation.genes, float(evaluation.token["log_probability"]), reward))
        if len(self._batch) >= self.params.batch:
            genes, drawn, rewards = zip(*self._batch, strict=True)
            self._batch = []
            self._update(np.stack(genes), np.array(drawn), np.array(rewards))

    def _update(self, genes: Genes, drawn: Floats, rewards: Floats) -> None:
        """One step of REINFORCE, or ``epochs`` of PPO, on a batch; ``drawn`` are log-probabilities at the draw."""
        memory = self.params.baseline
        self._mean_reward = memory * self._mean_reward + (1 - memory) * float(rewards.mean())
        self._num_rewards += 1
        advantages = rewards - self._mean_reward / (1 - memory**self._num_rewards)
        ppo = self.params.algorithm == "ppo"
        for _ in range(self.params.epochs if ppo else 1):
            ratio = np.exp(np.minimum(self.policy.log_probability(genes) - drawn, np.log(_LARGEST_RATIO)))
            if ppo:  # beyond the clip a sample does not push further in its direction
                outside = np.where(advantages > 0, ratio > 1 + _CLIP, ratio < 1 - _CLIP)
                ratio = np.where(outside, 0.0, ratio)
            ascent = self.policy.gradient(genes, ratio * advantages, self.params.entropy)
            self._optimiser.step([-gradient for gradient in ascent])

    def propose(self, number: int, pending: Sequence[Genes]) -> Proposal | None:
        rng = generator(self.problem.seed, number)
        taken = self.candidates.taken(pending)
        for _ in range(_ROUNDS):
            rows = self.policy.sample(_DRAWS, rng)
            new = self.candidates.fresh(rows[self.problem.space.valid(rows)], taken)
            if len(new):
                log_probability = float(self.policy.log_probability(new[:1])[0])
                return Proposal(new[0], {"kind": "drawn", "log_probability": log_probability})
        return None

    def score(self, genes: Genes, number: int, pending: Sequence[Genes]) -> Floats | None:
        """How much the controller prefers each of genes (n, G)."""
        return self.policy.log_probability(genes) if self._num_rewards else None
