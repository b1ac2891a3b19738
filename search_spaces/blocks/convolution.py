"""Convolution, normalisation, activation: shapes and costs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
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
    """Convolution with same padding, batch norm (or bias), activation.

    An even kernel is for a stride that is even too and divides the map: kernel 4 at stride 4 reads patches side by side
    (ConvNeXt, Liu et al. 2022), at stride 2 patches that overlap.
    """

    kind = "conv_bn_act"
    help = "Convolution with same padding, then batch norm and an activation."
    params: ClassVar = (
        OUT,
        replace(
            KERNEL, allowed=(*KERNELS, 2, 4, 8, 16), help="Kernel size, same padding; even only at an even stride."
        ),
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
        kernel, stride, odd = p["kernel"], p["stride"], p["kernel"] % 2 == 1
        covers = odd | ((stride > 1) & (stride <= kernel))
        require(covers, "an even kernel needs a stride of 2 or 4 that it covers: kernel {}, stride {}", kernel, stride)
        for name, size in (("height", x.height), ("width", x.width)):
            require(
                odd | (size % stride == 0), f"with an even kernel stride {{}} must divide the {name} {{}}", stride, size
            )
        plain = odd | ((p["kernel_width"] == 0) & (p["dilation"] == 1))
        require(plain, "an even kernel has no kernel_width and no dilation")
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
