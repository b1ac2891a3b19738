"""Plain module of the convolution along a sequence to any number of features."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from search_spaces.blocks.arithmetic import tokens
from search_spaces.elastic.convolution import widen_grouped
from search_spaces.elastic.layers import make_activation
from search_spaces.elastic.spec import Arguments, ModuleSpec
from search_spaces.elastic.transformer import CausalConv
from search_spaces.shapes import Shape


class SequenceConv(nn.Module):
    """Convolution along the positions of (N, L, F), norm, activation; what stands in the padding of a text is 0."""

    def __init__(
        self,
        in_features: int,
        features: int,
        kernel_size: int,
        stride: int,
        causal: bool,
        activation: str,
        norm: bool,
        bias: bool,
        groups: int,
        dilation: int,
    ) -> None:
        super().__init__()
        reach = dilation * (kernel_size - 1)
        self.around = (0, 0) if causal else (reach // 2, reach - reach // 2)
        kind = CausalConv if causal else nn.Conv1d
        self.conv = kind(in_features, features, kernel_size, stride, dilation=dilation, groups=groups, bias=bias)
        self.norm = nn.LayerNorm(features) if norm else nn.Identity()
        self.activation = make_activation(activation)

    def forward(self, x: torch.Tensor, real: torch.Tensor | None = None) -> torch.Tensor:
        if real is not None:
            x = x.masked_fill(~real[..., None], 0.0)
        y = self.conv(F.pad(x.transpose(1, 2), self.around)).transpose(1, 2)
        return self.activation(self.norm(y))


def sequence_conv_arguments(inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Arguments:
    in_features = tokens(inputs, "sequence_conv").features
    return {
        "in_features": in_features,
        "features": p["features"],
        "kernel_size": p["kernel"],
        "stride": p["stride"],
        "causal": bool(p["causal"]),
        "activation": p["activation"],
        "norm": bool(p["norm"]),
        "bias": bool(p["bias"]),
        "groups": in_features // p["group_size"] if p["group_size"] else 1,
        "dilation": p["dilation"],
    }


SEQUENCE_CONV = ModuleSpec(
    SequenceConv,
    sequence_conv_arguments,
    helpers=(CausalConv, make_activation),
    widen=widen_grouped,
    masks=True,
    shortens="stride",
)
