"""Attention on feature maps, and the residual bottlenecks of hybrid networks. Shapes and costs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from search_spaces.blocks.arithmetic import (
    OUT,
    STRIDE,
    Tally,
    activation_param,
    both,
    flag,
    image,
    negate,
    require,
    squeezed_channels,
    strided_image,
    where,
)
from search_spaces.blocks.base import Block, Cost, Param
from search_spaces.blocks.resnet import SHORTCUT, tally_shortcut
from search_spaces.shapes import ImageShape, Shape, elements

HEADS = Param("heads", "int", minimum=1, help="Attention heads.")


def window_sides(x: ImageShape, window: Any) -> tuple[Any, Any]:
    """Height and width of the windows that attention on a map is cut into."""
    sides = [where(both(window > 0, window < size), window, size) for size in (x.height, x.width)]
    return sides[0], sides[1]


class MapAttention(Block):
    """Self-attention between the pixels of a feature map, with layer norm before it and a residual.

    As in the LeViT and ElasticViT families (Tang et al. 2023, arXiv 2303.09730): queries and keys of
    `head_dim` and values of `value_dim` features a head, optionally a depth-wise 3x3 convolution on the
    values, a learned bias for each head and relative position, and an activation before the output layer.
    `window` cuts the map into squares that attend within themselves; with `shift` the squares are half a window lower
    and further right, rows and columns that leave the map coming back at the other side, where they see only their own
    kind (Swin, Liu et al. 2021, arXiv 2103.14030). A side no longer than the window is one window, never shifted.
    With `spread` the pixels of a window are as far apart as the map allows (the grid of MaxViT, Tu et al. 2022).
    `reduction` r makes keys and values of a map whose sides are r times shorter, by a convolution of patches and layer
    norm (PVT, Wang et al. 2021, arXiv 2102.12122).
    """

    kind = "map_attention"
    help = "Self-attention between the pixels of a feature map, with residual and layer norm."
    params: ClassVar = (
        HEADS,
        Param("head_dim", "int", 16, minimum=1, help="Features of a query and of a key in each head."),
        Param("value_dim", "int", minimum=1, help="Features of a value in each head, for example `=head_dim * 2`."),
        Param("value_conv", "bool", True, help="Depth-wise 3x3 convolution on the values."),
        Param("relative_positions", "bool", True, help="Learned bias for each head and relative position."),
        Param(
            "window", "int", 0, minimum=0, help="Side of the windows, divides height and width; 0 for the whole map."
        ),
        Param("shift", "bool", False, help="Windows half a window further, as in every second layer of Swin."),
        Param("spread", "bool", False, help="Windows of pixels evenly spread over the map, as the grid of MaxViT."),
        Param(
            "reduction", "int", 1, minimum=1, help="Keys and values of a map so many times smaller; divides the sides."
        ),
        activation_param("hswish"),
        Param("bias", "bool", False, help="Queries, keys and values with bias."),
    )

    def out_shape(self, inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Shape:
        x = image(inputs, self.kind)
        height, width = window_sides(x, p["window"])
        for name, size, side in (("height", x.height, height), ("width", x.width, width)):
            require(size % side == 0, "window {} must divide the {} {}", side, name, size)
            require(size % p["reduction"] == 0, "reduction {} must divide the {} {}", p["reduction"], name, size)
        whole_map = negate(both(p["window"] > 0, p["reduction"] > 1))
        require(whole_map, "windows have all their keys: use either window or reduction")
        require(negate(both(p["shift"], p["spread"])), "windows are either shifted or spread")
        return x

    def cost(self, inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Cost:
        x = image(inputs, self.kind)
        heads, length, bias = p["heads"], x.height * x.width, flag(p["bias"])
        height, width = window_sides(x, p["window"])
        area = height * width
        reduction, reduced = p["reduction"], flag(p["reduction"] > 1)
        rows, columns = x.height // reduction, x.width // reduction
        keys, values = heads * p["head_dim"], heads * p["value_dim"]
        tally = Tally(inputs)
        tally.learn(2 * x.channels)
        tally.emit(elements(x))
        tally.hold(elements(x))
        tally.linear(x.channels, keys, length, bias=bias)
        tally.hold(length * keys)
        tally.branch(elements(x))
        tally.conv(x.channels, x.channels, reduction, rows, columns, bias=1, when=reduced)
        tally.learn(2 * x.channels, when=reduced)
        for features in (keys, values):
            tally.branch(x.channels * rows * columns)
            tally.linear(x.channels, features, rows * columns, bias=bias)
            tally.hold(rows * columns * features)
        tally.branch(rows * columns * values)
        tally.conv(values, values, 3, rows, columns, group=1, when=flag(p["value_conv"]))
        tally.learn(heads * (2 * height - 1) * (2 * width - 1), when=flag(p["relative_positions"]))
        tally.branch(0)
        seen = area // (reduction * reduction)
        tally.matmul(area, p["head_dim"], seen, heads * (length // area))
        tally.matmul(area, seen, p["value_dim"], heads * (length // area))
        tally.release(length * keys + rows * columns * (keys + values))
        tally.linear(values, x.channels, length)
        return tally.cost()


class MapFeedForward(Block):
    """Two linear layers on each pixel around an activation, with layer norm before them and a residual."""

    kind = "map_feed_forward"
    help = "Feed-forward layer on each pixel of a feature map, with residual and layer norm."
    params: ClassVar = (
        Param("mid", "int", minimum=1, help="Hidden features, for example `=in * ratio`."),
        activation_param("hswish"),
    )

    def out_shape(self, inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Shape:
        return image(inputs, self.kind)

    def cost(self, inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Cost:
        x = image(inputs, self.kind)
        tally = Tally(inputs)
        tally.learn(2 * x.channels)
        tally.emit(elements(x))
        tally.hold(elements(x))
        tally.linear(x.channels, p["mid"], x.height * x.width)
        tally.linear(p["mid"], x.channels, x.height * x.width)
        return tally.cost()


def tally_positional_reduction(tally: Tally, x: ImageShape, y: ImageShape, mid: Any) -> None:
    """1x1 convolution to `mid`, depth-wise 3x3 with bias at the stride, batch norm."""
    tally.conv(x.channels, mid, 1, x.height, x.width)
    tally.conv(mid, mid, 3, y.height, y.width, group=1, bias=1)
    tally.learn(2 * mid)


class PositionalBottleneck(Block):
    """ResConv of BossNAS (Li et al. 2021, arXiv 2103.12424).

    A residual bottleneck whose 1x1 reduction is followed by a depth-wise 3x3 convolution, which encodes
    positions and carries the stride; then 3x3 and 1x1 convolutions, optional squeeze-excite, activation.
    Squeeze width is `out` x `se_ratio`, rounded down.
    """

    kind = "positional_bottleneck"
    help = "Residual bottleneck with a depth-wise convolution as position encoding."
    params: ClassVar = (
        OUT,
        Param("mid", "int", minimum=1, help="Channels between the 1x1 convolutions."),
        STRIDE,
        SHORTCUT,
        activation_param("relu"),
        Param("se_ratio", "float", 0.0, minimum=0.0, maximum=1.0, help="Squeeze width over `out`; 0 for none."),
    )

    def out_shape(self, inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Shape:
        x = image(inputs, self.kind)
        return strided_image(x, p)

    def cost(self, inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Cost:
        x = image(inputs, self.kind)
        y = strided_image(x, p)
        squeeze, squeezed = flag(p["se_ratio"] > 0), squeezed_channels(y.channels, p["se_ratio"])
        tally = Tally(inputs)
        tally.hold(elements(x))
        tally_positional_reduction(tally, x, y, p["mid"])
        tally.conv(p["mid"], p["mid"], 3, y.height, y.width)
        tally.learn(2 * p["mid"])
        tally.conv(p["mid"], y.channels, 1, y.height, y.width)
        tally.learn(2 * y.channels)
        tally.hold(elements(y) * squeeze)
        tally.emit(y.channels, when=squeeze)
        tally.conv(y.channels, squeezed, 1, 1, 1, bias=1, when=squeeze)
        tally.conv(squeezed, y.channels, 1, 1, 1, bias=1, when=squeeze)
        tally.release(elements(y) * squeeze)
        tally.release(elements(x))
        tally.hold(elements(y))
        tally_shortcut(tally, x, y, p)
        return tally.cost()


class AttentionBottleneck(Block):
    """ResAtt of BossNAS (Li et al. 2021, arXiv 2103.12424).

    A residual bottleneck: 1x1 reduction to heads x head_dim, depth-wise 3x3 convolution at the stride,
    self-attention between all pixels, 1x1 convolution to `out`, activation. Layers without bias, each
    followed by batch norm but the projections of the attention.
    """

    kind = "attention_bottleneck"
    help = "Residual bottleneck with self-attention between all pixels."
    params: ClassVar = (
        OUT,
        HEADS,
        Param("head_dim", "int", 64, minimum=1, help="Features of each head."),
        STRIDE,
        SHORTCUT,
        activation_param("relu"),
    )

    def out_shape(self, inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Shape:
        x = image(inputs, self.kind)
        return strided_image(x, p)

    def cost(self, inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Cost:
        x = image(inputs, self.kind)
        y = strided_image(x, p)
        heads, head_dim = p["heads"], p["head_dim"]
        mid, length = heads * head_dim, y.height * y.width
        tally = Tally(inputs)
        tally.hold(elements(x))
        tally_positional_reduction(tally, x, y, mid)
        tally.conv(mid, 3 * mid, 1, y.height, y.width)
        tally.hold(3 * mid * length)
        tally.branch(0)
        tally.matmul(length, head_dim, length, heads)
        tally.matmul(length, length, head_dim, heads)
        tally.release(3 * mid * length)
        tally.learn(2 * mid)
        tally.conv(mid, y.channels, 1, y.height, y.width)
        tally.learn(2 * y.channels)
        tally.release(elements(x))
        tally.hold(elements(y))
        tally_shortcut(tally, x, y, p)
        return tally.cost()
