"""Plain torch layers that blocks are made of. Exports carry the source of this file's classes."""

from __future__ import annotations

import torch
from torch import nn


def make_activation(name: str) -> nn.Module:
    """Activation module by name."""
    activations = {
        "none": nn.Identity,
        "relu": nn.ReLU,
        "relu6": nn.ReLU6,
        "leaky_relu": nn.LeakyReLU,
        "elu": nn.ELU,
        "selu": nn.SELU,
        "mish": nn.Mish,
        "hswish": nn.Hardswish,
        "swish": nn.SiLU,
        "gelu": nn.GELU,
        "tanh": nn.Tanh,
        "sigmoid": nn.Sigmoid,
        "hsigmoid": nn.Hardsigmoid,
    }
    return activations[name]()


class RMSNorm(nn.Module):
    """Features over their root mean square, times learned numbers. (`nn.RMSNorm` has no short way to ONNX.)"""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(features))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        scale = (x.float().square().mean(-1, keepdim=True) + 1e-5).rsqrt()
        return x * scale.to(x.dtype) * self.weight


def make_norm(features: int, rms: bool) -> nn.Module:
    """Layer norm, or norm by the root mean square."""
    return RMSNorm(features) if rms else nn.LayerNorm(features)


class ConvBNAct(nn.Module):
    """Convolution with same padding, batch norm or bias, activation. The kernel is a square, or (height, width).

    An even kernel reaches as far beyond the pixels of its stride on every side.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int],
        stride: int = 1,
        activation: str = "none",
        norm: bool = True,
        groups: int = 1,
        bias: bool = False,
        dilation: int = 1,
    ) -> None:
        super().__init__()
        height, width = kernel_size if isinstance(kernel_size, tuple) else (kernel_size, kernel_size)
        rows, columns = (dilation * (k // 2) if k % 2 else max(0, k - stride) // 2 for k in (height, width))
        self.conv = nn.Conv2d(
            in_channels, out_channels, (height, width), stride, (rows, columns), dilation, groups, bias
        )
        self.norm = nn.BatchNorm2d(out_channels) if norm else nn.Identity()
        self.activation = make_activation(activation)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.activation(self.norm(self.conv(x)))


class SqueezeExcite(nn.Module):
    """Scale every channel by a gate computed from the channel means."""

    def __init__(self, channels: int, squeezed: int, gate: str, activation: str = "relu") -> None:
        super().__init__()
        self.reduce = nn.Conv2d(channels, squeezed, 1)
        self.activation = make_activation(activation)
        self.expand = nn.Conv2d(squeezed, channels, 1)
        self.gate = make_activation(gate)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        means = x.mean((2, 3), keepdim=True)
        return x * self.gate(self.expand(self.activation(self.reduce(means))))
