"""Random search without repeats: the yardstick every other strategy is compared with."""

from __future__ import annotations

from collections.abc import Sequence

from nas_service.methods.strategies.base import Exhausted, Genes, Proposal, StrategyParams, Wait
from nas_service.methods.strategies.proposing import ProposingStrategy


class RandomParams(StrategyParams):
    """Random search has no parameters."""


class RandomSearch(ProposingStrategy):
    """Uniform draws from the feasible architectures, none twice."""

    name = "random"
    help = "Uniform draws without repeats. The control for every comparison, and hard to beat below 30 evaluations."
    Params = RandomParams

    def ask(self, number: int, pending: Sequence[Genes]) -> Proposal | Wait | Exhausted:
        return self.propose_random(number, pending, {})
