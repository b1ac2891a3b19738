"""Parts of the sandwich recipe (BigNAS, arXiv:2003.11142)."""

from nas_service.methods.recipes.sandwich import SandwichParams
from search_spaces.space import SearchSpace
from workers.training.parts import Phase, Recipe
from workers.training.samplers import Sandwich
from workers.training.targets import COMBINES, LabelsOrTeacher, SameBatch


def build(params: SandwichParams, space: SearchSpace, num_steps: int) -> Recipe:
    """One phase; the largest learns from labels, the others from the largest."""
    sampler = Sandwich(space, params.num_random, params.include_smallest, params.distill)
    return Recipe(
        phases=(Phase(num_steps, sampler),),
        routing=SameBatch(),
        target=LabelsOrTeacher(params.label_smoothing, params.temperature),
        combine=COMBINES[params.reduce],
    )
