"""The recipes a user may name, with the parameters of each; implementations are in `workers/recipes/`."""

from collections.abc import Collection
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

# Complete recipes for common cases. `small-images` trains a supernet of `digits-mobile` on 1,078 digits of 8x8 pixels
# in about 30 s of one core; `small-images-alone` trains one of its architectures. One thread: networks this small gain
# little from a second one, and lose everything when the threads have to wait for each other on a busy machine.
PRESETS: dict[str, dict[str, Any]] = {
    "small-images": {
        "name": "sandwich",
        "num_epochs": 48,
        "learning_rate": 0.2,
        "augmentation": {"shift_pixels": 1},
        "threads": 1,
    },
    "small-images-alone": {
        "name": "alone",
        "num_epochs": 48,
        "learning_rate": 0.2,
        "augmentation": {"shift_pixels": 1},
        "threads": 1,
    },
}

# Networks of tokens or plain linear layers hardly learn with the rate and momentum that suit convolutions: digits-vit
# stays at guessing (tests/benchmarks/results/families.md).
_NO_CONVOLUTIONS: dict[str, Any] = {
    "optimiser": "adamw",
    "learning_rate": 2e-3,
    "weight_decay": 0.01,
    "warmup_steps": 50,
    "gradient_clip_norm": 1.0,
}


def for_networks(task: str, blocks: Collection[str], params: dict[str, Any]) -> dict[str, Any]:
    """Parameters of a recipe, with what suits networks of these ``blocks`` for a task where they say nothing.

    Who names another optimiser gets the recipe's own defaults: the rates of one say nothing about the other.
    """
    convolutional = task == "image_classification" and "patch_embedding" not in blocks
    suits = {} if convolutional else _NO_CONVOLUTIONS
    if params.get("optimiser", suits.get("optimiser")) != suits.get("optimiser"):
        return dict(params)
    return {**suits, **params}


def parse_recipe(document: dict[str, Any]) -> tuple[str, RecipeParams]:
    """Name and validated parameters of `{"name": ..., **parameters}`.

    Raises KeyError for an unknown name and pydantic.ValidationError for bad parameters.
    """
    parameters = dict(document)
    name = parameters.pop("name")
    return name, RECIPES[name].model_validate(parameters)
