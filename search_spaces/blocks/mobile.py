"""Inverted bottleneck of MobileNetV2, MobileNetV3 and MnasNet: shapes and costs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from search_spaces.blocks.arithmetic import (
    KERNEL,
    OUT,
    STRIDE,
    TRANSFORM,
    Tally,
    activation_param,
    both,
    flag,
    image,
    maximum,
    negate,
    round8,
    squeezed_channels,
    strided_image,
    where,
)
from search_spaces.blocks.base import Block, Cost, Param
from search_spaces.shapes import Shape, elements


def squeeze_width(channels: Any, mid: Any, ratio: Any, source: Any) -> Any:
    """Channels between the two layers of a squeeze-excite; see the parameter `se_from`."""
    return where(source == "in", squeezed_channels(channels, ratio), round8(mid * ratio))


class MBConv(Block):
    """Expand 1x1, depth-wise k x k, optional squeeze-excite, project 1x1; residual where shapes allow it.

    The expansion is left out when `mid` equals the input channels, as the first block of the
    MobileNets does it. Both layers of the squeeze-excite have a bias.
    """

    kind = "mbconv"
    help = "Inverted bottleneck: expand, depth-wise convolution, squeeze-excite, project."
    params: ClassVar = (
        OUT,
        Param("mid", "int", minimum=1, help="Channels of the depth-wise convolution, for example `=round8(in * e)`."),
        KERNEL,
        STRIDE,
        activation_param("relu6"),
        Param("se_ratio", "float", 0.0, minimum=0.0, maximum=1.0, help="Squeeze width over `se_from`; 0 for none."),
        Param(
            "se_from",
            "str",
            "mid",
            allowed=("mid", "in"),
            help="Squeeze width follows `mid`, to a multiple of 8, with ReLU (MobileNetV3), or the input, rounded "
            "down, with the block's activation (MnasNet, EfficientNet).",
        ),
        Param("se_gate", "str", "hsigmoid", allowed=("hsigmoid", "sigmoid"), help="Gate of the squeeze-excite."),
        Param("residual", "bool", True, help="Add the input when stride is 1 and channels stay the same."),
        Param(
            "shortcut",
            "str",
            "none",
            allowed=("none", "pool_project"),
            help="Shortcut where shapes change: none, or average pool and 1x1 convolution without norm (ElasticViT).",
        ),
        TRANSFORM,
    )

    def out_shape(self, inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Shape:
        x = image(inputs, self.kind)
        return strided_image(x, p)

    def cost(self, inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Cost:
        x = image(inputs, self.kind)
        y = strided_image(x, p)
        mid = p["mid"]
        tally = Tally(inputs)
        residual = flag(both(p["residual"], p["stride"] == 1, x.channels == p["out"]))
        expand = flag(mid != x.channels)
        changes = flag(negate(both(p["stride"] == 1, x.channels == p["out"])))
        pool_project = changes * flag(p["shortcut"] == "pool_project")
        squeeze = flag(p["se_ratio"] > 0)
        squeezed = squeeze_width(x.channels, mid, p["se_ratio"], p["se_from"])
        skip = maximum(residual, pool_project) * elements(x)
        tally.conv(x.channels, mid, 1, x.height, x.width, when=expand)
        tally.learn(2 * mid, when=expand)
        tally.hold(skip * expand)
        tally.conv(mid, mid, p["kernel"], y.height, y.width, group=1)
        tally.learn(2 * mid)
        tally.hold(skip * (1 - expand))
        wide = mid * y.height * y.width
        tally.hold(wide * squeeze)
        tally.emit(mid, when=squeeze)
        tally.conv(mid, squeezed, 1, 1, 1, bias=1, when=squeeze)
        tally.conv(squeezed, mid, 1, 1, 1, bias=1, when=squeeze)
        tally.release(wide * squeeze)
        tally.branch(wide)
        tally.conv(mid, y.channels, 1, y.height, y.width)
        tally.learn(2 * y.channels)
        tally.hold(elements(y) * pool_project)
        tally.branch(elements(x) * pool_project + elements(y) * (1 - pool_project))
        tally.emit(x.channels * y.height * y.width, when=pool_project)
        tally.conv(x.channels, y.channels, 1, y.height, y.width, when=pool_project)
        return tally.cost()
