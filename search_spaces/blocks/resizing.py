"""Blocks that change the grid: larger maps, patches into channels, global pooling, maps as sequences, flattening."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from search_spaces.blocks.arithmetic import CALLED, OUT, Tally, activation_param, flag, image, require, tokens, where
from search_spaces.blocks.base import Block, BlockError, Cost, Param
from search_spaces.shapes import ImageShape, Shape, TokensShape, VectorShape, elements


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


class TransposedConv(Block):
    """Convolution whose output is `stride` times its input in height and width, then batch norm and an activation."""

    kind = "transposed_conv"
    help = "Transposed convolution: a map `stride` times as high and wide, batch norm, activation."
    params: ClassVar = (
        OUT,
        Param("kernel", "int", 2, minimum=1, maximum=16, help="Kernel size, from the stride on."),
        Param("stride", "int", 2, minimum=2, help="Height and width grow by this factor."),
        activation_param(),
        Param("norm", "bool", True, help="Batch norm after the convolution."),
        Param("bias", "bool", True, help="Bias of a convolution without batch norm."),
    )

    def out_shape(self, inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Shape:
        x = image(inputs, self.kind)
        require(p["kernel"] >= p["stride"], "kernel {} is below the stride {}: gaps", p["kernel"], p["stride"])
        return ImageShape(p["out"], x.height * p["stride"], x.width * p["stride"])

    def cost(self, inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Cost:
        x, norm = image(inputs, self.kind), flag(p["norm"])
        made = elements(self.out_shape(inputs, p))
        weights = x.channels * p["out"] * p["kernel"] * p["kernel"]
        tally = Tally(inputs)
        tally.macs, tally.params, tally.activations = weights * x.height * x.width, weights, made
        tally.learn((2 * norm + (1 - norm) * flag(p["bias"])) * p["out"])
        tally.emit(made)
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
    """One pixel: the mean or the maximum of every channel, as a squeeze-excite gate reads it.

    Or one row or column of them (coordinate attention, Hou et al. 2021; BC-ResNet, Kim et al. 2021).
    """

    kind = "global_pool"
    help = "Mean or maximum of every channel, as a map of one pixel, or of one row or column."
    params: ClassVar = (
        Param("operation", "str", "avg", allowed=("avg", "max"), help="Average or maximum."),
        Param("over", "str", "map", allowed=("map", "height", "width"), help="Which sides become 1."),
    )

    def out_shape(self, inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Shape:
        x = image(inputs, self.kind)
        return ImageShape(
            x.channels, where(p["over"] == "width", x.height, 1), where(p["over"] == "height", x.width, 1)
        )

    def cost(self, inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Cost:
        tally = Tally(inputs)
        tally.emit(elements(self.out_shape(inputs, p)))
        return tally.cost()


class MapTokens(Block):
    """The pixels of a map as tokens, row by row: convolutions before a transformer (CCT, Hassani et al. 2021)."""

    kind = "map_tokens"
    help = "Feature map to sequence: one token a pixel, row by row; optional class token and learned positions."
    params: ClassVar = (
        Param("class_token", "bool", False, help="Put a learned token in front."),
        Param("positions", "bool", False, help="Add a learned vector for each position."),
    )

    def out_shape(self, inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Shape:
        x = image(inputs, self.kind)
        return TokensShape(x.height * x.width + flag(p["class_token"]), x.channels)

    def cost(self, inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Cost:
        made = self.out_shape(inputs, p)
        assert isinstance(made, TokensShape)
        tally = Tally(inputs)
        tally.learn(made.features, when=flag(p["class_token"]))
        tally.emit(elements(made))
        tally.learn(elements(made), when=flag(p["positions"]))
        return tally.cost()


class TokenMap(Block):
    """The reverse of `map_tokens` without a class token: convolutions between layers of a transformer (LocalViT)."""

    kind = "token_map"
    help = "Sequence to feature map: its tokens row by row."
    params: ClassVar = (Param("height", "int", minimum=1, help="Rows, for example `=map.height`; divides the length."),)

    def out_shape(self, inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Shape:
        x = tokens(inputs, self.kind)
        require(x.length % p["height"] == 0, "height {} must divide the length {}", p["height"], x.length)
        return ImageShape(x.features, p["height"], x.length // p["height"])

    def sees_later(self, p: Mapping[str, Any]) -> Any:
        return True  # as what maps pass then does

    def cost(self, inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Cost:
        tally = Tally(inputs)
        tally.emit(elements(inputs[0]))
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


class Unflatten(Block):
    """A vector cut into equal parts, one token each: readings of several sensors one time step after the other."""

    kind = "unflatten"
    help = "A vector as a sequence: equal parts of it, one after the other, as for readings of sensors."
    params: ClassVar = (Param("length", "int", minimum=1, help="Number of parts; divides the features."),)

    def out_shape(self, inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Shape:
        x = inputs[0]
        if not isinstance(x, VectorShape):
            raise BlockError(f"unflatten needs a vector as input, not {CALLED[type(x)]}")
        require(x.features % p["length"] == 0, "length {} must divide the {} features", p["length"], x.features)
        return TokensShape(p["length"], x.features // p["length"])

    def cost(self, inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Cost:
        return Tally(inputs).cost()
