"""Blocks without weights: identity, zero, add, concat, activation, and the shuffle and parts of channels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from search_spaces.blocks.arithmetic import Tally, activation_param, image, require
from search_spaces.blocks.base import Block, BlockError, Cost, Param
from search_spaces.network import ImageShape, Shape, TokensShape, VectorShape, elements


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
                raise BlockError("add needs inputs of one kind")
            for name, size in vars(inputs[0]).items():
                require(size == getattr(other, name), f"add needs inputs of one shape; {name} differs")
        return inputs[0]

    def cost(self, inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Cost:
        tally = Tally(inputs)
        if len(inputs) > 1:
            tally.emit(elements(inputs[0]))
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


class ChannelShuffle(Block):
    """Takes channels from the groups in turn, so that the next grouped convolution sees all (ShuffleNet, FBNet)."""

    kind = "channel_shuffle"
    help = "Interleave the channels of several groups, between two grouped convolutions."
    params: ClassVar = (Param("groups", "int", 2, minimum=1, help="Number of groups; divides the channels."),)

    def out_shape(self, inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Shape:
        x = image(inputs, self.kind)
        require(x.channels % p["groups"] == 0, f"groups {p['groups']} must divide the {x.channels} channels")
        return x

    def cost(self, inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Cost:
        tally = Tally(inputs)
        tally.emit(elements(inputs[0]))
        return tally.cost()


class ChannelPart(Block):
    """One of several equal parts of the channels, counted from 0 (the channel split of ShuffleNetV2)."""

    kind = "channel_part"
    help = "One of several equal parts of the channels."
    params: ClassVar = (
        Param("part", "int", minimum=0, help="Which part, from 0."),
        Param("parts", "int", 2, minimum=1, help="Number of parts; divides the channels."),
    )

    def out_shape(self, inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Shape:
        x = image(inputs, self.kind)
        require(p["part"] < p["parts"], f"there is no part {p['part']} among {p['parts']}, counted from 0")
        require(x.channels % p["parts"] == 0, f"parts {p['parts']} must divide the {x.channels} channels")
        return ImageShape(x.channels // p["parts"], x.height, x.width)

    def cost(self, inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Cost:
        tally = Tally(inputs)
        tally.emit(elements(self.out_shape(inputs, p)))
        return tally.cost()
