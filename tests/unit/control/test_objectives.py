"""Objectives as a strategy sees them: signs, what costs tell beforehand, bounds, references, fronts and finalists."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from nas_service.control.fronts import candidates, front_of
from nas_service.control.objectives import build_problem, reference_point
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
        assert spec.violations({"accuracy_top1": value, "macs": 1e12}) == []
    assert spec.violations({"accuracy_top1": 0.49}) == [{"metric": "accuracy_top1", "value": 0.49, "minimum": 0.5}]
    assert spec.violations({"accuracy_top1": 0.91}) == [{"metric": "accuracy_top1", "value": 0.91, "maximum": 0.9}]


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


def trials_at(*points: tuple[float, float]) -> list[Any]:
    """Trials of an accuracy and of MACs."""
    values = [{"accuracy_top1": accuracy, "macs": macs} for accuracy, macs in points]
    return [SimpleNamespace(number=number, value=value.get) for number, value in enumerate(values)]


def search_at(reference: list[float] | None) -> Any:
    spec = spec_of(Objective("accuracy_top1", "maximize"), Objective("macs", "minimize"))
    return SimpleNamespace(id="srch_1", spec=spec.to_json(), reference_point=reference)


def numbers(found: list[Any]) -> list[int]:
    return [trial.number for trial in found]


def test_a_front_is_ordered_by_its_first_axis_and_hides_no_finalist():
    found = trials_at((0.5, 10.0), (0.9, 80.0), (0.7, 40.0), (0.6, 50.0), (math.nan, 1.0))
    front = front_of(search_at([0.0, 100.0]), "final", found, 5)
    assert (numbers(front.points), numbers(front.dominated)) == ([1, 2, 0], [3])
    # What the front would lose without each: what it has over the one before, up to the next.
    assert front.contributions == pytest.approx([0.2 * 20, 0.2 * 40, 0.5 * 30])
    assert front.hypervolume == pytest.approx(0.9 * 20 + 0.7 * 40 + 0.5 * 30)
    searched = front_of(search_at([0.0, 100.0]), "search", found, 5)
    assert (numbers(searched.points), searched.dominated) == ([1, 2, 0], [])
    before = front_of(search_at(None), "search", found, 5)
    assert (before.hypervolume, before.contributions) == (None, [0.0] * 3)


def test_the_ends_of_a_front_become_finalists_before_two_that_are_alike():
    found = trials_at((1.0, 100.0), (0.55, 50.0), (0.5, 45.0), (0.0, 0.0), (0.4, 90.0))
    assert numbers(candidates(search_at([0.0, 1e6]), found, 2))[1:] == [3, 0, 2]
    assert numbers(candidates(search_at([0.0, 1e6]), found, 2))[0] == 1
    assert candidates(search_at([0.0, 1e6]), [], 2) == []
