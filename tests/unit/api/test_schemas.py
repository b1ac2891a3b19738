"""Wire models: a small request becomes a complete specification; every wrong one names its field."""

import copy

import pytest
from pydantic import ValidationError

from nas_service.api.schemas import METRICS, MetricName, SearchIn
from nas_service.domain.search import SearchSpec
from nas_service.errors import InvalidInput

MINIMAL = {
    "name": "one",
    "space": {"library": "digits-mobile"},
    "dataset": "digits",
    "objectives": [{"metric": "accuracy_top1"}, {"metric": "macs"}],
    "budget": {"trials": 10},
}


def changed(**fields):
    return {**copy.deepcopy(MINIMAL), **fields}


def to_spec(data):
    return SearchIn.model_validate(data).to_spec("spc_1", "dat_1")


def test_defaults_are_written_out():
    spec = to_spec(MINIMAL)
    assert spec.strategy.name == "auto"
    assert spec.strategy.params == {}
    assert to_spec(changed(strategy={"name": "nsga2"})).strategy.params["mode"] == "steady_state"
    assert spec.evaluator.recipe.name == "sandwich"
    assert spec.evaluator.recipe.params == {}
    assert [objective.goal for objective in spec.objectives] == ["maximize", "minimize"]
    assert SearchSpec.from_json(spec.to_json()) == spec


def test_a_whole_number_may_be_written_as_a_double():
    assert to_spec(changed(seed=5.0, budget={"trials": 10.0})).seed == 5


def test_every_metric_can_be_named():
    assert set(MetricName.__args__) == set(METRICS)


def test_latency_has_a_target():
    objective = {"metric": "latency_ms", "runtime": "torch", "threads": 2, "constraint": {"maximum": 3}}
    spec = to_spec(changed(objectives=[*MINIMAL["objectives"], objective]))
    assert spec.latency_target.device == "local-cpu"
    assert spec.latency_target.runtime == "torch"
    assert spec.latency_target.threads == 2
    assert spec.objectives[2].constraint.maximum == 3


ACCURACY = {"metric": "accuracy_top1"}


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({"objectives": [ACCURACY, ACCURACY]}, "/objectives/1/metric"),
        ({"objectives": [{"metric": "macs"}]}, "/objectives"),
        ({"objectives": [{"metric": name} for name in list(METRICS)[:5]]}, "/objectives"),
        ({"objectives": [ACCURACY, {"metric": "macs", "optimize": False}]}, "/objectives/1/constraint"),
        ({"objectives": [ACCURACY, {"metric": "macs", "device": "x"}]}, "/objectives/1/device"),
        ({"strategy": {"name": "magic"}}, "/strategy/name"),
        ({"strategy": {"name": "auto", "params": {"wrong": 1}}}, "/strategy/params/wrong"),
        ({"evaluator": {"recipe": {"name": "alone"}}}, "/evaluator/recipe/name"),
        (
            {"evaluator": {"recipe": {"name": "sandwich", "params": {"augmentation": {"zoom": 2}}}}},
            "/evaluator/recipe/params/augmentation/zoom",
        ),
        ({"evaluator": {"recipe": {"name": "uniform"}, "supernet_id": "sup_" + "0" * 32}}, "/evaluator/recipe"),
        ({"finalists": {"seeds": 3}}, "/finalists/seeds"),
        ({"finalists": {"recipe": {"name": "alone"}}}, "/finalists/recipe"),
        ({"finalists": {"mode": "retrain", "recipe": {"name": "sandwich"}}}, "/finalists/recipe/name"),
    ],
)
def test_rules_name_the_field(fields, pointer):
    with pytest.raises(InvalidInput) as caught:
        to_spec(changed(**fields))
    assert caught.value.problems[0].pointer == pointer


@pytest.mark.parametrize(
    "fields",
    [
        {"name": ""},
        {"name": "a\nb"},
        {"name": "x" * 201},
        {"seed": -1},
        {"seed": 2**63},
        {"seed": "1"},
        {"seed": 1.5},
        {"seed": 1e300},
        {"seed": True},
        {"parallelism": 0},
        {"budget": {"trials": 0}},
        {"budget": {"trials": 1, "wall_s": float("nan")}},
        {"budget": {}},
        {"objectives": []},
        {"objectives": [{"metric": "speed"}]},
        {"objectives": [{"metric": "macs", "constraint": {}}]},
        {"objectives": [{"metric": "macs", "constraint": {"minimum": 2, "maximum": 1}}]},
        {"dataset": "../etc"},
        {"space": {"id": "spc_1"}},
        {"extra": 1},
        {"evaluator": {"kind": "other"}},
        {"finalists": {"mode": "inherit", "count": 0}},
    ],
)
def test_shapes_and_ranges(fields):
    with pytest.raises(ValidationError):
        SearchIn.model_validate(changed(**fields))
