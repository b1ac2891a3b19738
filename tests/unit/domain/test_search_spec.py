"""A search specification survives its JSON form, and its helpers say which objectives span the front."""

from __future__ import annotations

import json

from nas_service.domain.metrics import METRICS
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


def specification() -> SearchSpec:
    return SearchSpec(
        name="digits",
        space_id="spc_" + "0" * 32,
        dataset_id="dat_" + "0" * 32,
        objectives=(
            Objective("accuracy_top1", "maximize"),
            Objective("latency_ms", "minimize", Constraint(maximum=2.0), LatencyTarget("local-cpu")),
            Objective("params", "minimize", Constraint(maximum=1e5), optimize=False),
        ),
        evaluator=EvaluatorSpec("supernet", recipe=MethodChoice("sandwich", {"num_random": 2})),
        strategy=MethodChoice("nsga2"),
        budget=Budget(trials=100),
        finalists=Finalists(count=5, mode="retrain", seeds=3, recipe=MethodChoice("alone")),
        seed=7,
    )


def test_json_round_trip_keeps_everything() -> None:
    spec = specification()
    assert SearchSpec.from_json(json.loads(json.dumps(spec.to_json()))) == spec


def test_axes_leave_out_pure_bounds() -> None:
    spec = specification()
    assert [objective.metric for objective in spec.axes] == ["accuracy_top1", "latency_ms"]
    assert [objective.sign for objective in spec.axes] == [-1.0, 1.0]
    assert spec.latency_target == LatencyTarget("local-cpu")


def test_metrics_are_registered_under_their_own_names() -> None:
    assert all(name == metric.name for name, metric in METRICS.items())
