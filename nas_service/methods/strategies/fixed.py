"""A given list of architectures, in order: baselines, earlier results, a table of one's own."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from pydantic import Field

from nas_service.methods.strategies.base import Exhausted, Genes, Problem, Proposal, StrategyParams, Wait, key_of
from nas_service.methods.strategies.proposing import ProposingStrategy

Choice = str | int | float | bool


class FixedParams(StrategyParams):
    """Parameters of ``fixed``."""

    architectures: tuple[dict[str, Choice], ...] = Field(
        description="The choices of each architecture by name, active choices only.", min_length=1, max_length=100_000
    )


class Fixed(ProposingStrategy):
    """Proposes what it was given; repeats and what breaks a constraint are left out."""

    name = "fixed"
    help = "Evaluates a given list of architectures in order."
    Params = FixedParams

    def __init__(self, problem: Problem, params: StrategyParams) -> None:
        """Raises ``search_spaces.errors.SpaceError`` for choices that are not an architecture of the space."""
        super().__init__(problem, params)
        given = np.stack([problem.space.genes_of(choices) for choices in self.params.architectures])
        self._rows = self.candidates.fresh(given, set())

    def ask(self, number: int, pending: Sequence[Genes]) -> Proposal | Wait | Exhausted:
        taken = self.candidates.taken(pending)
        for row in self._rows:
            if key_of(row) not in self.seen and key_of(row) not in taken:
                return Proposal(row)
        return Exhausted("all given architectures have been proposed")
