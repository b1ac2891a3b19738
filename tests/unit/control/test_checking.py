"""What is wrong with a specification, all of it at once, and what a right one would do."""

from __future__ import annotations

from dataclasses import replace

import pytest

from nas_service.control.check import check_spec
from nas_service.control.plan import plan_search
from nas_service.control.reach import check_reachable
from nas_service.domain.search import Budget, Constraint, Finalists, LatencyTarget, MethodChoice, Objective
from nas_service.errors import InvalidInput
from nas_service.storage.session import run_in_transaction
from search_spaces.library_index import load_library
from tests.support.searches import ACCURACY, LATENCY, MACS, digits_space, install, with_maximum, with_minimum


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


@pytest.mark.parametrize(
    ("params", "copies"),
    [
        ({}, 2),  # weights and momentum
        ({"optimiser": "adamw", "ema_decay": 0.9}, 4),  # weights, two moments, moving average
    ],
)
def test_a_plan_knows_what_checkpoints_take(engine, spec, tmp_path, params, copies):
    evaluator = replace(spec.evaluator, recipe=MethodChoice("sandwich", params))
    plan = run_in_transaction(
        engine, lambda session: plan_search(session, replace(spec, evaluator=evaluator), tmp_path)
    )
    assert plan["disk_bytes"] == 4 * digits_space().supernet_params() * copies * 3


PARAMS = Objective("params", "minimize")


@pytest.mark.parametrize("library", ["digits-mobile", "digits-mlp"])
def test_bounds_are_refused_exactly_where_nothing_keeps_them(engine, spec, tmp_path, library):
    """Of the large space the smallest is found by going downhill, the small one is looked through."""
    space = (
        digits_space() if library == "digits-mobile" else load_library(library).bind(classes=10, input={"features": 64})
    )
    costs = space.costs(space.enumerate(300_000), names=("macs", "params"))
    lowest, highest = int(costs["macs"].min()), int(costs["macs"].max())

    def problems_with(*objectives):
        problems = []
        check_reachable(replace(spec, objectives=(ACCURACY, *objectives)), space, None, problems)
        return [(problem.pointer, problem.suggestion) for problem in problems]

    at = "/objectives/1/constraint"
    assert problems_with(with_maximum(MACS, lowest)) == []
    assert problems_with(with_maximum(MACS, lowest - 1)) == [(f"{at}/maximum", f"at least {lowest}")]
    assert problems_with(with_minimum(MACS, highest)) == []
    assert problems_with(with_minimum(MACS, highest + 1)) == [(f"{at}/minimum", f"at most {highest}")]
    # Few multiplications and many parameters: each can be had, but not both.
    most = int(costs["params"].max())
    assert problems_with(with_maximum(MACS, lowest), with_minimum(PARAMS, most)) == [
        ("/objectives", "widen one of them")
    ]


def test_a_plan_refuses_what_creating_refuses(engine, spec, tmp_path):
    tight = replace(spec, objectives=(ACCURACY, with_maximum(MACS, 1)))
    assert problems_of(engine, tight) == {"/objectives/1/constraint/maximum"}
    with pytest.raises(InvalidInput) as caught:
        run_in_transaction(engine, lambda session: plan_search(session, tight, tmp_path))
    assert "the smallest found has" in caught.value.problems[0].message
    space = digits_space()  # a bound that hardly any architecture keeps is none that nothing keeps
    rare = with_maximum(MACS, int(space.costs(space.smallest()[None], names=("macs",))["macs"][0]))
    plan = run_in_transaction(
        engine, lambda session: plan_search(session, replace(spec, objectives=(ACCURACY, rare)), tmp_path)
    )
    assert (plan["constraints"]["any_feasible"], plan["constraints"]["feasible_share"]) == (True, 0.0)


def test_what_takes_too_long_to_decide_is_accepted(engine, spec, monkeypatch):
    monkeypatch.setattr("nas_service.control.reach._MAX_EVALUATED", 5)
    problems = []
    check_reachable(replace(spec, objectives=(ACCURACY, with_maximum(MACS, 1))), digits_space(), None, problems)
    assert problems == []
