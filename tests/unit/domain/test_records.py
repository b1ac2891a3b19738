"""What records say about themselves: how far a front is from the true one."""

from dataclasses import fields

import pytest

from nas_service.domain.records import SearchRecord


@pytest.mark.parametrize(
    ("num_axes", "found", "regret"),
    [(2, 3.0, 0.25), (1, 3.0, 1.0), (2, 4.0 - 1e-15, 0.0), (1, 4.0 + 1e-15, 0.0), (2, 4.0 - 1e-9, 2.5e-10)],
)
def test_regret_is_what_is_missing_and_no_rounding(num_axes, found, regret):
    spec = {"objectives": [{"optimize": index < num_axes} for index in range(2)]}
    empty = {field.name: None for field in fields(SearchRecord)}
    record = SearchRecord(**{**empty, "spec": spec, "true_hypervolume": 4.0, "hypervolume": found})
    assert record.regret == pytest.approx(regret, rel=1e-6)
