"""Operations of cell search spaces (NAS-Bench-201, DARTS, NASNet): shapes and costs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from search_spaces.blocks.arithmetic import (
    KERNEL,
    OUT,
    STRIDE,
    Tally,
    activation_param,
    flag,
    image,
    maximum,
    strided,
    strided_image,
)
from search_spaces.blocks.base import Block, Cost, Param
from search_spaces.shapes import ImageShape, Shape, elements

AFFINE = Param("affine", "bool", True, help="Batch norms with scale and shift.")


class ReluConvBN(Block):
    """ReLU, convolution, batch norm: the order of cell spaces."""

    kind = "relu_conv_bn"
    help = "ReLU, then convolution with same padding, then batch norm."
    params: ClassVar = (OUT, KERNEL, STRIDE, AFFINE)

    def out_shape(self, inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Shape:
        x = image(inputs, self.kind)
        return strided_image(x, p)

    def cost(self, inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Cost:
        x = image(inputs, self.kind)
        tally = Tally(inputs)
        tally.conv(x.channels, p["out"], p["kernel"], strided(x.height, p["stride"]), strided(x.width, p["stride"]))
        tally.learn(2 * p["out"], when=flag(p["affine"]))
        return tally.cost()


class SepConv(Block):
    """`layers` times ReLU, depth-wise k x k (dilated), point-wise 1x1, batch norm.

    The first unit has the stride and changes the channels (NASNet; in DARTS the channels never change here).
    """

    kind = "sep_conv"
    help = "Separable convolution; two layers without dilation in DARTS and NASNet, one with dilation."
    params: ClassVar = (
        OUT,
        KERNEL,
        STRIDE,
        Param("layers", "int", 2, minimum=1, maximum=4, help="How often the unit is applied."),
        Param("dilation", "int", 1, allowed=(1, 2), help="Dilation of the depth-wise convolution."),
        AFFINE,
    )

    def out_shape(self, inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Shape:
        x = image(inputs, self.kind)
        return strided_image(x, p)

    def cost(self, inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Cost:
        x = image(inputs, self.kind)
        height, width = strided(x.height, p["stride"]), strided(x.width, p["stride"])
        tally = Tally(inputs)
        channels = x.channels
        for layer in range(4):
            present = flag(p["layers"] > layer)
            tally.conv(channels, channels, p["kernel"], height, width, group=1, when=present)
            tally.conv(channels, p["out"], 1, height, width, when=present)
            tally.learn(2 * p["out"], when=present * flag(p["affine"]))
            channels = p["out"]
        return tally.cost()


class FactorizedReduce(Block):
    """ReLU, two 1x1 convolutions of stride 2 on maps shifted by one pixel, concatenated, batch norm."""

    kind = "factorized_reduce"
    help = "Halve height and width by two shifted 1x1 convolutions."
    params: ClassVar = (OUT, AFFINE)

    def out_shape(self, inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Shape:
        x = image(inputs, self.kind)
        return ImageShape(p["out"], strided(x.height, 2), strided(x.width, 2))

    def cost(self, inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Cost:
        x = image(inputs, self.kind)
        y = ImageShape(p["out"], strided(x.height, 2), strided(x.width, 2))
        half = p["out"] // 2
        tally = Tally(inputs)
        tally.conv(x.channels, half, 1, y.height, y.width)
        tally.hold(half * y.height * y.width)
        tally.branch(elements(x))
        tally.conv(x.channels, p["out"] - half, 1, y.height, y.width)
        tally.release(half * y.height * y.width)
        tally.branch(elements(y))
        tally.emit(elements(y))
        tally.learn(2 * p["out"], when=flag(p["affine"]))
        return tally.cost()


class SkipConnect(Block):
    """Identity where shapes stay; a 1x1 `relu_conv_bn` where only channels change; else `factorized_reduce`."""

    kind = "skip_connect"
    help = "Identity, or the cheapest operation that reaches the output's shape."
    params: ClassVar = (
        OUT,
        Param("stride", "int", 1, allowed=(1, 2), help="Stride."),
        AFFINE,
        Param("always", "bool", False, help="A 1x1 convolution even where the shape stays."),
    )

    def out_shape(self, inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Shape:
        x = image(inputs, self.kind)
        return strided_image(x, p)

    def cost(self, inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Cost:
        x = image(inputs, self.kind)
        y = self.out_shape(inputs, p)
        assert isinstance(y, ImageShape)
        reduces = flag(p["stride"] == 2)
        works = maximum(reduces, flag(x.channels != p["out"]), flag(p["always"]))
        tally = Tally(inputs)
        # The two halves of a reduction cost as much as one 1x1 convolution to all channels.
        tally.conv(x.channels, p["out"], 1, y.height, y.width, when=works)
        tally.emit(elements(y), when=reduces)
        tally.learn(2 * p["out"], when=works * flag(p["affine"]))
        return tally.cost()


class BNRelu(Block):
    """Batch norm and ReLU, as at the end of a stack of cells; without the ReLU one branch of RepVGG."""

    kind = "bn_relu"
    help = "Batch norm, then ReLU or another activation; `none` leaves the norm alone."
    params: ClassVar = (activation_param(),)

    def out_shape(self, inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Shape:
        return image(inputs, self.kind)

    def cost(self, inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Cost:
        tally = Tally(inputs)
        tally.learn(2 * image(inputs, self.kind).channels)
        tally.emit(elements(inputs[0]))
        return tally.cost()
