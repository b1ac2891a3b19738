"""Objectives as a strategy sees them: signs, what costs tell beforehand, bounds, and the reference of hypervolumes."""

from __future__ import annotations

import math

import numpy as np
import pytest

from nas_service.control.objectives import build_problem, reference_point, violations
from nas_service.domain.search import (
    Budget,
    Constraint,
    EvaluatorSpec,
    Finalists,
    LatencyTarget,
    MethodChoice,
    Objective,
    SearchSpec,
)
from tests.support.searches import digits_space


def spec_of(*objectives: Objective) -> SearchSpec:
    return SearchSpec(
        name="small",
        space_id=digits_space().id,
        dataset_id="dst_1",
        objectives=objectives,
        evaluator=EvaluatorSpec("supernet", recipe=MethodChoice("sandwich", {})),
        strategy=MethodChoice("nsga2", {}),
        budget=Budget(trials=24),
        finalists=Finalists(count=3),
        parallelism=4,
        seed=7,
    )


def test_costs_tell_an_objective_beforehand_where_less_of_it_is_better():
    spec = spec_of(
        Objective("accuracy_top1", "maximize"),
        Objective("macs", "minimize"),
        Objective("params", "maximize"),  # its negative is what is minimised, and no cost says that
        Objective("latency_ms", "minimize", target=LatencyTarget("local-cpu")),
    )
    assert build_problem(spec, digits_space(), None).known == (False, True, False, False)


@pytest.mark.parametrize(
    ("metric", "minimised", "maximised"),
    [
        ("accuracy_top1", 1.0, 0.0),
        ("f1_macro", 1.0, 0.0),
        ("loss", 2 * math.log(10), 0.0),  # a network that guesses one of ten classes has half of it
        ("perplexity", 10.0, -1.0),
    ],
)
def test_scores_are_measured_from_a_network_that_guesses(metric, minimised, maximised):
    for goal, expected in (("minimize", minimised), ("maximize", maximised)):
        spec = spec_of(Objective(metric, goal))
        assert reference_point(spec, build_problem(spec, digits_space(), None)) == [pytest.approx(expected)]


def test_costs_are_measured_from_a_tenth_above_the_largest():
    space = digits_space()
    spec = spec_of(Objective("macs", "minimize"), Objective("params", "maximize"))
    largest = space.costs(space.largest()[None])["macs"][0]
    assert (space.costs(space.sample(2000, np.random.default_rng(3)))["macs"] <= largest).all()
    assert reference_point(spec, build_problem(spec, space, None)) == [pytest.approx(1.1 * largest), 0.0]


def test_bounds_are_inclusive_and_say_by_what_they_are_broken():
    bounds = Constraint(minimum=0.5, maximum=0.9)
    spec = spec_of(Objective("accuracy_top1", "maximize", constraint=bounds), Objective("macs", "minimize"))
    for value in (0.5, 0.7, 0.9, None):
        assert violations(spec, {"accuracy_top1": value, "macs": 1e12}) == []
    assert violations(spec, {"accuracy_top1": 0.49}) == [{"metric": "accuracy_top1", "value": 0.49, "minimum": 0.5}]
    assert violations(spec, {"accuracy_top1": 0.91}) == [{"metric": "accuracy_top1", "value": 0.91, "maximum": 0.9}]


def test_only_bounds_on_costs_reject_beforehand():
    space = digits_space()
    genes = space.sample(200, np.random.default_rng(0))
    macs = space.costs(genes)["macs"]
    low, high = (float(value) for value in np.quantile(macs, [0.25, 0.75]))
    spec = spec_of(
        Objective("accuracy_top1", "maximize", constraint=Constraint(minimum=0.99)),
        Objective("macs", "minimize", constraint=Constraint(low, high)),
    )
    problem = build_problem(spec, space, None)
    assert (problem.feasible(genes) == ((macs >= low) & (macs <= high))).all()
    assert problem.bounds == {"macs": (low, high)}
    assert problem.feasible(genes[:0]).shape == (0,)
