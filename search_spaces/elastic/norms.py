"""Plain modules of the norm of feature maps, of learned scales and biases."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from search_spaces.blocks.arithmetic import image
from search_spaces.elastic.spec import Arguments, ModuleSpec
from search_spaces.shapes import ImageShape, Shape


class MapNorm(nn.Module):
    """Layer norm over the channels of each pixel of a map (N, C, H, W)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class LayerScale(nn.Module):
    """Channels of (N, C, H, W), or features of (N, L, F) and (N, F), times a learned number each."""

    def __init__(self, features: int, start: float, is_map: bool) -> None:
        super().__init__()
        self.start = start
        self.is_map = is_map
        self.weight = nn.Parameter(torch.full((features,), start))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * (self.weight[:, None, None] if self.is_map else self.weight)


class Bias(nn.Module):
    """Channels of (N, C, H, W), or features of (N, L, F) and (N, F), plus a learned number each."""

    def __init__(self, features: int, is_map: bool) -> None:
        super().__init__()
        self.is_map = is_map
        self.bias = nn.Parameter(torch.zeros(features))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + (self.bias[:, None, None] if self.is_map else self.bias)


def map_norm_arguments(inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Arguments:
    return {"channels": image(inputs, "map_norm").channels}


def bias_arguments(inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Arguments:
    x = inputs[0]
    is_map = isinstance(x, ImageShape)
    return {"features": x.channels if is_map else x.features, "is_map": is_map}  # type: ignore[union-attr]


def layer_scale_arguments(inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Arguments:
    return bias_arguments(inputs, p) | {"start": float(p["start"])}


MAP_NORM = ModuleSpec(MapNorm, map_norm_arguments)
LAYER_SCALE = ModuleSpec(LayerScale, layer_scale_arguments)
BIAS = ModuleSpec(Bias, bias_arguments)
