"""Start from what earlier searches of the same space found: any strategy, told their results before the first ask.

The best earlier architectures are evaluated first, since the front of a search holds its own trials only (where weights
and data are the same this costs nothing: the results are reused). All other earlier results are told to the strategy as
they are, so its initial phase is over. With ``use_results`` off only the architectures carry over: right when the
accuracies of the earlier searches have another scale.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from pydantic import Field

from nas_service.domain.pareto import crowding, non_dominated
from nas_service.methods.strategies.archive import Archive
from nas_service.methods.strategies.base import (
    Evaluation,
    Exhausted,
    Genes,
    Problem,
    Proposal,
    StrategyParams,
    Wait,
    key_of,
)
from nas_service.methods.strategies.nested import ComposedStrategy, Nested

MOST_RESULTS = 2_000


class WarmStartParams(StrategyParams):
    """Parameters of ``warm_start``."""

    searches: tuple[str, ...] = Field(
        description="Ids of finished searches of the same space and data set with the same objectives.",
        min_length=1,
        max_length=16,
    )
    strategy: Nested = Field(
        default_factory=lambda: Nested(name="auto", params={}), description="The strategy that goes on."
    )
    first: int = Field(10, ge=0, le=1_000, description="Best earlier architectures that are evaluated here first.")
    use_results: bool = Field(
        True, description="Tell the strategy the earlier results as they are; off: only architectures carry over."
    )


class WarmStart(ComposedStrategy):
    """The earlier front first, then the inner strategy with the earlier results in its history."""

    name = "warm_start"
    help = "Any strategy, begun with the results of earlier searches of the same space."
    Params = WarmStartParams

    def __init__(self, problem: Problem, params: StrategyParams) -> None:
        super().__init__(problem, params)
        inner = self.params.strategy.build(replace(problem, earlier=()))
        self.parts["strategy"] = inner
        earlier = self._usable(problem.earlier)
        self._first = best_first(earlier, self.params.first)
        self._offset = 0
        if self.params.use_results:
            again = {key_of(evaluation.genes) for evaluation in self._first}
            told = [evaluation for evaluation in earlier if key_of(evaluation.genes) not in again]
            for number, evaluation in enumerate(told):
                inner.tell(replace(evaluation, number=number, token={}))
            self._offset = len(told)

    def _usable(self, earlier: Sequence[Evaluation]) -> list[Evaluation]:
        """Full evaluations of architectures that are members here and feasible, each once; front and latest if many."""
        archive = Archive(self.problem.num_objectives)
        known: set[bytes] = set()
        for evaluation in earlier:
            key = key_of(evaluation.genes)
            if evaluation.status == "succeeded" and evaluation.fidelity == 1.0 and key not in known:
                known.add(key)
                archive.add(evaluation)
        if not len(archive):
            return []
        genes = archive.genes(np.arange(len(archive)))
        member = self.problem.space.valid(genes)
        member[member] = np.asarray(self.problem.feasible(genes[member]), dtype=bool)
        kept = Archive(self.problem.num_objectives)
        for i in np.flatnonzero(member):
            kept.add(archive.good[i])
        return [kept.good[i] for i in kept.window(len(kept), MOST_RESULTS)]

    def learn(self, evaluation: Evaluation) -> None:
        told = replace(evaluation, number=evaluation.number + self._offset, token=evaluation.token.get("own", {}))
        self.parts["strategy"].tell(told)

    def ask(self, number: int, pending: Sequence[Genes]) -> Proposal | Wait | Exhausted:
        waiting = {key_of(genes) for genes in pending}
        for evaluation in self._first:
            key = key_of(evaluation.genes)
            if key not in self.seen and key not in waiting:
                return Proposal(evaluation.genes, {"kind": "earlier"})
        answer = self.parts["strategy"].ask(number + self._offset, pending)
        if isinstance(answer, Proposal):
            return Proposal(answer.genes, {"own": answer.token}, answer.fidelity)
        return answer


def best_first(evaluations: Sequence[Evaluation], count: int) -> list[Evaluation]:
    """Up to ``count`` of the non-dominated ones, the ends and the loneliest first."""
    if not evaluations or count == 0:
        return []
    F = np.array([evaluation.objectives for evaluation in evaluations], dtype=np.float64)
    front = np.flatnonzero(non_dominated(F))
    order = np.argsort(-crowding(F[front]), kind="stable")
    return [evaluations[i] for i in front[order][:count]]
