"""Which function builds which recipe; the keys are those of `nas_service/methods/recipes/registry.py`."""

from collections.abc import Callable
from typing import Any

from workers.recipes import alone, sandwich, uniform
from workers.training.parts import Recipe

# (parameters, space, num_steps) -> Recipe
SUPERNET_BUILDERS: dict[str, Callable[[Any, Any, int], Recipe]] = {
    "sandwich": sandwich.build,
    "uniform": uniform.build,
}
# (parameters, genes, num_steps) -> Recipe
NETWORK_BUILDERS: dict[str, Callable[[Any, Any, int], Recipe]] = {"alone": alone.build}
