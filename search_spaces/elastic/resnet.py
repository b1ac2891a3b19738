"""Plain modules of `basic_block`, `bottleneck` and their shortcut by itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from search_spaces.blocks.arithmetic import image
from search_spaces.elastic.layers import ConvBNAct, make_activation
from search_spaces.elastic.spec import Arguments, ModuleSpec
from search_spaces.network import Envelope
from search_spaces.shapes import Shape


class PadShortcut(nn.Module):
    """Every `stride`-th pixel; added channels are zero, half before and half after (ResNet option A)."""

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.channels = min(in_channels, out_channels)
        self.before = (out_channels - self.channels) // 2
        self.after = out_channels - self.channels - self.before

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x[:, : self.channels, :: self.stride, :: self.stride]
        return F.pad(x, (0, 0, 0, 0, self.before, self.after))


class PoolProjectShortcut(nn.Module):
    """Average pool at the stride, then a 1x1 convolution without norm."""

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.pool = nn.AvgPool2d(stride, stride, ceil_mode=True)
        self.conv = nn.Conv2d(in_channels, out_channels, 1, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv(self.pool(x))


def make_shortcut(kind: str, in_channels: int, out_channels: int, stride: int) -> nn.Module:
    """Shortcut branch of a residual block; `identity` where nothing changes."""
    if kind == "identity":
        return nn.Identity()
    if kind == "project":
        return ConvBNAct(in_channels, out_channels, 1, stride)
    if kind == "pad":
        return PadShortcut(in_channels, out_channels, stride)
    return PoolProjectShortcut(in_channels, out_channels, stride)


class BasicBlock(nn.Module):
    """Two convolutions and a shortcut."""

    def __init__(
        self,
        in_channels: int,
        mid_channels: int,
        out_channels: int,
        kernel_size: int,
        stride: int,
        shortcut: str,
    ) -> None:
        super().__init__()
        self.first = ConvBNAct(in_channels, mid_channels, kernel_size, stride, "relu")
        self.second = ConvBNAct(mid_channels, out_channels, kernel_size)
        self.shortcut = make_shortcut(shortcut, in_channels, out_channels, stride)
        self.relu = nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.relu(self.second(self.first(x)) + self.shortcut(x))


class Bottleneck(nn.Module):
    """1x1, k x k, 1x1 convolutions and a shortcut."""

    def __init__(
        self,
        in_channels: int,
        mid_channels: int,
        out_channels: int,
        kernel_size: int,
        stride: int,
        shortcut: str,
    ) -> None:
        super().__init__()
        self.reduce = ConvBNAct(in_channels, mid_channels, 1, activation="relu")
        self.spatial = ConvBNAct(mid_channels, mid_channels, kernel_size, stride, "relu")
        self.expand = ConvBNAct(mid_channels, out_channels, 1)
        self.shortcut = make_shortcut(shortcut, in_channels, out_channels, stride)
        self.relu = nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.relu(self.expand(self.spatial(self.reduce(x))) + self.shortcut(x))


class Shortcut(nn.Module):
    """The shortcut of a residual block by itself."""

    def __init__(self, in_channels: int, out_channels: int, stride: int, shortcut: str) -> None:
        super().__init__()
        self.shortcut = make_shortcut(shortcut, in_channels, out_channels, stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.shortcut(x)


def residual_arguments(inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Arguments:
    channels = image(inputs, "residual block").channels
    same = p["stride"] == 1 and channels == p["out"]
    return {
        "in_channels": channels,
        "mid_channels": p["mid"],
        "out_channels": p["out"],
        "kernel_size": p["kernel"],
        "stride": p["stride"],
        "shortcut": "identity" if same else p["shortcut"],
    }


def shortcut_arguments(inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Arguments:
    arguments = residual_arguments(inputs, {**p, "mid": 0, "kernel": 1, "shortcut": p["operation"]})
    return {name: arguments[name] for name in ("in_channels", "out_channels", "stride", "shortcut")}


def widen_residual(arguments: Arguments, envelope: Envelope) -> Arguments:
    """A projection exists as soon as one combination of channels and stride needs it."""
    options = envelope.params.get("shortcut") or envelope.params["operation"]
    kinds = [kind for kind in options if kind != "pad"]
    channels = {image((shape,), "residual block").channels for shape in envelope.in_shapes[0]}
    never = set(envelope.params["stride"]) == {1} and len(channels) == 1
    if not kinds or (never and set(envelope.params["out"]) == channels):
        return arguments
    kind = arguments["shortcut"] if arguments["shortcut"] in kinds else kinds[0]
    return arguments | {"shortcut": kind}


RESIDUAL_HELPERS = (make_activation, ConvBNAct, PadShortcut, PoolProjectShortcut, make_shortcut)
BASIC_BLOCK = ModuleSpec(
    BasicBlock, residual_arguments, RESIDUAL_HELPERS, widen_residual, last_norm="second.norm", branch="second"
)
BOTTLENECK = ModuleSpec(
    Bottleneck, residual_arguments, RESIDUAL_HELPERS, widen_residual, last_norm="expand.norm", branch="expand"
)
SHORTCUT = ModuleSpec(Shortcut, shortcut_arguments, RESIDUAL_HELPERS, widen_residual)
