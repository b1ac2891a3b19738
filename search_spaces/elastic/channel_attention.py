"""Plain module of attention between the channels of a feature map."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from search_spaces.blocks.arithmetic import image
from search_spaces.elastic.spec import Arguments, ModuleSpec
from search_spaces.shapes import Shape


class ChannelAttention(nn.Module):
    """Cross-covariance attention on (N, C, H, W), with layer norm before it and a residual."""

    def __init__(self, channels: int, heads: int, head_dim: int, bias: bool) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(channels)
        self.query = nn.Linear(channels, heads * head_dim, bias=bias)
        self.key = nn.Linear(channels, heads * head_dim, bias=bias)
        self.value = nn.Linear(channels, heads * head_dim, bias=bias)
        self.sharper = nn.Parameter(torch.zeros(heads, 1, 1))
        self.output = nn.Linear(heads * head_dim, channels)

    def split(self, x: torch.Tensor) -> torch.Tensor:
        """(N, L, heads * head_dim) to (N, heads, head_dim, L)."""
        return x.transpose(1, 2).unflatten(1, (self.heads, -1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.norm(x.flatten(2).transpose(1, 2))
        query, key = F.normalize(self.split(self.query(y)), dim=3), F.normalize(self.split(self.key(y)), dim=3)
        weights = (query @ key.transpose(2, 3) * (1 + self.sharper)).softmax(3)
        y = self.output((weights @ self.split(self.value(y))).flatten(1, 2).transpose(1, 2))
        return x + y.transpose(1, 2).unflatten(2, (x.shape[2], x.shape[3]))


def channel_attention_arguments(inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Arguments:
    return {
        "channels": image(inputs, "channel_attention").channels,
        "heads": p["heads"],
        "head_dim": p["head_dim"],
        "bias": bool(p["bias"]),
    }


CHANNEL_ATTENTION = ModuleSpec(ChannelAttention, channel_attention_arguments, branch="output")
