"""Strategies that fit a model to the successes told so far, anew as these grow."""

from __future__ import annotations

from typing import ClassVar

from nas_service.methods.strategies.archive import Archive, milestone
from nas_service.methods.strategies.base import Evaluation, Problem, StrategyParams
from nas_service.methods.strategies.starting import StartingStrategy


class LearningStrategy(StartingStrategy):
    """Random for ``params.initial`` asks and until ``fewest`` successes are told, which is when the model begins."""

    fewest: ClassVar[int] = 4

    def __init__(self, problem: Problem, params: StrategyParams | None = None) -> None:
        super().__init__(problem, params)
        self.num_starts = self.params.initial
        self._archive = Archive(problem.num_objectives)
        self._fitted_at = 0  # how many successes the model was fitted to

    @property
    def ready(self) -> bool:
        return len(self._archive) >= self.fewest

    def learn(self, evaluation: Evaluation) -> None:
        if evaluation.status == "succeeded":
            self._archive.add(evaluation)

    def _due(self) -> int:
        """How many of the first successes the model is fitted to now."""
        return milestone(len(self._archive), self.fewest)
