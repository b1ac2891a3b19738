"""Plain module of `mbconv`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from search_spaces.blocks.arithmetic import image
from search_spaces.blocks.mobile import squeeze_width
from search_spaces.elastic.layers import ConvBNAct, SqueezeExcite, make_activation
from search_spaces.elastic.resnet import PoolProjectShortcut
from search_spaces.elastic.spec import Arguments, ModuleSpec
from search_spaces.network import Envelope
from search_spaces.shapes import Shape


class MBConv(nn.Module):
    """Inverted bottleneck: expand 1x1, depth-wise k x k, squeeze-excite, project 1x1."""

    def __init__(
        self,
        in_channels: int,
        mid_channels: int,
        out_channels: int,
        kernel_size: int,
        stride: int,
        activation: str,
        expand: bool,
        squeezed: int,
        gate: str,
        squeeze_activation: str,
        residual: bool,
        pool_project: bool,
    ) -> None:
        super().__init__()
        self.residual = residual
        self.expand = ConvBNAct(in_channels, mid_channels, 1, activation=activation) if expand else nn.Identity()
        self.depthwise = ConvBNAct(mid_channels, mid_channels, kernel_size, stride, activation, groups=mid_channels)
        self.squeeze_excite = (
            SqueezeExcite(mid_channels, squeezed, gate, squeeze_activation) if squeezed else nn.Identity()
        )
        self.project = ConvBNAct(mid_channels, out_channels, 1)
        self.shortcut = PoolProjectShortcut(in_channels, out_channels, stride) if pool_project else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.project(self.squeeze_excite(self.depthwise(self.expand(x))))
        if self.shortcut is not None:
            return self.shortcut(x) + y
        return x + y if self.residual else y


def mbconv_arguments(inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Arguments:
    channels = image(inputs, "mbconv").channels
    same = p["stride"] == 1 and p["out"] == channels
    return {
        "in_channels": channels,
        "mid_channels": p["mid"],
        "out_channels": p["out"],
        "kernel_size": p["kernel"],
        "stride": p["stride"],
        "activation": p["activation"],
        "expand": p["mid"] != channels,
        "squeezed": squeeze_width(channels, p["mid"], p["se_ratio"], p["se_from"]) if p["se_ratio"] > 0 else 0,
        "gate": p["se_gate"],
        "squeeze_activation": p["activation"] if p["se_from"] == "in" else "relu",
        "residual": bool(p["residual"]) and same,
        "pool_project": p["shortcut"] == "pool_project" and not same,
    }


def widen_mbconv(arguments: Arguments, envelope: Envelope) -> Arguments:
    """An expansion or a shortcut exists as soon as one combination of channels, `mid` and stride needs it."""
    channels = {image((shape,), "mbconv").channels for shape in envelope.in_shapes[0]}
    always_equal = len(channels) == 1 and set(envelope.params["mid"]) == channels
    never_changes = len(channels) == 1 and set(envelope.params["out"]) == channels and envelope.params["stride"] == (1,)
    shortcut = "pool_project" in envelope.params["shortcut"] and not never_changes
    ratio = max(envelope.params["se_ratio"])  # type: ignore[type-var]
    widths = [
        squeeze_width(arguments["in_channels"], arguments["mid_channels"], ratio, source)
        for source in envelope.params["se_from"]
    ]
    squeezed = max(widths) if arguments["squeezed"] else 0
    return arguments | {"expand": not always_equal, "pool_project": shortcut, "squeezed": squeezed}


MBCONV = ModuleSpec(
    MBConv,
    mbconv_arguments,
    helpers=(make_activation, ConvBNAct, SqueezeExcite, PoolProjectShortcut),
    widen=widen_mbconv,
    last_norm="project.norm",
    branch="project",
)
