"""A misspelt field is answered with the fields that there are."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from nas_service.api.problems import from_validation
from nas_service.api.schemas import SearchIn, strategy_of
from nas_service.errors import InvalidInput
from tests.unit.api.test_schemas import changed


def suggestions(fields: dict[str, Any]) -> dict[str, str | None]:
    with pytest.raises(ValidationError) as caught:
        SearchIn.model_validate(changed(**fields))
    found = from_validation(caught.value.errors(include_url=False), model=SearchIn)
    return {problem.pointer: problem.suggestion for problem in found.problems}


@pytest.mark.parametrize(
    ("fields", "pointer", "near"),
    [
        ({"objectivs": []}, "/objectivs", "objectives"),
        ({"budget": {"trials": 3, "wal_s": 5}}, "/budget/wal_s", "wall_s"),
        ({"objectives": [{"metric": "macs", "constrain": 3}]}, "/objectives/0/constrain", "constraint"),
    ],
)
def test_the_field_that_was_meant_is_named(fields, pointer, near):
    told = suggestions(fields)[pointer]
    assert str(told).startswith(f"did you mean '{near}'? allowed: ")


def test_so_are_parameters_of_a_method():
    item = SearchIn.model_validate(changed(strategy={"name": "nsga2", "params": {"populatoin": 3}})).strategy
    with pytest.raises(InvalidInput) as caught:
        strategy_of(item)
    (problem,) = caught.value.problems
    assert (problem.pointer, problem.message) == ("/strategy/params/populatoin", "there is no such field")
    assert str(problem.suggestion).startswith("did you mean 'population'? allowed: population, mode,")


@pytest.mark.parametrize(
    ("fields", "pointer", "message", "example"),
    [
        ({"space": "digits-mobile"}, "/space", "must be an object", '{"library": "digits-mobile"}'),
        ({"objectives": "macs"}, "/objectives", "must be a list", '[{"metric": "accuracy_top1"}'),
        ({"objectives": ["macs"]}, "/objectives/0", "must be an object", '{"metric": "accuracy_top1"}'),
        ({"evaluator": {"recipe": "uniform"}}, "/evaluator/recipe", "must be an object", '{"name": "sandwich"'),
        ({"budget": 3}, "/budget", "must be an object", '{"trials": 200}'),
    ],
)
def test_a_value_of_another_kind_is_answered_with_an_example(fields, pointer, message, example):
    with pytest.raises(ValidationError) as caught:
        SearchIn.model_validate(changed(**fields))
    (found,) = from_validation(caught.value.errors(include_url=False), model=SearchIn).problems
    assert (found.pointer, found.message) == (pointer, message)
    assert str(found.suggestion).startswith(f"e.g. {example}")


def test_so_is_a_missing_field():
    with pytest.raises(ValidationError) as caught:
        SearchIn.model_validate({name: value for name, value in changed().items() if name != "objectives"})
    (found,) = from_validation(caught.value.errors(include_url=False), model=SearchIn).problems
    assert (found.pointer, str(found.suggestion)[:6]) == ("/objectives", "e.g. [")
