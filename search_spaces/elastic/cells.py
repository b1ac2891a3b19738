"""Plain modules of the operations of cell spaces, and of pooling."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from search_spaces.blocks.arithmetic import image
from search_spaces.elastic.layers import make_activation
from search_spaces.elastic.spec import Arguments, ModuleSpec
from search_spaces.network import Envelope
from search_spaces.shapes import Shape


class ReluConvBN(nn.Module):
    """ReLU, convolution, batch norm."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, stride: int, affine: bool) -> None:
        super().__init__()
        self.relu = nn.ReLU()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel_size, stride, kernel_size // 2, bias=False)
        self.norm = nn.BatchNorm2d(out_channels, affine=affine)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.norm(self.conv(self.relu(x)))


class SepUnit(nn.Module):
    """ReLU, depth-wise convolution, point-wise convolution, batch norm."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        stride: int,
        dilation: int,
        affine: bool,
    ) -> None:
        super().__init__()
        padding = dilation * (kernel_size // 2)
        self.relu = nn.ReLU()
        self.depthwise = nn.Conv2d(
            in_channels,
            in_channels,
            kernel_size,
            stride,
            padding,
            dilation,
            groups=in_channels,
            bias=False,
        )
        self.pointwise = nn.Conv2d(in_channels, out_channels, 1, bias=False)
        self.norm = nn.BatchNorm2d(out_channels, affine=affine)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.norm(self.pointwise(self.depthwise(self.relu(x))))


class SepConv(nn.Module):
    """Separable convolution of one or more units; the first has the stride and changes the channels."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        stride: int,
        layers: int,
        dilation: int,
        affine: bool,
    ) -> None:
        super().__init__()
        units = []
        for layer in range(layers):
            first = layer == 0
            unit_in, unit_stride = (in_channels, stride) if first else (out_channels, 1)
            units.append(SepUnit(unit_in, out_channels, kernel_size, unit_stride, dilation, affine))
        self.units = nn.Sequential(*units)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.units(x)


class FactorizedReduce(nn.Module):
    """Two 1x1 convolutions of stride 2, the second on the map shifted by one pixel."""

    def __init__(self, in_channels: int, out_channels: int, affine: bool) -> None:
        super().__init__()
        self.relu = nn.ReLU()
        self.even = nn.Conv2d(in_channels, out_channels // 2, 1, 2, bias=False)
        self.odd = nn.Conv2d(in_channels, out_channels - out_channels // 2, 1, 2, bias=False)
        self.norm = nn.BatchNorm2d(out_channels, affine=affine)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.relu(x)
        shifted = F.pad(x, (0, 1, 0, 1))[:, :, 1:, 1:]
        return self.norm(torch.cat((self.even(x), self.odd(shifted)), 1))


class SkipConnect(nn.Module):
    """Identity, or a 1x1 convolution to other channels, or a factorized reduction."""

    def __init__(self, in_channels: int, out_channels: int, project: bool, reduce: bool, affine: bool) -> None:
        super().__init__()
        self.project = ReluConvBN(in_channels, out_channels, 1, 1, affine) if project else nn.Identity()
        self.reduce = FactorizedReduce(in_channels, out_channels, affine) if reduce else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.reduce(self.project(x))


class BNRelu(nn.Module):
    """Batch norm, then an activation."""

    def __init__(self, channels: int, activation: str) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels)
        self.activation = make_activation(activation)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.activation(self.norm(x))


class Pool(nn.Module):
    """Max or average pooling with same padding."""

    def __init__(self, operation: str, channels: int, kernel_size: int, stride: int, norm: bool) -> None:
        super().__init__()
        padding = (kernel_size - 1) // 2
        ceil = kernel_size % 2 == 0
        self.pool = (
            nn.MaxPool2d(kernel_size, stride, padding, ceil_mode=ceil)
            if operation == "max"
            else nn.AvgPool2d(kernel_size, stride, padding, ceil_mode=ceil, count_include_pad=False)
        )
        self.norm = nn.BatchNorm2d(channels, affine=False) if norm else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.norm(self.pool(x))


def relu_conv_bn_arguments(inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Arguments:
    return {
        "in_channels": image(inputs, "relu_conv_bn").channels,
        "out_channels": p["out"],
        "kernel_size": p["kernel"],
        "stride": p["stride"],
        "affine": bool(p["affine"]),
    }


def sep_conv_arguments(inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Arguments:
    return {
        "in_channels": image(inputs, "sep_conv").channels,
        "out_channels": p["out"],
        "kernel_size": p["kernel"],
        "stride": p["stride"],
        "layers": p["layers"],
        "dilation": p["dilation"],
        "affine": bool(p["affine"]),
    }


def factorized_reduce_arguments(inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Arguments:
    return {
        "in_channels": image(inputs, "factorized_reduce").channels,
        "out_channels": p["out"],
        "affine": bool(p["affine"]),
    }


def skip_connect_arguments(inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Arguments:
    channels = image(inputs, "skip_connect").channels
    return {
        "in_channels": channels,
        "out_channels": p["out"],
        "project": p["stride"] == 1 and (channels != p["out"] or bool(p["always"])),
        "reduce": p["stride"] == 2,
        "affine": bool(p["affine"]),
    }


def widen_skip_connect(arguments: Arguments, envelope: Envelope) -> Arguments:
    """Each operation exists as soon as one combination of channels and stride needs it."""
    channels = {image((shape,), "skip_connect").channels for shape in envelope.in_shapes[0]}
    strides, outs = set(envelope.params["stride"]), set(envelope.params["out"])
    never_projects = len(channels) == 1 and outs == channels and True not in envelope.params["always"]
    return arguments | {"project": 1 in strides and not never_projects, "reduce": 2 in strides}


def bn_relu_arguments(inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Arguments:
    return {"channels": image(inputs, "bn_relu").channels, "activation": p["activation"]}


def pool_arguments(inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Arguments:
    return {
        "operation": p["operation"],
        "channels": image(inputs, "pool").channels,
        "kernel_size": p["kernel"],
        "stride": p["stride"],
        "norm": bool(p["norm"]),
    }


RELU_CONV_BN = ModuleSpec(ReluConvBN, relu_conv_bn_arguments)
SEP_CONV = ModuleSpec(SepConv, sep_conv_arguments, helpers=(SepUnit,))
FACTORIZED_REDUCE = ModuleSpec(FactorizedReduce, factorized_reduce_arguments)
SKIP_CONNECT = ModuleSpec(
    SkipConnect,
    skip_connect_arguments,
    helpers=(ReluConvBN, FactorizedReduce),
    widen=widen_skip_connect,
)
BN_RELU = ModuleSpec(BNRelu, bn_relu_arguments, helpers=(make_activation,))
POOL = ModuleSpec(Pool, pool_arguments)
