"""Images in the resolution a network reads: a resolution is a choice like any other, the data set has one size."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from search_spaces.network import ImageShape, Shape


def at_resolution(x: Tensor, shape: Shape) -> Tensor:
    """Images (N, C, H, W) resized (bicubic) to the height and width of ``shape``; anything else unchanged."""
    if not isinstance(shape, ImageShape) or x.shape[-2:] == (shape.height, shape.width):
        return x
    return functional.interpolate(x, (shape.height, shape.width), mode="bicubic", align_corners=False)
