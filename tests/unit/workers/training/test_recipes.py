"""Every recipe keeps the contract."""

from typing import ClassVar

from nas_service.methods.recipes.registry import RECIPES
from tests.contracts.recipe_contract import RecipeContract


class TestSandwich(RecipeContract):
    recipe: ClassVar = {"name": "sandwich"}


class TestSandwichWithLabels(RecipeContract):
    recipe: ClassVar = {"name": "sandwich", "distill": False, "reduce": "mean", "num_random": 1}


class TestUniform(RecipeContract):
    recipe: ClassVar = {"name": "uniform", "num_random": 2}


class TestAlone(RecipeContract):
    recipe: ClassVar = {"name": "alone"}


def test_none_is_left_out() -> None:
    tested = {contract.recipe["name"] for contract in RecipeContract.__subclasses__()}
    assert tested == set(RECIPES)
