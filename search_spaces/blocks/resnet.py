"""Residual blocks of ResNet: two 3x3 convolutions, or the 1x1 - 3x3 - 1x1 bottleneck; their shortcut by itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

from search_spaces.blocks.arithmetic import KERNEL, OUT, STRIDE, TRANSFORM, Tally, flag, image, strided_image
from search_spaces.blocks.base import Block, Cost, Param
from search_spaces.shapes import ImageShape, Shape, elements

SHORTCUT = Param(
    "shortcut",
    "str",
    "project",
    allowed=("project", "pad", "pool_project"),
    help="Shortcut where shapes change: 1x1 convolution with norm; strided slice and zero channels; "
    "average pool and 1x1 convolution without norm.",
)
MID = Param("mid", "int", minimum=1, help="Channels between the convolutions.")


def tally_shortcut(tally: Tally, x: ImageShape, y: ImageShape, p: Mapping[str, Any]) -> None:
    """Cost of the shortcut branch; a held output of the main branch is the caller's to account for."""
    changes = flag(p["stride"] > 1) | flag(x.channels != y.channels)
    project = changes * flag(p["shortcut"] == "project")
    pool_project = changes * flag(p["shortcut"] == "pool_project")
    pad = changes * flag(p["shortcut"] == "pad")
    tally.branch(elements(x))
    tally.conv(x.channels, y.channels, 1, y.height, y.width, when=project)
    tally.learn(2 * y.channels, when=project)
    tally.emit(x.channels * y.height * y.width, when=pool_project)
    tally.conv(x.channels, y.channels, 1, y.height, y.width, when=pool_project)
    tally.emit(elements(y), when=pad)


class BasicBlock(Block):
    """k x k convolution to `mid`, k x k convolution to `out`, shortcut, ReLU (He et al. 2016)."""

    kind = "basic_block"
    help = "Residual block of two convolutions."
    params: ClassVar = (OUT, MID, KERNEL, STRIDE, SHORTCUT, TRANSFORM)

    def out_shape(self, inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Shape:
        x = image(inputs, self.kind)
        return strided_image(x, p)

    def cost(self, inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Cost:
        x = image(inputs, self.kind)
        y = strided_image(x, p)
        tally = Tally(inputs)
        tally.conv(x.channels, p["mid"], p["kernel"], y.height, y.width)
        tally.learn(2 * p["mid"])
        tally.hold(elements(x))
        tally.conv(p["mid"], y.channels, p["kernel"], y.height, y.width)
        tally.learn(2 * y.channels)
        tally.release(elements(x))
        tally.hold(elements(y))
        tally_shortcut(tally, x, y, p)
        return tally.cost()


class Bottleneck(Block):
    """1x1 to `mid`, k x k at the stride, 1x1 to `out`, shortcut, ReLU (the form with the stride in the middle)."""

    kind = "bottleneck"
    help = "Residual bottleneck of three convolutions."
    params: ClassVar = (OUT, MID, KERNEL, STRIDE, SHORTCUT, TRANSFORM)

    def out_shape(self, inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Shape:
        x = image(inputs, self.kind)
        return strided_image(x, p)

    def cost(self, inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Cost:
        x = image(inputs, self.kind)
        y = strided_image(x, p)
        mid = p["mid"]
        tally = Tally(inputs)
        tally.conv(x.channels, mid, 1, x.height, x.width)
        tally.learn(2 * mid)
        tally.hold(elements(x))
        tally.conv(mid, mid, p["kernel"], y.height, y.width)
        tally.learn(2 * mid)
        tally.conv(mid, y.channels, 1, y.height, y.width)
        tally.learn(2 * y.channels)
        tally.release(elements(x))
        tally.hold(elements(y))
        tally_shortcut(tally, x, y, p)
        return tally.cost()


class Shortcut(Block):
    """What `basic_block` and `bottleneck` have beside their branch, for residuals of other parts (PyramidNet)."""

    kind = "shortcut"
    help = "The way around a residual branch to other channels or at a stride; the input where nothing changes."
    params: ClassVar = (OUT, STRIDE, replace(SHORTCUT, name="operation"))

    def out_shape(self, inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Shape:
        return strided_image(image(inputs, self.kind), p)

    def cost(self, inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Cost:
        x = image(inputs, self.kind)
        tally = Tally(inputs)
        tally_shortcut(tally, x, strided_image(x, p), {**p, "shortcut": p["operation"]})
        return tally.cost()
