"""Parameters every training recipe has: optimiser, schedule, batches, augmentation, precision, checkpoints."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Fraction = Annotated[float, Field(ge=0.0, lt=1.0)]


class Augmentation(BaseModel):
    """Random changes to training images; every draw is keyed by (seed, step), so a resumed job repeats it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    shift_pixels: int = Field(
        default=0, ge=0, le=64, description="Shift by up to this many pixels each way; edges are black."
    )
    rotate_degrees: float = Field(
        default=0.0, ge=0.0, le=180.0, description="Rotate by up to this angle each way (bilinear)."
    )
    zoom: Fraction = Field(default=0.0, description="Scale by a factor from 1 - zoom to 1 + zoom (bilinear).")
    flip_horizontal: bool = Field(default=False, description="Mirror half of the images. Wrong for digits and text.")
    cutout_pixels: int = Field(
        0, ge=0, le=256, description="Side of a square set to black at a random place; 0 is off."
    )

    @property
    def active(self) -> bool:
        """Whether any image would be changed."""
        return self != Augmentation.model_validate({})


class RecipeParams(BaseModel):
    """What a user may set about training, whatever the recipe; units are in the names.

    The defaults suit small images (8 to 32 pixels) and one worker of a few CPU cores.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    num_epochs: float = Field(default=40.0, gt=0, le=100_000, description="Passes over the training split.")
    num_steps: int | None = Field(
        default=None, ge=1, le=100_000_000, description="Optimiser steps; overrides num_epochs."
    )
    batch_size: int = Field(default=64, ge=1, le=65_536, description="Samples per optimiser step, over all workers.")
    accumulation: int = Field(
        1,
        ge=1,
        le=1024,
        description="Micro-batches per step; several workers share them, so a multiple of the workers.",
    )
    workers: int = Field(
        default=1, ge=1, le=1024, description="Workers of the cluster that train together, through Ray Train."
    )

    optimiser: Literal["sgd", "adamw"] = Field(
        default="sgd",
        description="SGD with Nesterov momentum, or AdamW, which text and rows of numbers get by default.",
    )
    learning_rate: float = Field(
        default=0.1, gt=0, le=100, description="Peak learning rate; 0.002 with the AdamW of text and rows of numbers."
    )
    learning_rate_floor: float = Field(
        0.05, ge=0.0, le=1.0, description="The cosine ends at this fraction of the peak and stays there."
    )
    warmup_steps: int = Field(default=20, ge=0, description="Steps of linear rise to the peak.")
    momentum: Fraction = Field(default=0.9, description="Momentum of SGD, first moment decay of AdamW.")
    second_momentum: Fraction = Field(default=0.999, description="Second moment decay of AdamW; SGD ignores it.")
    weight_decay: float = Field(
        1e-3, ge=0.0, le=10.0, description="Applied once per step, to tensors of two or more dimensions only."
    )
    gradient_clip_norm: float | None = Field(
        default=5.0, gt=0, description="Norm limit after the gradients are combined."
    )
    label_smoothing: Fraction = Field(default=0.0, description="Share of the label spread over all classes.")
    drop_path: Fraction = Field(
        default=0.0,
        description="Largest probability of dropping a path of a cell or a residual branch: that of the deepest at "
        "the end of training (ScheduledDropPath). Regularised networks only, as dropout.",
    )
    ema_decay: Fraction = Field(default=0.0, description="Moving average of the weights used for evaluation; 0 is off.")
    zero_init_residual: bool = Field(
        default=True,
        description="Start the last norm of residual blocks at 0, so that deep networks begin as identity.",
    )

    augmentation: Augmentation = Field(default_factory=lambda: Augmentation.model_validate({}))
    precision: Literal["fp32", "bf16"] = Field(
        default="fp32", description="bf16 runs under autocast; weights stay fp32."
    )
    channels_last: bool = Field(
        default=True, description="Memory layout of images; faster for convolutions on CPUs, and on GPUs with bf16."
    )
    threads: int | None = Field(
        default=None, ge=1, le=1024, description="CPU threads; empty means what the worker was given."
    )

    checkpoint_every_steps: int = Field(default=500, ge=1, description="Save after this many steps, and at the end.")
    checkpoint_every_s: float = Field(
        default=300.0, gt=0, description="Save after this many seconds, whichever comes first."
    )
    curve_every_steps: int | None = Field(
        default=None,
        ge=1,
        description="Score on the search split after this many steps; empty: every 25th part of the training, at most "
        "200 steps, unless that takes long.",
    )

    @model_validator(mode="after")
    def _micro_batches_are_not_empty(self) -> "RecipeParams":
        if self.accumulation > self.batch_size:
            raise ValueError("accumulation must not exceed batch_size")
        if self.accumulation % self.workers:
            raise ValueError(f"accumulation is {self.accumulation}, which {self.workers} workers cannot share evenly")
        return self

    def total_steps(self, num_images: int) -> int:
        """Optimiser steps for a training split of `num_images`."""
        if self.num_steps is not None:
            return self.num_steps
        return max(1, round(self.num_epochs * num_images / self.batch_size))
