"""From metrics to minimised objectives, and what is known of an architecture before any evaluation."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from nas_service.domain.latency_estimator import predict_latency_ms
from nas_service.domain.records import TrialRecord
from nas_service.domain.search import SearchSpec
from nas_service.methods.strategies.base import Genes, Problem
from search_spaces.space import COST_NAMES, SearchSpace

_REFERENCE_SAMPLES = 1000


def objectives_of(spec: SearchSpec, trial: TrialRecord) -> tuple[float, ...] | None:
    """Minimised objectives of a trial, one per axis; None when one is missing or not a finite number."""
    values = [trial.value(axis.metric) for axis in spec.axes]
    if any(value is None or not math.isfinite(value) for value in values):
        return None
    return tuple(axis.sign * float(value) for axis, value in zip(spec.axes, values, strict=True))  # type: ignore[arg-type]


def cost_function(
    space: SearchSpace, estimator: dict[str, Any] | None, names: Sequence[str] = COST_NAMES
) -> Callable[[Genes], dict[str, np.ndarray]]:
    """Genes (n, G) to what is known without an evaluation: exact costs and, with an estimator, ``latency_ms``."""

    def costs(genes: Genes) -> dict[str, np.ndarray]:
        known: dict[str, np.ndarray] = dict(space.costs(genes, names=names)) if names else {}
        if estimator is not None:
            known["latency_ms"] = np.asarray(predict_latency_ms(estimator, space, genes), dtype=np.float64)
        return known

    return costs


def feasibility(spec: SearchSpec, costs: Callable[[Genes], dict[str, np.ndarray]]) -> Callable[[Genes], np.ndarray]:
    """Genes (n, G) to whether (n,) they keep every constraint that needs no evaluation."""
    bounds = [
        (objective.metric, objective.constraint)
        for objective in spec.objectives
        if objective.constraint is not None and objective.source != "evaluator"
    ]

    def feasible(genes: Genes) -> np.ndarray:
        keeps = np.ones(len(genes), dtype=bool)
        if not bounds or len(genes) == 0:
            return keeps
        known = costs(genes)
        for metric, bound in bounds:
            if metric in known:
                keeps &= bound.keeps(known[metric])
        return keeps

    return feasible


def build_problem(spec: SearchSpec, space: SearchSpace, estimator: dict[str, Any] | None) -> Problem:
    """What the strategy of a search is to solve. ``estimator`` stands in for measured latency."""
    costs = cost_function(space, estimator)
    cost_bounds = {
        objective.metric: (objective.constraint.minimum, objective.constraint.maximum)
        for objective in spec.objectives
        if objective.constraint is not None and objective.source == "cost"
    }
    return Problem(
        space=space,
        num_objectives=len(spec.axes),
        seed=spec.seed,
        feasible=feasibility(spec, costs),
        bounds=cost_bounds,
        costs=costs,
        objective_names=tuple(axis.metric for axis in spec.axes),
        known=tuple(
            axis.sign > 0 and (axis.source == "cost" or (axis.source == "device" and estimator is not None))
            for axis in spec.axes
        ),
        budget=spec.budget.trials,
    )


def reference_point(spec: SearchSpec, problem: Problem) -> list[float]:
    """Fixed point (minimised) that bounds hypervolumes of a search: a network that guesses, as costly as any.

    Costs: a tenth above the largest of the largest architecture and of 1,000 random ones, drawn with a fixed seed.
    """
    space = problem.space
    # As many as a network has outputs: classes, or tokens of the vocabulary.
    num_guesses = max(2, int(space.resolve(space.smallest()).nodes[-1].out_shape.features))  # type: ignore[union-attr]
    sampled = space.sample(_REFERENCE_SAMPLES, np.random.default_rng(0))
    known = problem.costs(np.concatenate((space.largest()[None], sampled)))
    point = []
    for axis in spec.axes:
        if axis.metric in ("accuracy_top1", "f1_macro"):
            point.append(0.0 if axis.sign < 0 else 1.0)
        elif axis.metric == "loss":
            point.append(2.0 * math.log(num_guesses) if axis.sign > 0 else 0.0)
        elif axis.metric == "perplexity":
            point.append(float(num_guesses) if axis.sign > 0 else -1.0)
        else:
            point.append(1.1 * float(known[axis.metric].max()) if axis.sign > 0 else 0.0)
    return point
