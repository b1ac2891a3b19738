"""Blocks that change the grid of a feature map: upsampling, patches into channels, global pooling, flattening."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from search_spaces.blocks.arithmetic import Tally, image, require, where
from search_spaces.blocks.base import Block, Cost, Param
from search_spaces.network import ImageShape, Shape, VectorShape, elements


class Upsample(Block):
    """A larger map by repeating or interpolating pixels. Element-wise work: no multiply-accumulates are counted."""

    kind = "upsample"
    help = "Enlarge a feature map by a factor, or to a given height and width."
    params: ClassVar = (
        Param("factor", "int", 2, minimum=1, help="Height and width grow by this factor."),
        Param("height", "int", 0, minimum=0, help="Height in place of the factor, for example `=skip.height`."),
        Param("width", "int", 0, minimum=0, help="Width in place of the factor, for example `=skip.width`."),
        Param("mode", "str", "nearest", allowed=("nearest", "bilinear"), help="How new pixels are made."),
    )

    def out_shape(self, inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Shape:
        x = image(inputs, self.kind)
        height = where(p["height"] > 0, p["height"], x.height * p["factor"])
        width = where(p["width"] > 0, p["width"], x.width * p["factor"])
        require(height >= x.height, "upsample cannot make height {} of {}", height, x.height)
        require(width >= x.width, "upsample cannot make width {} of {}", width, x.width)
        return ImageShape(x.channels, height, width)

    def cost(self, inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Cost:
        tally = Tally(inputs)
        tally.emit(elements(self.out_shape(inputs, p)))
        return tally.cost()


class SpaceToDepth(Block):
    """The pixels of each square patch become channels, those of one channel side by side.

    A 1x1 convolution after it is a convolution of patches that do not overlap: the stem of ConvNeXt, and, with a norm
    between them, the patch merging of Swin.
    """

    kind = "space_to_depth"
    help = "The pixels of each square patch become channels of one pixel, as for stems of patches and patch merging."
    params: ClassVar = (Param("patch", "int", 2, minimum=1, help="Side of a patch; divides height and width."),)

    def out_shape(self, inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Shape:
        x, patch = image(inputs, self.kind), p["patch"]
        for name, size in (("height", x.height), ("width", x.width)):
            require(size % patch == 0, "patch {} must divide the {} {}", patch, name, size)
        return ImageShape(x.channels * patch * patch, x.height // patch, x.width // patch)

    def cost(self, inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Cost:
        tally = Tally(inputs)
        tally.emit(elements(inputs[0]))
        return tally.cost()


class GlobalPool(Block):
    """One pixel: the mean or the maximum of every channel, as a squeeze-excite gate reads it."""

    kind = "global_pool"
    help = "Mean or maximum of every channel, as a map of one pixel."
    params: ClassVar = (Param("operation", "str", "avg", allowed=("avg", "max"), help="Average or maximum."),)

    def out_shape(self, inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Shape:
        return ImageShape(image(inputs, self.kind).channels, 1, 1)

    def cost(self, inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Cost:
        tally = Tally(inputs)
        tally.emit(image(inputs, self.kind).channels)
        return tally.cost()


class Flatten(Block):
    """All numbers of a feature map, channel by channel, or of a sequence, token by token, as one vector."""

    kind = "flatten"
    help = "A feature map or a sequence as one vector, as before the linear layers of VGG."

    def out_shape(self, inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Shape:
        return VectorShape(elements(inputs[0]))

    def sees_later(self, p: Mapping[str, Any]) -> Any:
        return True

    def cost(self, inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Cost:
        return Tally(inputs).cost()
