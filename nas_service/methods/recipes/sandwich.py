"""Sandwich rule with in-place distillation (BigNAS, arXiv:2003.11142): largest, N random, smallest in every step."""

from typing import Literal

from pydantic import Field

from nas_service.methods.recipes.base import RecipeParams


class SandwichParams(RecipeParams):
    """Train the largest subnet on labels and the others on its softened answers, all in one step."""

    num_random: int = Field(default=2, ge=0, le=64, description="Random architectures per step.")
    include_smallest: bool = Field(default=True, description="Also train the smallest architecture in every step.")
    distill: bool = Field(default=True, description="Others learn from the largest; off: everyone learns from labels.")
    temperature: float = Field(default=1.0, gt=0, le=100, description="Softens the largest subnet's answers.")
    reduce: Literal["sum", "mean"] = Field(
        default="sum",
        description="How gradients combine. With distillation, mean divides the label signal by the number of subnets.",
    )
