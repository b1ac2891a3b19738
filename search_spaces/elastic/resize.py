"""Samples in the size a network reads: a resolution or length is a choice like any other, the data set has one."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from search_spaces.shapes import ImageShape, Shape, TokensShape


def at_resolution(x: Tensor, shape: Shape) -> Tensor:
    """Images (N, C, H, W) resized (bicubic) to height and width of ``shape``, token ids (N, L) cut to its length.

    Anything else is unchanged.
    """
    if isinstance(shape, TokensShape):
        return x[:, : shape.length]
    if not isinstance(shape, ImageShape) or x.shape[-2:] == (shape.height, shape.width):
        return x
    return functional.interpolate(x, (shape.height, shape.width), mode="bicubic", align_corners=False)
