"""Convolution, normalisation, activation: shapes and costs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from search_spaces.blocks.arithmetic import (
    DILATION,
    GROUP_SIZE,
    KERNEL,
    KERNELS,
    OUT,
    STRIDE,
    TRANSFORM,
    Tally,
    activation_param,
    flag,
    group_of,
    image,
    require,
    strided_image,
    where,
)
from search_spaces.blocks.base import Block, Cost, Param
from search_spaces.shapes import Shape


class ConvBNAct(Block):
    """Convolution with same padding, batch norm (or bias), activation."""

    kind = "conv_bn_act"
    help = "Convolution with same padding, then batch norm and an activation."
    params: ClassVar = (
        OUT,
        KERNEL,
        Param("kernel_width", "int", 0, allowed=(0, *KERNELS), help="Width where it is not the height; 0: a square."),
        STRIDE,
        activation_param(),
        Param("norm", "bool", True, help="Batch norm after the convolution."),
        Param("bias", "bool", True, help="Bias of a convolution without batch norm."),
        GROUP_SIZE,
        DILATION,
        TRANSFORM,
    )

    def out_shape(self, inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Shape:
        x = image(inputs, self.kind)
        group_of(x.channels, p["out"], p)
        square = (p["kernel_width"] == 0) | (p["kernel_transform"] == False)  # noqa: E712 - may be an array
        require(square, "a kernel_transform is for square kernels, without kernel_width {}", p["kernel_width"])
        return strided_image(x, p)

    def cost(self, inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Cost:
        x = image(inputs, self.kind)
        y = strided_image(x, p)
        tally = Tally(inputs)
        norm = flag(p["norm"])
        seen = group_of(x.channels, p["out"], p)
        tally.conv(
            x.channels,
            y.channels,
            p["kernel"],
            y.height,
            y.width,
            group=seen,
            bias=(1 - norm) * flag(p["bias"]),
            across=where(p["kernel_width"] == 0, p["kernel"], p["kernel_width"]),
        )
        tally.learn(2 * y.channels, when=norm)
        return tally.cost()
