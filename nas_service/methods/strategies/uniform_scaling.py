"""Uniformly scaled architectures: the control that asks whether a search beats turning one size knob."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import Field

from nas_service.methods.strategies.base import Exhausted, Genes, Problem, Proposal, StrategyParams, Wait, key_of
from nas_service.methods.strategies.proposing import ProposingStrategy


class UniformScalingParams(StrategyParams):
    """Parameters of ``uniform_scaling``."""

    positions: int = Field(16, ge=1, le=10_000, description="Relative sizes tried, from smallest to largest.")


class UniformScaling(ProposingStrategy):
    """Every ordered choice at the same relative position, from the smallest to the largest architecture."""

    name = "uniform_scaling"
    help = "All ordered choices at one relative size. A control: a search that does not beat it has found nothing."
    Params = UniformScalingParams

    def __init__(self, problem: Problem, params: StrategyParams | None = None) -> None:
        super().__init__(problem, params)
        self._rows = self.candidates.fresh(problem.space.uniform_scaling(self.params.positions), set())

    def ask(self, number: int, pending: Sequence[Genes]) -> Proposal | Wait | Exhausted:
        taken = self.candidates.taken(pending)
        for row in self._rows:
            if key_of(row) not in self.seen and key_of(row) not in taken:
                return Proposal(row)
        return Exhausted("all uniformly scaled architectures have been proposed")
