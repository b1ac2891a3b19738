"""The default: model-based while trials are few and dear, evolution beside it once they are many."""

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
)
from nas_service.methods.strategies.nsga2 import Nsga2
from nas_service.methods.strategies.surrogate import Surrogate

_MODEL_ONLY_UNTIL = 600
_MODEL_EVERY, _MODEL_RARELY, _RARELY_FROM = 4, 20, 2_000
_MOST_OBJECTIVES = 4
_MOST_GENES = 200


class AutoParams(StrategyParams):
    """``auto`` has no parameters: that is its point."""


class Auto(Strategy):
    """Surrogate first; later one ask in four, then in twenty, with NSGA-II between; that alone for too many genes."""

    name = "auto"
    help = "The best known composition, without choices. Below about 30 evaluations nothing beats random search."
    Params = AutoParams

    def __init__(self, problem: Problem, params: StrategyParams | None = None) -> None:
        super().__init__(problem, params)
        self._surrogate = Surrogate(problem)
        self._evolution = Nsga2(problem)
        self._modelled = problem.num_objectives <= _MOST_OBJECTIVES and len(problem.space.genes) <= _MOST_GENES

    def learn(self, evaluation: Evaluation) -> None:
        self._surrogate.tell(evaluation)
        self._evolution.tell(evaluation)

    def ask(self, number: int, pending: Sequence[Genes]) -> Proposal | Wait | Exhausted:
        if number < 2 and any(gene.ordered for gene in self.problem.space.genes):
            return self._evolution.ask(number, pending)
        every = _MODEL_EVERY if number < _RARELY_FROM else _MODEL_RARELY
        model = self._modelled and (number < _MODEL_ONLY_UNTIL or number % every == 0)
        return (self._surrogate if model else self._evolution).ask(number, pending)

    @property
    def num_rejected(self) -> int:
        return self._surrogate.num_rejected + self._evolution.num_rejected

    def state(self) -> dict[str, Any]:
        return {"surrogate": self._surrogate.state(), "evolution": self._evolution.state()}

    def restore(self, state: dict[str, Any], history: Iterable[Evaluation]) -> None:
        super().restore(state, history)
        self._surrogate.restore(state["surrogate"], [])
        self._evolution.restore(state["evolution"], [])
