"""Options of the command line as requests for searches over tables."""

from __future__ import annotations

import pytest

from nas_service.api.table_schemas import TableSearchIn
from nas_service.cli.searches import objective, objectives_or_usual, request_from, status_line
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
    chosen = objectives_or_usual(["acc", "ms<5"], "cells")
    body = request_from(None, "digits-mobile", "digits", chosen, "auto", 300, 8, 4, "cells")
    spec = TableSearchIn.model_validate(body).to_spec("", {"acc": "maximize"})
    assert [(o.metric, o.goal) for o in spec.objectives] == [("acc", "maximize"), ("ms", "minimize")]
    assert (spec.evaluator.table_id, spec.budget.trials, spec.seed, spec.finalists.count) == ("cells", 300, 4, 0)
    with pytest.raises(InvalidInput, match="metrics of the table"):
        objectives_or_usual(None, "cells")


def test_progress_tells_how_far_the_true_front_is():
    search = {"name": "s", "state": "succeeded", "num_told": 9, "hypervolume": 2.0, "front_size": 3}
    assert "true front" not in status_line(search | {"normalised_hypervolume": None, "regret": None})
    line = status_line(search | {"normalised_hypervolume": 0.75, "regret": 0.25})
    assert "75.0 % of the true front's, regret 0.25" in line
