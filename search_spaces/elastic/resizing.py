"""Plain modules of upsampling, patches into channels, global pooling and flattening."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from search_spaces.blocks.resizing import Upsample as UpsampleBlock
from search_spaces.elastic.plumbing import no_arguments
from search_spaces.elastic.spec import Arguments, ModuleSpec
from search_spaces.network import ImageShape, Shape


class Upsample(nn.Module):
    """A map (N, C, H, W) at a larger height and width."""

    def __init__(self, height: int, width: int, mode: str) -> None:
        super().__init__()
        self.height = height
        self.width = width
        self.mode = mode

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.interpolate(x, (self.height, self.width), mode=self.mode)


class GlobalPool(nn.Module):
    """Mean or maximum of every channel: (N, C, H, W) to (N, C, 1, 1)."""

    def __init__(self, largest: bool) -> None:
        super().__init__()
        self.largest = largest

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.amax((2, 3), keepdim=True) if self.largest else x.mean((2, 3), keepdim=True)


class Flatten(nn.Module):
    """(N, C, H, W) or (N, L, F) to (N, numbers); what stands in the padding of a text is 0."""

    def forward(self, x: torch.Tensor, real: torch.Tensor | None = None) -> torch.Tensor:
        if real is not None:
            x = x.masked_fill(~real[..., None], 0.0)
        return x.flatten(1)


def upsample_arguments(inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Arguments:
    made = UpsampleBlock().out_shape(inputs, p)
    assert isinstance(made, ImageShape)
    return {"height": made.height, "width": made.width, "mode": p["mode"]}


def space_to_depth_arguments(inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Arguments:
    return {"downscale_factor": p["patch"]}


def global_pool_arguments(inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Arguments:
    return {"largest": p["operation"] == "max"}


UPSAMPLE = ModuleSpec(Upsample, upsample_arguments)
SPACE_TO_DEPTH = ModuleSpec(nn.PixelUnshuffle, space_to_depth_arguments)
GLOBAL_POOL = ModuleSpec(GlobalPool, global_pool_arguments)
FLATTEN = ModuleSpec(Flatten, no_arguments, masks=True)
