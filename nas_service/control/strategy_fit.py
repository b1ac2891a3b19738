"""Does a strategy with these parameters go with this space? Asked before anything is trained for the search."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nas_service.domain.search import SearchSpec
from nas_service.errors import Problem
from nas_service.methods.strategies.base import Problem as StrategyProblem
from nas_service.methods.strategies.registry import STRATEGIES
from search_spaces.errors import SpaceError
from search_spaces.space import SearchSpace


def check_fit(spec: SearchSpec, space: SearchSpace, cost_names: Sequence[str], problems: list[Problem]) -> None:
    """Builds the strategy on the space without constraints; what it refuses is added to ``problems``.

    ``spec`` has complete strategy parameters; ``cost_names`` are the costs known before an evaluation.
    """
    problem = StrategyProblem(
        space=space,
        num_objectives=len(spec.axes),
        seed=spec.seed,
        feasible=lambda genes: np.ones(len(genes), dtype=bool),
        bounds={},
        costs=lambda genes: {name: np.zeros(len(genes)) for name in cost_names},
        objective_names=tuple(axis.metric for axis in spec.axes),
        known=(False,) * len(spec.axes),
        budget=spec.budget.trials,
    )
    kind = STRATEGIES[spec.strategy.name]
    try:
        kind(problem, kind.Params.model_validate(spec.strategy.params))
    except (SpaceError, ValueError) as error:
        message = f"{spec.strategy.name} does not go with this search: {error}"[:2000]
        problems.append(Problem("/strategy/params", "conflict", message))
