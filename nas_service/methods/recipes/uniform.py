"""Uniform sampling (SPOS, arXiv:1904.00420): each step trains random architectures on the labels."""

from typing import Literal

from pydantic import Field

from nas_service.methods.recipes.base import RecipeParams


class UniformParams(RecipeParams):
    """Train architectures drawn uniformly from the space, with hard labels; the control for cleverer samplers."""

    num_random: int = Field(default=1, ge=1, le=64, description="Architectures per step; 1 is the paper's single path.")
    reduce: Literal["sum", "mean"] = Field(default="sum", description="How the architectures' gradients combine.")
