"""Every architecture of the space, one after the other: exact, where the space fits into the budget."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from nas_service.methods.strategies.base import (
    Exhausted,
    Genes,
    Problem,
    Proposal,
    StrategyParams,
    Wait,
    generator,
    key_of,
)
from nas_service.methods.strategies.candidates import ENUMERATION_LIMIT
from nas_service.methods.strategies.proposing import ProposingStrategy


class GridParams(StrategyParams):
    """Parameters of ``grid``."""

    order: Literal["lexicographic", "shuffled"] = Field(
        "lexicographic",
        description="Lexicographic: first choice slowest. Shuffled by the seed: a search cut short saw all regions.",
    )


class Grid(ProposingStrategy):
    """Exhaustive enumeration of the feasible architectures."""

    name = "grid"
    help = f"Evaluates every architecture, each once: the exact answer for spaces of up to {ENUMERATION_LIMIT:,}."
    Params = GridParams

    def __init__(self, problem: Problem, params: StrategyParams | None = None) -> None:
        """Raises ``ValueError`` for a space that is too large to enumerate and not held by a table in part."""
        super().__init__(problem, params)
        self._count = problem.space.cardinality if problem.members is None else len(problem.members)
        if problem.members is None and self._count > ENUMERATION_LIMIT:
            raise ValueError(f"the space has {self._count:,} architectures; grid takes up to {ENUMERATION_LIMIT:,}")
        self._rows: Genes | None = None
        self._next = 0

    def ask(self, number: int, pending: Sequence[Genes]) -> Proposal | Wait | Exhausted:
        rows = self._order()
        taken = self.candidates.taken(pending)
        # What is told stays told: the place from which to look on only moves forward and follows from the history.
        while self._next < len(rows) and key_of(rows[self._next]) in self.seen:
            self._next += 1
        for row in rows[self._next :]:
            if key_of(row) not in self.seen and key_of(row) not in taken:
                return Proposal(row)
        return self.candidates.nothing_left(pending)

    def _order(self) -> Genes:
        if self._rows is None:
            rows = self.candidates.pool()
            assert rows is not None
            if self.params.order == "shuffled":
                rows = rows[generator(self.problem.seed, 0).permutation(len(rows))]
            self._rows = rows
            self.candidates.rejected = self._count - len(rows)
        return self._rows
