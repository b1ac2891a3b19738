"""The recipes a user may name, with the parameters of each; implementations are in `workers/recipes/`."""

from typing import Any

from nas_service.methods.recipes.alone import AloneParams
from nas_service.methods.recipes.base import RecipeParams
from nas_service.methods.recipes.sandwich import SandwichParams
from nas_service.methods.recipes.uniform import UniformParams

RECIPES: dict[str, type[RecipeParams]] = {
    "sandwich": SandwichParams,
    "uniform": UniformParams,
    "alone": AloneParams,
}

# Recipes that train one network of fixed shape; the others train a whole supernet.
NETWORK_RECIPES = frozenset({"alone"})
SUPERNET_RECIPES = frozenset(RECIPES) - NETWORK_RECIPES


def parse_recipe(document: dict[str, Any]) -> tuple[str, RecipeParams]:
    """Name and validated parameters of `{"name": ..., **parameters}`.

    Raises KeyError for an unknown name and pydantic.ValidationError for bad parameters.
    """
    parameters = dict(document)
    name = parameters.pop("name")
    return name, RECIPES[name].model_validate(parameters)
