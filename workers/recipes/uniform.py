"""Parts of the uniform recipe (SPOS, arXiv:1904.00420)."""

from nas_service.methods.recipes.uniform import UniformParams
from search_spaces.space import SearchSpace
from workers.training.parts import Phase, Recipe
from workers.training.samplers import Uniform
from workers.training.targets import COMBINES, LabelsOrTeacher, SameBatch


def build(params: UniformParams, space: SearchSpace, num_steps: int) -> Recipe:
    """One phase of uniformly drawn architectures, all learning from labels."""
    return Recipe(
        phases=(Phase(num_steps, Uniform(space, params.num_random)),),
        routing=SameBatch(),
        target=LabelsOrTeacher(params.label_smoothing),
        combine=COMBINES[params.reduce],
    )
