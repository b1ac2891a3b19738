"""Plain modules of upsampling, transposed convolution, patches into channels, pooling, maps as sequences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from search_spaces.blocks.arithmetic import image
from search_spaces.blocks.resizing import MapTokens as MapTokensBlock
from search_spaces.blocks.resizing import Upsample as UpsampleBlock
from search_spaces.elastic.layers import make_activation
from search_spaces.elastic.plumbing import no_arguments
from search_spaces.elastic.spec import Arguments, ModuleSpec
from search_spaces.shapes import ImageShape, Shape, TokensShape, VectorShape


class Upsample(nn.Module):
    """A map (N, C, H, W) at a larger height and width."""

    def __init__(self, height: int, width: int, mode: str) -> None:
        super().__init__()
        self.height = height
        self.width = width
        self.mode = mode

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.interpolate(x, (self.height, self.width), mode=self.mode)


class TransposedConv(nn.Module):
    """Transposed convolution to a map (N, C, H * stride, W * stride), batch norm or bias, activation."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        stride: int,
        activation: str,
        norm: bool,
        bias: bool,
    ) -> None:
        super().__init__()
        cut = (kernel_size - stride + 1) // 2
        self.conv = nn.ConvTranspose2d(
            in_channels, out_channels, kernel_size, stride, cut, 2 * cut + stride - kernel_size, bias=bias
        )
        self.norm = nn.BatchNorm2d(out_channels) if norm else nn.Identity()
        self.activation = make_activation(activation)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.activation(self.norm(self.conv(x)))


class GlobalPool(nn.Module):
    """Mean or maximum of every channel of (N, C, H, W) over some of its sides, which become 1."""

    def __init__(self, largest: bool, sides: tuple[int, ...]) -> None:
        super().__init__()
        self.largest = largest
        self.sides = sides

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.amax(self.sides, keepdim=True) if self.largest else x.mean(self.sides, keepdim=True)


class MapTokens(nn.Module):
    """(N, C, H, W) to (N, L, C), row by row."""

    def __init__(self, length: int, features: int, class_token: bool, positions: bool) -> None:
        super().__init__()
        self.class_token = nn.Parameter(torch.zeros(1, 1, features)) if class_token else None
        self.positions = nn.Parameter(torch.zeros(1, length, features)) if positions else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x.flatten(2).transpose(1, 2)
        if self.class_token is not None:
            x = torch.cat((self.class_token.expand(x.shape[0], -1, -1), x), 1)
        return x if self.positions is None else x + self.positions


class TokenMap(nn.Module):
    """(N, L, C) to (N, C, height, L / height); what stands in the padding of a text is 0."""

    def __init__(self, height: int) -> None:
        super().__init__()
        self.height = height

    def forward(self, x: torch.Tensor, real: torch.Tensor | None = None) -> torch.Tensor:
        if real is not None:
            x = x.masked_fill(~real[..., None], 0.0)
        return x.transpose(1, 2).unflatten(2, (self.height, -1))


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


def transposed_conv_arguments(inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Arguments:
    return {
        "in_channels": image(inputs, "transposed_conv").channels,
        "out_channels": p["out"],
        "kernel_size": p["kernel"],
        "stride": p["stride"],
        "activation": p["activation"],
        "norm": bool(p["norm"]),
        "bias": bool(p["bias"]) and not p["norm"],
    }


def space_to_depth_arguments(inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Arguments:
    return {"downscale_factor": p["patch"]}


def global_pool_arguments(inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Arguments:
    sides = {"map": (2, 3), "height": (2,), "width": (3,)}
    return {"largest": p["operation"] == "max", "sides": sides[p["over"]]}


def map_tokens_arguments(inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Arguments:
    made = MapTokensBlock().out_shape(inputs, p)
    assert isinstance(made, TokensShape)
    learned = {"class_token": bool(p["class_token"]), "positions": bool(p["positions"])}
    return {"length": made.length, "features": made.features} | learned


def token_map_arguments(inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Arguments:
    return {"height": p["height"]}


def unflatten_arguments(inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Arguments:
    x = inputs[0]
    assert isinstance(x, VectorShape)
    return {"dim": 1, "unflattened_size": (p["length"], x.features // p["length"])}


UPSAMPLE = ModuleSpec(Upsample, upsample_arguments)
TRANSPOSED_CONV = ModuleSpec(TransposedConv, transposed_conv_arguments, helpers=(make_activation,))
SPACE_TO_DEPTH = ModuleSpec(nn.PixelUnshuffle, space_to_depth_arguments)
GLOBAL_POOL = ModuleSpec(GlobalPool, global_pool_arguments)
MAP_TOKENS = ModuleSpec(MapTokens, map_tokens_arguments, keeps_places=False)
TOKEN_MAP = ModuleSpec(TokenMap, token_map_arguments, masks=True, keeps_places=False)
FLATTEN = ModuleSpec(Flatten, no_arguments, masks=True)
UNFLATTEN = ModuleSpec(nn.Unflatten, unflatten_arguments)
