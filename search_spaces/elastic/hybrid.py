"""Plain modules of attention on feature maps and of the residual bottlenecks of hybrid networks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from search_spaces.blocks.arithmetic import image, squeezed_channels
from search_spaces.elastic.layers import ConvBNAct, SqueezeExcite, make_activation
from search_spaces.elastic.resnet import RESIDUAL_HELPERS, make_shortcut, widen_residual
from search_spaces.elastic.spec import Arguments, ModuleSpec
from search_spaces.network import Shape


class RelativeBias(nn.Module):
    """One learned number for each head and difference of rows and columns between two pixels."""

    centred_from = 1  # a smaller map uses the centre of the table: the small differences

    def __init__(self, heads: int, height: int, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(heads, 2 * height - 1, 2 * width - 1))

    def forward(self, height: int, width: int) -> torch.Tensor:
        """(heads, L, L) for the L = height * width pixels of a map, row by row."""
        device = self.weight.device
        rows = torch.arange(height, device=device).repeat_interleave(width)
        columns = torch.arange(width, device=device).repeat(height)
        row_steps = rows[:, None] - rows[None] + height - 1
        column_steps = columns[:, None] - columns[None] + width - 1
        return self.weight[:, row_steps, column_steps]


class MapAttention(nn.Module):
    """Self-attention between the pixels of a map (N, C, H, W), with layer norm before it and a residual."""

    def __init__(
        self,
        channels: int,
        height: int,
        width: int,
        heads: int,
        head_dim: int,
        value_dim: int,
        value_conv: bool,
        relative_positions: bool,
        activation: str,
        bias: bool,
    ) -> None:
        super().__init__()
        self.heads = heads
        values = heads * value_dim
        self.norm = nn.LayerNorm(channels)
        self.query = nn.Linear(channels, heads * head_dim, bias=bias)
        self.key = nn.Linear(channels, heads * head_dim, bias=bias)
        self.value = nn.Linear(channels, values, bias=bias)
        self.value_conv = nn.Conv2d(values, values, 3, padding=1, groups=values, bias=False) if value_conv else None
        self.positions = RelativeBias(heads, height, width) if relative_positions else None
        self.activation = make_activation(activation)
        self.output = nn.Linear(values, channels)

    def split(self, x: torch.Tensor) -> torch.Tensor:
        """(N, L, heads * d) to (N, heads, L, d)."""
        return x.unflatten(2, (self.heads, -1)).transpose(1, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        height, width = x.shape[2], x.shape[3]
        y = self.norm(x.flatten(2).transpose(1, 2))
        value = self.value(y)
        if self.value_conv is not None:
            value = self.value_conv(value.transpose(1, 2).unflatten(2, (height, width))).flatten(2).transpose(1, 2)
        query, key = self.split(self.query(y)), self.split(self.key(y))
        bias = None if self.positions is None else self.positions(height, width).to(query.dtype)
        y = F.scaled_dot_product_attention(query, key, self.split(value), attn_mask=bias)
        y = self.output(self.activation(y.transpose(1, 2).flatten(2)))
        return x + y.transpose(1, 2).unflatten(2, (height, width))


class MapFeedForward(nn.Module):
    """Two linear layers on each pixel of a map, with layer norm before them and a residual."""

    def __init__(self, channels: int, hidden: int, activation: str) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)
        self.first = nn.Linear(channels, hidden)
        self.activation = make_activation(activation)
        self.second = nn.Linear(hidden, channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.second(self.activation(self.first(self.norm(x.permute(0, 2, 3, 1)))))
        return x + y.permute(0, 3, 1, 2)


class PositionalReduction(nn.Module):
    """1x1 convolution, depth-wise 3x3 convolution at the stride, batch norm, activation."""

    def __init__(self, in_channels: int, mid_channels: int, stride: int, activation: str) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(in_channels, mid_channels, 1, bias=False)
        self.position = nn.Conv2d(mid_channels, mid_channels, 3, stride, 1, groups=mid_channels)
        self.norm = nn.BatchNorm2d(mid_channels)
        self.activation = make_activation(activation)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.activation(self.norm(self.position(self.reduce(x))))


class PositionalBottleneck(nn.Module):
    """1x1 reduction with positions, 3x3, 1x1 convolution, optional squeeze-excite, shortcut, activation."""

    def __init__(
        self,
        in_channels: int,
        mid_channels: int,
        out_channels: int,
        stride: int,
        activation: str,
        squeezed: int,
        shortcut: str,
    ) -> None:
        super().__init__()
        self.reduction = PositionalReduction(in_channels, mid_channels, stride, activation)
        self.spatial = ConvBNAct(mid_channels, mid_channels, 3, activation=activation)
        self.expand = ConvBNAct(mid_channels, out_channels, 1)
        self.squeeze_excite = SqueezeExcite(out_channels, squeezed, "sigmoid") if squeezed else nn.Identity()
        self.shortcut = make_shortcut(shortcut, in_channels, out_channels, stride)
        self.activation = make_activation(activation)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.squeeze_excite(self.expand(self.spatial(self.reduction(x))))
        return self.activation(y + self.shortcut(x))


class AttentionBottleneck(nn.Module):
    """1x1 reduction with positions, self-attention between all pixels, 1x1 convolution, shortcut, activation."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        heads: int,
        head_dim: int,
        stride: int,
        activation: str,
        shortcut: str,
    ) -> None:
        super().__init__()
        self.heads = heads
        mid_channels = heads * head_dim
        self.reduction = PositionalReduction(in_channels, mid_channels, stride, activation)
        self.query = nn.Conv2d(mid_channels, mid_channels, 1, bias=False)
        self.key = nn.Conv2d(mid_channels, mid_channels, 1, bias=False)
        self.value = nn.Conv2d(mid_channels, mid_channels, 1, bias=False)
        self.norm = nn.BatchNorm2d(mid_channels)
        self.expand = ConvBNAct(mid_channels, out_channels, 1)
        self.shortcut = make_shortcut(shortcut, in_channels, out_channels, stride)
        self.activation = make_activation(activation)

    def split(self, x: torch.Tensor) -> torch.Tensor:
        """(N, heads * head_dim, H, W) to (N, heads, H * W, head_dim)."""
        return x.flatten(2).unflatten(1, (self.heads, -1)).transpose(2, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.reduction(x)
        query, key, value = self.split(self.query(y)), self.split(self.key(y)), self.split(self.value(y))
        mixed = F.scaled_dot_product_attention(query, key, value)
        mixed = mixed.transpose(2, 3).flatten(1, 2).unflatten(2, (y.shape[2], y.shape[3]))
        y = self.expand(self.activation(self.norm(mixed)))
        return self.activation(y + self.shortcut(x))


def map_attention_arguments(inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Arguments:
    x = image(inputs, "map_attention")
    return {
        "channels": x.channels,
        "height": x.height,
        "width": x.width,
        "heads": p["heads"],
        "head_dim": p["head_dim"],
        "value_dim": p["value_dim"],
        "value_conv": bool(p["value_conv"]),
        "relative_positions": bool(p["relative_positions"]),
        "activation": p["activation"],
        "bias": bool(p["bias"]),
    }


def map_feed_forward_arguments(inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Arguments:
    channels = image(inputs, "map_feed_forward").channels
    return {"channels": channels, "hidden": p["mid"], "activation": p["activation"]}


def shortcut_kind(inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> str:
    """The shortcut as built: `identity` where no shape changes."""
    same = p["stride"] == 1 and image(inputs, "residual block").channels == p["out"]
    return "identity" if same else str(p["shortcut"])


def positional_bottleneck_arguments(inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Arguments:
    return {
        "in_channels": image(inputs, "positional_bottleneck").channels,
        "mid_channels": p["mid"],
        "out_channels": p["out"],
        "stride": p["stride"],
        "activation": p["activation"],
        "squeezed": squeezed_channels(p["out"], p["se_ratio"]) if p["se_ratio"] > 0 else 0,
        "shortcut": shortcut_kind(inputs, p),
    }


def attention_bottleneck_arguments(inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Arguments:
    return {
        "in_channels": image(inputs, "attention_bottleneck").channels,
        "out_channels": p["out"],
        "heads": p["heads"],
        "head_dim": p["head_dim"],
        "stride": p["stride"],
        "activation": p["activation"],
        "shortcut": shortcut_kind(inputs, p),
    }


MAP_ATTENTION = ModuleSpec(
    MapAttention, map_attention_arguments, helpers=(make_activation, RelativeBias), branch="output"
)
MAP_FEED_FORWARD = ModuleSpec(MapFeedForward, map_feed_forward_arguments, helpers=(make_activation,), branch="second")
POSITIONAL_BOTTLENECK = ModuleSpec(
    PositionalBottleneck,
    positional_bottleneck_arguments,
    (*RESIDUAL_HELPERS, SqueezeExcite, PositionalReduction),
    widen_residual,
    last_norm="expand.norm",
    branch="expand",
)
ATTENTION_BOTTLENECK = ModuleSpec(
    AttentionBottleneck,
    attention_bottleneck_arguments,
    (*RESIDUAL_HELPERS, PositionalReduction),
    widen_residual,
    last_norm="expand.norm",
    branch="expand",
)
