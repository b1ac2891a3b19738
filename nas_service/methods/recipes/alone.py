"""One architecture by itself: finetuning of a finalist, training from scratch, and the control of a search."""

from typing import Literal

from pydantic import Field, model_validator

from nas_service.methods.recipes.base import RecipeParams


class AloneParams(RecipeParams):
    """Ordinary training of one network with labels."""

    workers: Literal[1] = Field(default=1, description="A network by itself is trained by one worker.")
    compile: bool = Field(
        default=False,
        description="torch.compile; needs a C++ compiler. On CPUs it saves an eighth of a step and takes as long as "
        "thousands of steps to begin with, so it pays for long training only.",
    )

    @model_validator(mode="after")
    def _paths_are_not_compiled(self) -> "AloneParams":
        if self.compile and self.drop_path:
            raise ValueError("drop_path does not work with compile")
        return self
