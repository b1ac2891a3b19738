"""Plain modules of the residual sub-layers of transformers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from search_spaces.blocks.arithmetic import tokens
from search_spaces.elastic.layers import make_activation
from search_spaces.elastic.spec import Arguments, ModuleSpec
from search_spaces.network import Shape


class RelativeVectors(nn.Module):
    """Learned vectors for the row and the column distance of two patches, clipped; entry 0 is for the class token."""

    def __init__(self, largest: int, features: int) -> None:
        super().__init__()
        self.largest = largest
        self.rows = nn.Parameter(torch.zeros(2 * largest + 2, features))
        self.columns = nn.Parameter(torch.zeros(2 * largest + 2, features))

    def forward(self, length: int) -> torch.Tensor:
        """(L, L, features) for a class token and a square of L - 1 patches."""
        side = math.isqrt(length - 1)
        position = torch.arange(side, device=self.rows.device)
        steps = (position[None] - position[:, None]).clamp(-self.largest, self.largest) + self.largest + 1
        rows = F.pad(steps.repeat_interleave(side, 0).repeat_interleave(side, 1), (1, 0, 1, 0))
        columns = F.pad(steps.repeat(side, side), (1, 0, 1, 0))
        return self.rows[rows] + self.columns[columns]


class SelfAttention(nn.Module):
    """Multi-head self-attention with residual; layer norm before it or after the sum."""

    def __init__(
        self,
        features: int,
        heads: int,
        head_dim: int,
        causal: bool,
        weighted: bool,
        relative_positions: int,
        bias: bool,
        pre_norm: bool,
        dropout: float,
    ) -> None:
        super().__init__()
        self.heads = heads
        self.head_dim = head_dim
        self.causal = causal
        self.pre_norm = pre_norm
        self.norm = nn.LayerNorm(features)
        self.query = nn.Linear(features, heads * head_dim, bias=bias)
        self.key = nn.Linear(features, heads * head_dim, bias=bias)
        self.value = nn.Linear(features, heads * head_dim, bias=bias)
        self.similarity = nn.Parameter(torch.zeros(heads, head_dim, head_dim)) if weighted else None
        self.key_positions = RelativeVectors(relative_positions, head_dim) if relative_positions else None
        self.value_positions = RelativeVectors(relative_positions, head_dim) if relative_positions else None
        self.output = nn.Linear(heads * head_dim, features, bias=bias)
        self.dropout = nn.Dropout(dropout)

    def split(self, x: torch.Tensor) -> torch.Tensor:
        """(N, L, heads * head_dim) to (N, heads, L, head_dim)."""
        return x.unflatten(2, (self.heads, self.head_dim)).transpose(1, 2)

    @staticmethod
    def against(x: torch.Tensor, table: torch.Tensor) -> torch.Tensor:
        """(N, heads, L, a) times one matrix for each position (L, a, b) gives (N, heads, L, b)."""
        y = x.permute(2, 0, 1, 3).flatten(1, 2) @ table
        return y.unflatten(1, (-1, x.shape[1])).permute(1, 2, 0, 3)

    def forward(self, x: torch.Tensor, real: torch.Tensor | None = None) -> torch.Tensor:
        y = self.norm(x) if self.pre_norm else x
        # Padding stands behind the text, where causal attention does not look.
        mask = None if real is None or self.causal else real[:, None, None]
        query, key, value = self.split(self.query(y)), self.split(self.key(y)), self.split(self.value(y))
        if self.similarity is not None:
            query = torch.matmul(query, self.similarity)
        if self.key_positions is None or self.value_positions is None:
            y = F.scaled_dot_product_attention(query, key, value, mask, is_causal=self.causal)
        else:
            vectors = self.key_positions(x.shape[1])
            scores = query @ key.transpose(2, 3) + self.against(query, vectors.transpose(1, 2))
            if mask is not None:
                scores = scores.masked_fill(~mask, -math.inf)
            weights = (scores / math.sqrt(self.head_dim)).softmax(3)
            y = weights @ value + self.against(weights, self.value_positions(x.shape[1]))
        y = x + self.dropout(self.output(y.transpose(1, 2).flatten(2)))
        return y if self.pre_norm else self.norm(y)


class FeedForward(nn.Module):
    """Two linear layers around an activation, with residual; layer norm before them or after the sum."""

    def __init__(self, features: int, hidden: int, activation: str, bias: bool, pre_norm: bool, dropout: float) -> None:
        super().__init__()
        self.pre_norm = pre_norm
        self.norm = nn.LayerNorm(features)
        self.first = nn.Linear(features, hidden, bias=bias)
        self.activation = make_activation(activation)
        self.second = nn.Linear(hidden, features, bias=bias)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.norm(x) if self.pre_norm else x
        y = x + self.dropout(self.second(self.activation(self.first(y))))
        return y if self.pre_norm else self.norm(y)


class TransformMixer(nn.Module):
    """Cosine transform (DCT-II times sqrt(2 / size) an axis), or real part of the orthonormal Fourier transform."""

    def __init__(self, features: int, fourier: bool, pre_norm: bool) -> None:
        super().__init__()
        self.fourier = fourier
        self.pre_norm = pre_norm
        self.norm = nn.LayerNorm(features)

    def angles(self, size: int, x: torch.Tensor) -> torch.Tensor:
        """Angles (size, size) of the transform's basis functions."""
        index = torch.arange(size, device=x.device, dtype=torch.float32)
        if self.fourier:
            return torch.outer(index, index).remainder(size) * (2 * math.pi / size)
        return torch.outer(index, index + 0.5) * (math.pi / size)

    def forward(self, x: torch.Tensor, real: torch.Tensor | None = None) -> torch.Tensor:
        y = self.norm(x) if self.pre_norm else x
        if real is not None:
            y = y.masked_fill(~real[..., None], 0.0)
        rows, columns = self.angles(x.shape[1], x), self.angles(x.shape[2], x)
        scale = 1 / math.sqrt(x.shape[1] * x.shape[2])
        mixed = torch.cos(rows) @ y @ torch.cos(columns).T
        if self.fourier:
            mixed = mixed - torch.sin(rows) @ y @ torch.sin(columns).T
        else:
            scale = 2 * scale
        y = x + mixed * scale
        return y if self.pre_norm else self.norm(y)


