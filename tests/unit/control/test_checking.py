"""What is wrong with a specification, all of it at once, and what a right one would do."""

from __future__ import annotations

from dataclasses import replace

import pytest

from nas_service.control.check import check_spec
from nas_service.control.plan import plan_search
from nas_service.domain.search import Budget, Constraint, Finalists, LatencyTarget, MethodChoice, Objective
from nas_service.errors import InvalidInput
from nas_service.storage.session import run_in_transaction
from tests.support.searches import ACCURACY, LATENCY, MACS, digits_space, install, with_maximum


@pytest.fixture(scope="module")
def spec(engine):
    return install(engine)


def problems_of(engine, spec):
    with pytest.raises(InvalidInput) as caught:
        run_in_transaction(engine, lambda session: check_spec(session, spec))
    return {problem.pointer for problem in caught.value.problems}


def test_parameters_are_completed(engine, spec):
    checked = run_in_transaction(engine, lambda session: check_spec(session, spec))
    assert checked.spec.evaluator.recipe.params["num_epochs"] == 1
    assert "learning_rate" in checked.spec.evaluator.recipe.params
    assert type(spec).from_json(checked.spec.to_json()) == checked.spec


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"space_id": "spc_0"}, "/space_id"),
        ({"dataset_id": "nothing"}, "/dataset_id"),
        ({"strategy": MethodChoice("magic")}, "/strategy/name"),
        ({"strategy": MethodChoice("random", {"luck": 1})}, "/strategy/params/luck"),
        (
            {"strategy": MethodChoice("flow", {"steps": [{"strategy": {"name": "magic"}}]})},
            "/strategy/params/steps/0/strategy/name",
        ),
        ({"strategy": MethodChoice("fixed", {"architectures": [{"depth": -7}]})}, "/strategy/params"),
        ({"strategy": MethodChoice("grid")}, "/strategy/params"),
        ({"objectives": ()}, "/objectives"),
        ({"objectives": (Objective("beauty", "maximize"),)}, "/objectives/0/metric"),
        ({"objectives": (MACS, MACS)}, "/objectives/1/metric"),
        ({"objectives": (ACCURACY, replace(MACS, optimize=False))}, "/objectives/1"),
        ({"objectives": (ACCURACY, replace(MACS, constraint=Constraint(2, 1)))}, "/objectives/1/constraint"),
        ({"objectives": (replace(ACCURACY, constraint=Constraint(2, None)),)}, "/objectives/0/constraint/minimum"),
        ({"objectives": (ACCURACY, with_maximum(MACS, -1))}, "/objectives/1/constraint/maximum"),
        ({"objectives": (Objective("latency_ms", "minimize"),)}, "/objectives/0/target"),
        ({"objectives": (replace(LATENCY, target=LatencyTarget("moon")),)}, "/objectives/0/target/device"),
        ({"objectives": (replace(LATENCY, target=LatencyTarget("local-cpu", "tvm")),)}, "/objectives/0/target/runtime"),
        ({"budget": Budget(trials=0)}, "/budget"),
        ({"parallelism": 0}, "/parallelism"),
        ({"finalists": Finalists(mode="inherit", seeds=3)}, "/finalists/mode"),
        ({"finalists": Finalists(mode="retrain", recipe=MethodChoice("sandwich"))}, "/finalists/recipe/name"),
    ],
)
def test_each_problem_names_its_place(engine, spec, change, pointer):
    assert pointer in problems_of(engine, replace(spec, **change))


def test_all_problems_come_at_once(engine, spec):
    wrong = replace(spec, parallelism=0, budget=Budget(trials=0), strategy=MethodChoice("magic"))
    assert problems_of(engine, wrong) == {"/parallelism", "/budget", "/strategy/name"}


def test_a_plan_counts_costs_and_jobs_and_starts_nothing(engine, spec, tmp_path):
    plan = run_in_transaction(
        engine, lambda session: plan_search(session, replace(spec, objectives=(ACCURACY, MACS)), tmp_path)
    )
    space = digits_space()
    assert plan["space"]["cardinality"] == str(space.cardinality)
    assert plan["costs"]["macs"]["maximum"] >= space.costs(space.largest()[None])["macs"][0]
    assert plan["constraints"]["feasible_share"] == 1.0
    assert plan["jobs"] == {"train_supernet": 1, "fit_latency": 0, "evaluate": 8, "train_network": 0, "measure": 0}
    tight = replace(spec, objectives=(ACCURACY, with_maximum(MACS, 1)))
    assert not run_in_transaction(engine, lambda session: plan_search(session, tight, tmp_path))["constraints"][
        "any_feasible"
    ]
