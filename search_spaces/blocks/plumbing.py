"""Blocks without weights: identity, zero, joins of inputs, scale, activation, dropout, shuffle, parts of channels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

from search_spaces.blocks.arithmetic import Tally, activation_param, image, maximum, require, where
from search_spaces.blocks.base import Block, BlockError, Cost, Param
from search_spaces.shapes import ImageShape, Shape, TokensShape, VectorShape, elements


class Identity(Block):
    """The input itself."""

    kind = "identity"
    help = "Pass the input on."

    def out_shape(self, inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Shape:
        return inputs[0]

    def cost(self, inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Cost:
        return Tally(inputs).cost()


class Zero(Block):
    """Zeros of the input's shape: an edge that carries nothing."""

    kind = "zero"
    help = "Zeros of the input's shape."

    def out_shape(self, inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Shape:
        return inputs[0]

    def cost(self, inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Cost:
        tally = Tally(inputs)
        tally.emit(elements(inputs[0]))
        return tally.cost()


class Add(Block):
    """Element-wise sum of inputs of one shape."""

    kind = "add"
    help = "Sum of inputs of one shape."
    num_inputs = None

    def out_shape(self, inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Shape:
        for other in inputs[1:]:
            if type(other) is not type(inputs[0]):
                raise BlockError(f"{self.kind} needs inputs of one kind")
            for name, size in vars(inputs[0]).items():
                require(size == getattr(other, name), f"{self.kind} needs inputs of one shape; {name} differs")
        return inputs[0]

    def cost(self, inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Cost:
        tally = Tally(inputs)
        if len(inputs) > 1:
            tally.emit(elements(inputs[0]))
        return tally.cost()


class Mean(Add):
    """Element-wise mean of inputs of one shape: what FractalNet joins its branches by (Larsson et al. 2017)."""

    kind = "mean"
    help = "Mean of inputs of one shape."


class Multiply(Block):
    """Element-wise product. Element-wise work: no multiply-accumulates are counted.

    Behind a map or a sequence a vector is one pixel or token of it (ECA-Net, FiLM).
    """

    kind = "multiply"
    help = "Product of inputs of one shape, as for gates; a side of 1 is repeated, a vector is one pixel or token."
    num_inputs = None

    def out_shape(self, inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Shape:
        first = inputs[0]
        sizes = dict(vars(first))
        for other in inputs[1:]:
            if isinstance(other, VectorShape) and isinstance(first, ImageShape):
                other = ImageShape(other.features, 1, 1)
            elif isinstance(other, VectorShape) and isinstance(first, TokensShape):
                other = TokensShape(1, other.features)
            if type(other) is not type(first):
                raise BlockError("multiply needs inputs of one kind")
            for name, size in vars(other).items():
                fits = (size == sizes[name]) | (size == 1) | (sizes[name] == 1)
                require(fits, f"multiply needs inputs of one shape, or a side of 1; {name} differs")
                sizes[name] = maximum(sizes[name], size)
        return type(first)(**sizes)

    def cost(self, inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Cost:
        tally = Tally(inputs)
        if len(inputs) > 1:
            tally.emit(elements(self.out_shape(inputs, p)))
        return tally.cost()


class Concat(Block):
    """Inputs side by side along the channels (feature maps) or features (sequences, vectors)."""

    kind = "concat"
    help = "Inputs side by side along channels or features."
    num_inputs = None

    def out_shape(self, inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Shape:
        if isinstance(inputs[0], TokensShape):
            if not all(isinstance(shape, TokensShape) for shape in inputs):
                raise BlockError("concat needs inputs of one kind")
            for other in inputs[1:]:
                require(other.length == inputs[0].length, "concat needs sequences of one length")  # type: ignore[union-attr]
            return TokensShape(inputs[0].length, sum(shape.features for shape in inputs))  # type: ignore[union-attr]
        if isinstance(inputs[0], VectorShape):
            if not all(isinstance(shape, VectorShape) for shape in inputs):
                raise BlockError("concat needs inputs of one kind")
            return VectorShape(sum(shape.features for shape in inputs))  # type: ignore[union-attr]
        maps = [image((shape,), self.kind) for shape in inputs]
        for other in maps[1:]:
            require(other.height == maps[0].height, "concat needs feature maps of one height")
            require(other.width == maps[0].width, "concat needs feature maps of one width")
        return ImageShape(sum(shape.channels for shape in maps), maps[0].height, maps[0].width)

    def cost(self, inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Cost:
        tally = Tally(inputs)
        if len(inputs) > 1:
            tally.emit(sum(elements(shape) for shape in inputs))
        return tally.cost()


class Activation(Block):
    """An activation by itself."""

    kind = "activation"
    help = "An activation by itself, such as the ReLU in front of a head."
    params: ClassVar = (activation_param(),)

    def out_shape(self, inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Shape:
        return inputs[0]

    def cost(self, inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Cost:
        return Tally(inputs).cost()


class Dropout(Block):
    """While training some numbers become 0, the others larger; later nothing happens (Srivastava et al. 2014)."""

    kind = "dropout"
    help = "While training a share of the numbers is 0, as between the convolutions of a wide ResNet."
    params: ClassVar = (Param("rate", "float", minimum=0.0, maximum=0.9, help="The share."),)

    def out_shape(self, inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Shape:
        return inputs[0]

    def cost(self, inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Cost:
        return Tally(inputs).cost()


class Scale(Block):
    """The input times a fixed number, plus another: halves (Conformer), differences (PoolFormer), 1 - x (highways)."""

    kind = "scale"
    help = "The input times a fixed number plus another, as for halves, differences and 1 - x."
    params: ClassVar = (
        Param("factor", "float", 1.0, help="What every number is multiplied by."),
        Param("offset", "float", 0.0, help="What is added to it then."),
    )

    def out_shape(self, inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Shape:
        return inputs[0]

    def cost(self, inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Cost:
        return Tally(inputs).cost()


class ChannelShuffle(Block):
    """Takes channels from the groups in turn, so that the next grouped convolution sees all (ShuffleNet, FBNet)."""

    kind = "channel_shuffle"
    help = "Interleave the channels of several groups, between two grouped convolutions."
    params: ClassVar = (Param("groups", "int", 2, minimum=1, help="Number of groups; divides the channels."),)

    def out_shape(self, inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Shape:
        x = image(inputs, self.kind)
        require(x.channels % p["groups"] == 0, "groups {} must divide the {} channels", p["groups"], x.channels)
        return x

    def cost(self, inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Cost:
        tally = Tally(inputs)
        tally.emit(elements(inputs[0]))
        return tally.cost()


class ChannelPart(Block):
    """One of several equal parts of the channels or features, from 0 (channel split of ShuffleNetV2, gate of gMLP)."""

    kind = "channel_part"
    help = "One of several equal parts of the channels or features."
    params: ClassVar = (
        Param("part", "int", minimum=0, help="Which part, from 0."),
        Param("parts", "int", 2, minimum=1, help="Number of parts; divides the channels."),
    )

    def out_shape(self, inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Shape:
        parts = p["parts"]
        name, size = _channels(inputs[0])
        require(p["part"] < parts, "there is no part {} among {}, counted from 0", p["part"], parts)
        require(size % parts == 0, "parts {} must divide the {} {}", parts, size, name)
        return replace(inputs[0], **{name: size // parts})

    def cost(self, inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Cost:
        tally = Tally(inputs)
        tally.emit(elements(self.out_shape(inputs, p)))
        return tally.cost()


class ChannelSlice(Block):
    """Channels or features from one place on (dual paths, partial convolutions)."""

    kind = "channel_slice"
    help = "Some channels or features from one place on: parts of any sizes."
    params: ClassVar = (
        Param("start", "int", 0, minimum=0, help="The first of them, counted from 0."),
        Param("size", "int", 0, minimum=0, help="How many; 0: all up to the last."),
    )

    def out_shape(self, inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Shape:
        name, size = _channels(inputs[0])
        least = p["start"] + maximum(1, p["size"])
        require(least <= size, f"a slice of {{}} {name} from {{}} on does not fit in {{}}", p["size"], p["start"], size)
        return replace(inputs[0], **{name: where(p["size"] == 0, size - p["start"], p["size"])})

    def cost(self, inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Cost:
        tally = Tally(inputs)
        tally.emit(elements(self.out_shape(inputs, p)))
        return tally.cost()


def _channels(x: Shape) -> tuple[str, Any]:
    """What the channels or features of a shape are called, and how many there are."""
    name = "channels" if isinstance(x, ImageShape) else "features"
    return name, getattr(x, name)