class ConvMixer(nn.Module):
    """Depth-wise convolution along the sequence, then a linear layer, with residual."""

    def __init__(self, features: int, kernel_size: int, bias: bool, pre_norm: bool, dropout: float) -> None:
        super().__init__()
        self.pre_norm = pre_norm
        self.norm = nn.LayerNorm(features)
        self.conv = nn.Conv1d(features, features, kernel_size, padding=kernel_size // 2, groups=features, bias=bias)
        self.output = nn.Linear(features, features, bias=bias)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: torch.Tensor, real: torch.Tensor | None = None) -> torch.Tensor:
        y = self.norm(x) if self.pre_norm else x
        if real is not None:
            y = y.masked_fill(~real[..., None], 0.0)
        y = self.output(self.conv(y.transpose(1, 2)).transpose(1, 2))
        y = x + self.dropout(y)
        return y if self.pre_norm else self.norm(y)


def self_attention_arguments(inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Arguments:
    return {
        "features": tokens(inputs, "self_attention").features,
        "heads": p["heads"],
        "head_dim": p["head_dim"],
        "causal": bool(p["causal"]),
        "weighted": p["similarity"] == "weighted",
        "relative_positions": p["relative_positions"],
        "bias": bool(p["bias"]),
        "pre_norm": p["norm"] == "pre",
        "dropout": float(p["dropout"]),
    }


def feed_forward_arguments(inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Arguments:
    return {
        "features": tokens(inputs, "feed_forward").features,
        "hidden": p["mid"],
        "activation": p["activation"],
        "bias": bool(p["bias"]),
        "pre_norm": p["norm"] == "pre",
        "dropout": float(p["dropout"]),
    }


def transform_mixer_arguments(inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Arguments:
    return {
        "features": tokens(inputs, "transform_mixer").features,
        "fourier": p["transform"] == "dft",
        "pre_norm": p["norm"] == "pre",
    }


def conv_mixer_arguments(inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Arguments:
    return {
        "features": tokens(inputs, "conv_mixer").features,
        "kernel_size": p["kernel"],
        "bias": bool(p["bias"]),
        "pre_norm": p["norm"] == "pre",
        "dropout": float(p["dropout"]),
    }


SELF_ATTENTION = ModuleSpec(
    SelfAttention, self_attention_arguments, helpers=(RelativeVectors,), branch="dropout", masks=True
)
FEED_FORWARD = ModuleSpec(FeedForward, feed_forward_arguments, helpers=(make_activation,), branch="dropout")
TRANSFORM_MIXER = ModuleSpec(TransformMixer, transform_mixer_arguments, masks=True)
CONV_MIXER = ModuleSpec(ConvMixer, conv_mixer_arguments, branch="dropout", masks=True)
