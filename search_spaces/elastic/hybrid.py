"""Plain modules of attention on feature maps and of the residual bottlenecks of hybrid networks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from search_spaces.blocks.arithmetic import image, squeezed_channels
from search_spaces.blocks.hybrid import window_sides
from search_spaces.elastic.layers import ConvBNAct, SqueezeExcite, make_activation
from search_spaces.elastic.resnet import RESIDUAL_HELPERS, make_shortcut, widen_residual
from search_spaces.elastic.spec import Arguments, ModuleSpec
from search_spaces.network import Envelope
from search_spaces.shapes import Shape


class RelativeBias(nn.Module):
    """One learned number for each head and difference of rows and columns between two pixels."""

    centred_from = 1  # a smaller map uses the centre of the table: the small differences

    def __init__(self, heads: int, height: int, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(heads, 2 * height - 1, 2 * width - 1))

    def forward(self, height: int, width: int, reduction: int = 1) -> torch.Tensor:
        """(heads, L, L') for the L = height * width pixels of a map, row by row, and the first of each square of them.

        A square has `reduction` pixels a side.
        """
        device = self.weight.device
        rows = torch.arange(height, device=device)
        columns = torch.arange(width, device=device)
        row_steps = rows[:, None, None, None] - rows[::reduction, None] + height - 1
        column_steps = columns[:, None, None] - columns[::reduction] + width - 1
        return self.weight[:, row_steps, column_steps].flatten(3, 4).flatten(1, 2)


def to_windows(x: torch.Tensor, height: int, width: int, shifts: tuple[int, int], spread: bool = False) -> torch.Tensor:
    """(N, rows, columns, F), moved up and left by the shifts, to (N, windows, height * width, F).

    The pixels of a window are neighbours, or `spread` over the map.
    """
    if spread:
        x = x.unflatten(2, (width, -1)).unflatten(1, (height, -1))
        return x.permute(0, 2, 4, 1, 3, 5).flatten(3, 4).flatten(1, 2)
    if any(shifts):
        x = x.roll((-shifts[0], -shifts[1]), (1, 2))
    x = x.unflatten(2, (-1, width)).unflatten(1, (-1, height))
    return x.transpose(2, 3).flatten(3, 4).flatten(1, 2)


def from_windows(
    x: torch.Tensor, rows: int, columns: int, height: int, width: int, shifts: tuple[int, int], spread: bool = False
) -> torch.Tensor:
    """The reverse of `to_windows`."""
    x = x.unflatten(2, (height, width)).unflatten(1, (rows // height, columns // width))
    if spread:
        return x.permute(0, 3, 1, 4, 2, 5).flatten(3, 4).flatten(1, 2)
    x = x.transpose(2, 3).flatten(3, 4).flatten(1, 2)
    return x.roll(shifts, (1, 2)) if any(shifts) else x


def neighbours(moved: torch.Tensor, height: int, width: int, shifts: tuple[int, int]) -> torch.Tensor:
    """(windows, 1, A, A): which of the A pixels of a window of moved maps (N, rows, columns, F) truly touch."""
    rows, columns = (torch.arange(size, device=moved.device) for size in moved.shape[1:3])
    down, right = rows >= len(rows) - shifts[0], columns >= len(columns) - shifts[1]
    part = to_windows((2 * down[:, None] + right.int())[None, :, :, None], height, width, (0, 0))[0]
    return (part == part.transpose(1, 2))[:, None]


class MapAttention(nn.Module):
    """Self-attention between the pixels of a map (N, C, H, W) or of each of its windows of height x width.

    Layer norm before it, and a residual.
    """

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
        shift: bool,
        activation: str,
        bias: bool,
        spread: bool = False,
        reduction: int = 1,
    ) -> None:
        super().__init__()
        self.heads = heads
        self.height = height
        self.width = width
        self.shift = shift
        self.spread = spread
        self.reduced_by = reduction
        values = heads * value_dim
        self.norm = nn.LayerNorm(channels)
        self.query = nn.Linear(channels, heads * head_dim, bias=bias)
        self.reduction = nn.Conv2d(channels, channels, reduction, reduction) if reduction > 1 else None
        self.reduction_norm = nn.LayerNorm(channels) if reduction > 1 else nn.Identity()
        self.key = nn.Linear(channels, heads * head_dim, bias=bias)
        self.value = nn.Linear(channels, values, bias=bias)
        self.value_conv = nn.Conv2d(values, values, 3, padding=1, groups=values, bias=False) if value_conv else None
        self.positions = RelativeBias(heads, height, width) if relative_positions else None
        self.activation = make_activation(activation)
        self.output = nn.Linear(values, channels)

    def split(self, x: torch.Tensor) -> torch.Tensor:
        """(..., L, heads * d) to (..., heads, L, d)."""
        return x.unflatten(-1, (self.heads, -1)).transpose(-2, -3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        rows, columns = x.shape[2], x.shape[3]
        y = self.norm(x.flatten(2).transpose(1, 2))
        query, fewer = self.query(y), (rows // self.reduced_by, columns // self.reduced_by)
        if self.reduction is not None:
            y = self.reduction(y.transpose(1, 2).unflatten(2, (rows, columns)))
            y = self.reduction_norm(y.flatten(2).transpose(1, 2))
        key, value = self.key(y), self.value(y)
        if self.value_conv is not None:
            value = self.value_conv(value.transpose(1, 2).unflatten(2, fewer)).flatten(2).transpose(1, 2)
        if (rows, columns) == (self.height, self.width):
            y = self.attend(query, key, value)
        else:
            y = self.attend_in_windows(*(part.unflatten(1, (rows, columns)) for part in (query, key, value)))
        y = self.output(self.activation(y))
        return x + y.transpose(1, 2).unflatten(2, (rows, columns))

    def attend(
        self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, together: torch.Tensor | None = None
    ) -> torch.Tensor:
        """(..., A, heads * value_dim) of the A pixels of a window; `together` (windows, 1, A, A): who sees whom."""
        mask = None
        if self.positions is not None:
            mask = self.positions(self.height, self.width, self.reduced_by).to(query.dtype)
        if together is not None:
            mask = together if mask is None else torch.where(together, mask, -torch.inf)
        y = F.scaled_dot_product_attention(self.split(query), self.split(key), self.split(value), attn_mask=mask)
        return y.transpose(-2, -3).flatten(-2)

    def attend_in_windows(self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        """The same of maps (N, rows, columns, features), put together again: (N, rows * columns, heads * value_dim)."""
        rows, columns = value.shape[1], value.shape[2]
        sides = self.height, self.width
        down = self.height // 2 if self.shift and self.height < rows else 0
        right = self.width // 2 if self.shift and self.width < columns else 0
        shifts = down, right
        together = neighbours(value, *sides, shifts) if any(shifts) else None
        query, key, value = (to_windows(part, *sides, shifts, self.spread) for part in (query, key, value))
        y = self.attend(query, key, value, together)
        return from_windows(y, rows, columns, *sides, shifts, self.spread).flatten(1, 2)


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
    height, width = window_sides(x, p["window"])
    return {
        "channels": x.channels,
        "height": height,
        "width": width,
        "heads": p["heads"],
        "head_dim": p["head_dim"],
        "value_dim": p["value_dim"],
        "value_conv": bool(p["value_conv"]),
        "relative_positions": bool(p["relative_positions"]),
        "shift": bool(p["shift"]),
        "activation": p["activation"],
        "bias": bool(p["bias"]),
        "spread": bool(p["spread"]),
        "reduction": p["reduction"],
    }


def widen_map_attention(arguments: Arguments, envelope: Envelope) -> Arguments:
    """Without a window the positions of the whole map are told apart, which no window is larger than."""
    if 0 not in envelope.params["window"]:
        return arguments
    shapes = [image((shape,), "map_attention") for shape in envelope.in_shapes[0]]
    return arguments | {"height": max(x.height for x in shapes), "width": max(x.width for x in shapes)}


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
    MapAttention,
    map_attention_arguments,
    helpers=(make_activation, RelativeBias, to_windows, from_windows, neighbours),
    widen=widen_map_attention,
    branch="output",
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
