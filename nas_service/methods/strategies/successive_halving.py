"""Asynchronous successive halving (ASHA, Li et al. 2020) over the fidelities of the evaluator.

Everything new is evaluated at the lowest fidelity; whenever a worker is free the best third (``eta``) of a rung moves
up, without waiting for the rung to be complete. Any other strategy can propose the new ones (BOHB is ``optuna`` here);
it learns from the lowest fidelity alone, where its proposals are comparable. With several objectives a rung is ordered
by front and crowding (as MO-ASHA does). Departure: the last tenth of a known budget, and what is left when nothing new
can be proposed, goes to full evaluations of the best, so that a search cannot end without a front.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from pydantic import Field

from nas_service.domain.pareto import crowding, front_ranks
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

_RESERVE = 10
_ROUNDING = 1 + 1e-9


class SuccessiveHalvingParams(StrategyParams):
    """Parameters of ``successive_halving``."""

    eta: int = Field(3, ge=2, le=100, description="One in so many moves up; also the least ratio of fidelities.")
    strategy: Nested = Field(
        default_factory=lambda: Nested(name="auto", params={}), description="What proposes new architectures."
    )


class Rung:
    """Results at one fidelity, with an order of merit that is refreshed every few results."""

    def __init__(self, fidelity: float) -> None:
        self.fidelity = fidelity
        self.good: list[Evaluation] = []
        self.num_told = 0
        self.num_moved_up = 0
        self._order: list[int] = []
        self._ordered = 0

    def best_first(self) -> list[Evaluation]:
        """The successes by front, then by crowding, then by age; of the last fiftieth the order is not known yet."""
        known = len(self.good) - len(self.good) % max(1, len(self.good) // 50)
        if known != self._ordered:
            F = np.array([e.objectives for e in self.good[:known]], dtype=np.float64)
            ranks = front_ranks(F)
            lonely = np.zeros(known)
            for rank in range(int(ranks.max()) + 1):
                rows = np.flatnonzero(ranks == rank)
                lonely[rows] = crowding(F[rows])
            self._order = np.lexsort((np.arange(known), -lonely, ranks)).tolist()
            self._ordered = known
        return [self.good[i] for i in self._order]


class SuccessiveHalving(ComposedStrategy):
    """Promotion type: from the highest rung down the first that has earned it, else something new."""

    name = "successive_halving"
    help = (
        "Many short evaluations, few full ones (ASHA); for evaluators with several fidelities. With one fidelity it is "
        "the inner strategy."
    )
    Params = SuccessiveHalvingParams

    def __init__(self, problem: Problem, params: StrategyParams | None = None) -> None:
        super().__init__(problem, params)
        self._rungs = [Rung(fidelity) for fidelity in rung_fidelities(problem.fidelities, self.params.eta)]
        self._at = {rung.fidelity: i for i, rung in enumerate(self._rungs)}
        self._reached: dict[bytes, int] = {}
        lowest = replace(problem, fidelities=(1.0,))
        self.parts["new"] = self.params.strategy.build(lowest)

    def learn(self, evaluation: Evaluation) -> None:
        i = self._at.get(evaluation.fidelity)
        if i is None:
            return  # a fidelity of another search's rungs
        key = key_of(evaluation.genes)
        before = self._reached.get(key, 0)
        for lower in self._rungs[before:i]:
            lower.num_moved_up += 1
        self._reached[key] = max(i, before)
        rung = self._rungs[i]
        rung.num_told += 1
        if evaluation.status == "succeeded":
            rung.good.append(evaluation)
        if i == 0:
            told = replace(
                evaluation,
                number=rung.num_told - 1,
                token=evaluation.token.get("own", {}),
                fidelity=1.0,
            )
            self.parts["new"].tell(told)

    def ask(self, number: int, pending: Sequence[Genes]) -> Proposal | Wait | Exhausted:
        waiting = {key_of(genes) for genes in pending}
        if self._ending(number):
            last = self._last(waiting)
            if last is not None:
                return last
        for i in range(len(self._rungs) - 2, -1, -1):
            rung = self._rungs[i]
            quota = rung.num_told // self.params.eta
            if rung.num_moved_up + sum(self._reached.get(key) == i for key in waiting) >= quota:
                continue  # also when those that moved up before have since been overtaken
            for evaluation in rung.best_first()[:quota]:
                key = key_of(evaluation.genes)
                if self._reached[key] == i and key not in waiting:
                    return Proposal(evaluation.genes, {"rung": i + 1}, self._rungs[i + 1].fidelity)
        new_pending = sum(key not in self._reached for key in waiting)
        answer = self.parts["new"].ask(self._rungs[0].num_told + new_pending, pending)
        if isinstance(answer, Proposal):
            return Proposal(answer.genes, {"rung": 0, "own": answer.token}, self._rungs[0].fidelity)
        if isinstance(answer, Exhausted) and pending:
            return Wait("nothing new is left; what is pending may move up")
        return self._last(waiting) or answer if isinstance(answer, Exhausted) else answer

    def _ending(self, number: int) -> bool:
        budget = self.problem.budget
        return budget is not None and number >= budget - max(1, budget // _RESERVE)

    def _last(self, waiting: set[bytes]) -> Proposal | None:
        """The best of the highest rung that was not evaluated in full, now in full."""
        top = len(self._rungs) - 1
        for i in range(top - 1, -1, -1):
            for evaluation in self._rungs[i].best_first():
                key = key_of(evaluation.genes)
                if self._reached[key] == i and key not in waiting:
                    return Proposal(evaluation.genes, {"rung": top}, 1.0)
        return None


def rung_fidelities(fidelities: Sequence[float], eta: int) -> list[float]:
    """Ascending fidelities, each at least ``eta`` times the one before; the full one is always the last."""
    rungs = [fidelities[0]]
    for fidelity in fidelities[1:-1]:
        if fidelity * _ROUNDING >= eta * rungs[-1] and fidelities[-1] * _ROUNDING >= eta * fidelity:
            rungs.append(fidelity)
    return rungs if len(fidelities) == 1 else [*rungs, fidelities[-1]]
