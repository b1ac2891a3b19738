"""Options of the command line as requests for searches over tables."""

from __future__ import annotations

import pytest

from nas_service.api.table_schemas import TableSearchIn
from nas_service.cli.search_request import objective, request_from
from nas_service.cli.searches import status_line
from nas_service.errors import InvalidInput


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("accuracy", {"metric": "accuracy"}),
        ("latency ms<5", {"metric": "latency ms", "constraint": {"maximum": 5.0}}),
        ("accuracy>70.5", {"metric": "accuracy", "constraint": {"minimum": 70.5}}),
    ],
)
def test_an_objective_may_carry_a_bound_on_either_side(text, expected):
    assert objective(text) == expected


def test_a_table_takes_the_place_of_space_and_data_set():
    body = request_from(table="cells", objectives=["acc", "ms<5"], strategy="auto", trials=300, seed=4)
    spec = TableSearchIn.model_validate(body).to_spec("", {"acc": "maximize"})
    assert [(o.metric, o.goal) for o in spec.objectives] == [("acc", "maximize"), ("ms", "minimize")]
    assert (spec.evaluator.table_id, spec.budget.trials, spec.seed, spec.finalists.count) == ("cells", 300, 4, 0)
    with pytest.raises(InvalidInput, match="metrics of the table"):
        request_from(table="cells")


def test_progress_tells_how_far_the_true_front_is():
    search = {"name": "s", "state": "succeeded", "num_told": 9, "hypervolume": 2.0, "front_size": 3}
    assert "true front" not in status_line(search | {"normalised_hypervolume": None, "regret": None})
    line = status_line(search | {"normalised_hypervolume": 0.75, "regret": 0.25})
    assert "75.0 % of the true front's, regret 0.25" in line
