"""Parts of ordinary training of one network."""

import numpy as np

from nas_service.methods.recipes.alone import AloneParams
from workers.training.parts import Phase, Recipe
from workers.training.samplers import One
from workers.training.targets import COMBINES, LabelsOrTeacher, SameBatch


def build(params: AloneParams, genes: np.ndarray, num_steps: int) -> Recipe:
    """One phase, one architecture, labels."""
    return Recipe(
        phases=(Phase(num_steps, One(genes)),),
        routing=SameBatch(),
        target=LabelsOrTeacher(params.label_smoothing),
        combine=COMBINES["sum"],
    )
