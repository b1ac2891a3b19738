"""How many slots a job takes, and which recipes may ask for several."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from nas_service.methods.recipes.registry import NETWORK_RECIPES, RECIPES, SUPERNET_RECIPES
from workers.group_tasks import GROUP_TASKS
from workers.pool_interface import slots_needed
from workers.tasks import TASKS


def test_a_supernet_takes_the_workers_of_its_recipe_and_everything_else_one():
    recipe = {"recipe": {"name": "sandwich", "workers": 3}}
    assert slots_needed("train_supernet", recipe) == 3
    assert slots_needed("train_supernet", {"recipe": {"name": "sandwich"}}) == 1
    assert {kind for kind in TASKS if slots_needed(kind, recipe) > 1} == set(GROUP_TASKS)
    assert slots_needed("evaluate", {}) == 1


@pytest.mark.parametrize("name", sorted(SUPERNET_RECIPES))
def test_workers_share_the_micro_batches_evenly(name):
    assert RECIPES[name].model_validate({"workers": 2, "accumulation": 4}).workers == 2
    with pytest.raises(ValidationError, match="accumulation is 3, which 2 workers cannot share"):
        RECIPES[name].model_validate({"workers": 2, "accumulation": 3})


@pytest.mark.parametrize("name", sorted(NETWORK_RECIPES))
def test_a_network_by_itself_has_one_worker(name):
    with pytest.raises(ValidationError, match="workers"):
        RECIPES[name].model_validate({"workers": 2, "accumulation": 2})
