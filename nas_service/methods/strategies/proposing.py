"""Base of the strategies that draw new feasible candidates, with the random draw they all fall back on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from nas_service.methods.strategies.base import (
    Evaluation,
    Exhausted,
    Genes,
    Problem,
    Proposal,
    Strategy,
    StrategyParams,
    Wait,
    generator,
)
from nas_service.methods.strategies.candidates import Candidates


class ProposingStrategy(Strategy):
    """A strategy that draws new feasible candidates and counts what the constraints rejected."""

    def __init__(self, problem: Problem, params: StrategyParams | None = None) -> None:
        super().__init__(problem, params)
        self.candidates = Candidates(problem, self.seen)

    def propose_random(
        self, number: int, pending: Sequence[Genes], token: dict[str, Any], stream: int = 1
    ) -> Proposal | Wait | Exhausted:
        """A random new candidate for trial ``number``, or why there is none."""
        rng = generator(self.problem.seed, number, stream)
        genes = self.candidates.random(rng, self.candidates.taken(pending))
        return self.candidates.nothing_left(pending) if genes is None else Proposal(genes, token)

    @property
    def num_rejected(self) -> int:
        return self.candidates.rejected

    def state(self) -> dict[str, Any]:
        return {"rejected": self.candidates.rejected}

    def restore(self, state: dict[str, Any], history: Iterable[Evaluation]) -> None:
        super().restore(state, history)
        self.candidates.rejected = state["rejected"]
