"""One architecture by itself: finetuning of a finalist, training from scratch, and the control of a search."""

from pydantic import Field

from nas_service.methods.recipes.base import RecipeParams


class AloneParams(RecipeParams):
    """Ordinary training of one network with labels."""

    compile: bool = Field(
        default=False, description="torch.compile; pays for long training on GPUs, as one network keeps its shapes."
    )
