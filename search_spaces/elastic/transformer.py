"""Plain modules of the sub-layers of transformers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from search_spaces.blocks.arithmetic import tokens
from search_spaces.elastic.layers import RMSNorm, make_activation, make_norm
from search_spaces.elastic.positions import DistanceBias, RelativeVectors, rotated
from search_spaces.elastic.spec import Arguments, ModuleSpec
from search_spaces.network import Envelope
from search_spaces.shapes import Shape


def in_pieces(x: torch.Tensor, piece: int, before: int, after: int) -> torch.Tensor:
    """(..., L, d) as pieces, the last filled up with zeros, with so many tokens before and after each.

    Returns (..., pieces, before + piece + after, d); `before` and `after` are 0 or `piece`.
    """
    pieces = -(-x.shape[-2] // piece)
    x = F.pad(x, (0, 0, before, after + pieces * piece - x.shape[-2])).unflatten(-2, (-1, piece))
    parts = (before + piece + after) // piece
    return torch.cat([x.narrow(-3, part, pieces) for part in range(parts)], -2)


class SubLayer(nn.Module):
    """What the sub-layers of transformers have around their branch: norm before it or at the end, dropout, residual."""

    def __init__(self, features: int, norm: str, rms: bool, residual: bool, dropout: float) -> None:
        super().__init__()
        self.pre_norm = norm == "pre"
        self.residual = residual
        self.norm = nn.Identity() if norm == "none" else make_norm(features, rms)
        self.dropout = nn.Dropout(dropout)

    def before(self, x: torch.Tensor) -> torch.Tensor:
        """What the branch reads."""
        return self.norm(x) if self.pre_norm else x

    def after(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """The output, of the input and what the branch gives."""
        y = self.dropout(y)
        if self.residual:
            y = x + y
        return y if self.pre_norm else self.norm(y)


class SelfAttention(SubLayer):
    """Multi-head self-attention."""

    def __init__(
        self,
        features: int,
        heads: int,
        kv_heads: int,
        head_dim: int,
        causal: bool,
        window: int,
        rotary: bool,
        qk_norm: bool,
        weighted: bool,
        relative_positions: int,
        distance_bias: int,
        bias: bool,
        norm: str,
        rms: bool,
        residual: bool,
        dropout: float,
    ) -> None:
        super().__init__(features, norm, rms, residual, dropout)
        self.head_dim = head_dim
        self.shared_by = heads // kv_heads
        self.causal = causal
        self.window = window
        self.rotary = rotary
        self.query = nn.Linear(features, heads * head_dim, bias=bias)
        self.key = nn.Linear(features, kv_heads * head_dim, bias=bias)
        self.value = nn.Linear(features, kv_heads * head_dim, bias=bias)
        self.query_norm = make_norm(head_dim, rms) if qk_norm else nn.Identity()
        self.key_norm = make_norm(head_dim, rms) if qk_norm else nn.Identity()
        self.similarity = nn.Parameter(torch.zeros(heads, head_dim, head_dim)) if weighted else None
        self.key_positions = RelativeVectors(relative_positions, head_dim) if relative_positions else None
        self.value_positions = RelativeVectors(relative_positions, head_dim) if relative_positions else None
        self.distances = DistanceBias(heads, distance_bias) if distance_bias else None
        self.output = nn.Linear(heads * head_dim, features, bias=bias)

    def split(self, x: torch.Tensor) -> torch.Tensor:
        """(N, L, heads * head_dim) to (N, heads, L, head_dim)."""
        return x.unflatten(2, (-1, self.head_dim)).transpose(1, 2)

    @staticmethod
    def against(x: torch.Tensor, table: torch.Tensor) -> torch.Tensor:
        """(N, heads, L, a) times one matrix for each position (L, a, b) gives (N, heads, L, b)."""
        y = x.permute(2, 0, 1, 3).flatten(1, 2) @ table
        return y.unflatten(1, (-1, x.shape[1])).permute(1, 2, 0, 3)

    def among_near(
        self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, real: torch.Tensor | None
    ) -> torch.Tensor:
        """(N, heads, L, head_dim) of tokens that see those at most `window` places away."""
        length, piece = query.shape[2], self.window
        before, after = piece, 0 if self.causal else piece
        if -(-length // piece) * piece * (before + piece + after) >= length * length:
            piece, before, after = length, 0, 0  # all against all is less work
        other = torch.arange(-before, piece + after, device=query.device)
        steps = torch.arange(piece, device=query.device)[:, None] - other
        seen = (steps.abs() <= self.window) & (steps >= (0 if self.causal else -self.window))
        inside = torch.ones_like(query[:1, :1, :, :1]) if real is None else real[:, None, :, None].to(query.dtype)
        inside = in_pieces(inside, piece, before, after).transpose(3, 4) > 0
        mask = seen & inside | (steps == 0)  # padding sees itself: something at least
        query, key, value = (
            in_pieces(part, piece, *around)
            for part, around in ((query, (0, 0)), (key, (before, after)), (value, (before, after)))
        )
        y = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        return y.flatten(2, 3)[:, :, :length]

    def forward(self, x: torch.Tensor, real: torch.Tensor | None = None) -> torch.Tensor:
        y = self.before(x)
        # Padding stands behind the text, where causal attention does not look.
        mask = None if real is None or self.causal else real[:, None, None]
        query, key, value = self.split(self.query(y)), self.split(self.key(y)), self.split(self.value(y))
        query, key = self.query_norm(query), self.key_norm(key)
        if self.rotary:
            query, key = rotated(query), rotated(key)
        if self.shared_by > 1:
            key, value = key.repeat_interleave(self.shared_by, 1), value.repeat_interleave(self.shared_by, 1)
        if self.similarity is not None:
            query = torch.matmul(query, self.similarity)
        if self.window:
            y = self.among_near(query, key, value, None if self.causal else real)
        elif self.distances is not None:
            bias = self.distances(x.shape[1])
            if self.causal:
                seen = torch.ones_like(bias[0], dtype=torch.bool).tril()
                bias = bias.masked_fill(~seen, -math.inf)
            elif mask is not None:
                bias = torch.where(mask, bias, -math.inf)
            y = F.scaled_dot_product_attention(query, key, value, bias.to(query.dtype))
        elif self.key_positions is None or self.value_positions is None:
            y = F.scaled_dot_product_attention(query, key, value, mask, is_causal=self.causal)
        else:
            vectors = self.key_positions(x.shape[1])
            scores = query @ key.transpose(2, 3) + self.against(query, vectors.transpose(1, 2))
            if mask is not None:
                scores = scores.masked_fill(~mask, -math.inf)
            weights = (scores / math.sqrt(self.head_dim)).softmax(3)
            y = weights @ value + self.against(weights, self.value_positions(x.shape[1]))
        return self.after(x, self.output(y.transpose(1, 2).flatten(2)))


class FeedForward(SubLayer):
    """Two linear layers around an activation or a gate; or several such experts, some of which each token passes."""

    def __init__(
        self,
        features: int,
        hidden: int,
        activation: str,
        gated: bool,
        bias: bool,
        norm: str,
        rms: bool,
        residual: bool,
        dropout: float,
        experts: int = 1,
        active: int = 1,
    ) -> None:
        super().__init__(features, norm, rms, residual, dropout)
        self.active = active
        self.router = nn.Linear(features, experts, bias=False) if experts > 1 else None
        self.gate = nn.Linear(features, hidden, bias=bias) if gated else None
        self.first = nn.Linear(features, hidden, bias=bias)
        self.activation = make_activation(activation)
        self.second = nn.Linear(hidden, features, bias=bias)
        self.others = nn.ModuleList(
            FeedForward(features, hidden, activation, gated, bias, "none", rms, False, 0.0) for _ in range(experts - 1)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.before(x)
        if self.router is None:
            return self.after(x, self.branch(y))
        y = y.flatten(0, 1)
        return self.after(x, self.routed(y, self.router(y)).view_as(x))

    def branch(self, y: torch.Tensor) -> torch.Tensor:
        hidden = self.activation(self.first(y)) if self.gate is None else self.activation(self.gate(y)) * self.first(y)
        return self.second(hidden)

    def routed(self, y: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """(tokens, F): for each the weighted sum of what the experts of its highest scores (tokens, experts) give."""
        weights, picked = scores.softmax(1).topk(self.active, 1)
        if self.active > 1:
            weights = weights / weights.sum(1, keepdim=True)
        total = torch.zeros_like(y)
        for number, expert in enumerate((self.branch, *self.others)):
            token, place = torch.where(picked == number)
            made = expert(y[token]) * weights[token, place][:, None]
            total = total.index_add(0, token, made.to(total.dtype))
        return total


class TransformMixer(SubLayer):
    """Cosine transform (DCT-II times sqrt(2 / size) an axis), or real part of the orthonormal Fourier transform."""

    def __init__(self, features: int, fourier: bool, norm: str, residual: bool) -> None:
        super().__init__(features, norm, False, residual, 0.0)
        self.fourier = fourier

    def angles(self, size: int, x: torch.Tensor) -> torch.Tensor:
        """Angles (size, size) of the transform's basis functions."""
        index = torch.arange(size, device=x.device, dtype=torch.float32)
        if self.fourier:
            return torch.outer(index, index).remainder(size) * (2 * math.pi / size)
        return torch.outer(index, index + 0.5) * (math.pi / size)

    def forward(self, x: torch.Tensor, real: torch.Tensor | None = None) -> torch.Tensor:
        y = self.before(x)
        if real is not None:
            y = y.masked_fill(~real[..., None], 0.0)
        rows, columns = self.angles(x.shape[1], x), self.angles(x.shape[2], x)
        scale = 1 / math.sqrt(x.shape[1] * x.shape[2])
        mixed = torch.cos(rows) @ y @ torch.cos(columns).T
        if self.fourier:
            mixed = mixed - torch.sin(rows) @ y @ torch.sin(columns).T
        else:
            scale = 2 * scale
        return self.after(x, mixed * scale)


class CausalConv(nn.Conv1d):
    """Convolution along (N, C, L) that reads the same position (weight 0) and earlier ones (weights 1, 2, ...)."""

    centred_from = None  # a smaller kernel keeps the first weights: those of the latest positions

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.pad(x, (self.dilation[0] * (self.kernel_size[0] - 1), 0))
        return F.conv1d(x, self.weight.flip(2), self.bias, self.stride, 0, self.dilation, self.groups)


class ConvMixer(SubLayer):
    """Depth-wise convolution along the sequence, then a linear layer."""

    def __init__(
        self,
        features: int,
        kernel_size: int,
        causal: bool,
        bias: bool,
        norm: str,
        rms: bool,
        residual: bool,
        dropout: float,
    ) -> None:
        super().__init__(features, norm, rms, residual, dropout)
        kind, padding = (CausalConv, 0) if causal else (nn.Conv1d, kernel_size // 2)
        self.conv = kind(features, features, kernel_size, padding=padding, groups=features, bias=bias)
        self.output = nn.Linear(features, features, bias=bias)

    def forward(self, x: torch.Tensor, real: torch.Tensor | None = None) -> torch.Tensor:
        y = self.before(x)
        if real is not None:
            y = y.masked_fill(~real[..., None], 0.0)
        return self.after(x, self.output(self.conv(y.transpose(1, 2)).transpose(1, 2)))


class PositionMixer(nn.Module):
    """Linear layers along the positions of (N, L, F); what stands in the padding of a text is 0."""

    def __init__(self, length: int, hidden: int, single: bool, activation: str, bias: bool) -> None:
        super().__init__()
        self.single = nn.Linear(length, length, bias=bias) if single else None
        self.first = nn.Linear(length, hidden, bias=bias) if hidden else nn.Identity()
        self.activation = make_activation(activation)
        self.second = nn.Linear(hidden, length, bias=bias) if hidden else nn.Identity()

    def forward(self, x: torch.Tensor, real: torch.Tensor | None = None) -> torch.Tensor:
        if real is not None:
            x = x.masked_fill(~real[..., None], 0.0)
        x = x.transpose(1, 2)
        x = self.second(self.activation(self.first(x))) if self.single is None else self.single(x)
        return x.transpose(1, 2)


def self_attention_arguments(inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Arguments:
    return {
        "features": tokens(inputs, "self_attention").features,
        "heads": p["heads"],
        "kv_heads": p["kv_heads"] or p["heads"],
        "head_dim": p["head_dim"],
        "causal": bool(p["causal"]),
        "window": p["window"],
        "rotary": bool(p["rotary"]),
        "qk_norm": bool(p["qk_norm"]),
        "weighted": p["similarity"] == "weighted",
        "relative_positions": p["relative_positions"],
        "distance_bias": p["distance_bias"],
        "bias": bool(p["bias"]),
        "norm": p["norm"],
        "rms": bool(p["rms_norm"]),
        "residual": bool(p["residual"]),
        "dropout": float(p["dropout"]),
    }


def feed_forward_arguments(inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Arguments:
    return {
        "features": tokens(inputs, "feed_forward").features,
        "hidden": p["mid"],
        "activation": p["activation"],
        "gated": bool(p["gated"]),
        "bias": bool(p["bias"]),
        "norm": p["norm"],
        "rms": bool(p["rms_norm"]),
        "residual": bool(p["residual"]),
        "dropout": float(p["dropout"]),
        "experts": p["experts"],
        "active": p["active"],
    }


def transform_mixer_arguments(inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Arguments:
    return {
        "features": tokens(inputs, "transform_mixer").features,
        "fourier": p["transform"] == "dft",
        "norm": p["norm"],
        "residual": bool(p["residual"]),
    }


def conv_mixer_arguments(inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Arguments:
    return {
        "features": tokens(inputs, "conv_mixer").features,
        "kernel_size": p["kernel"],
        "causal": bool(p["causal"]),
        "bias": bool(p["bias"]),
        "norm": p["norm"],
        "rms": bool(p["rms_norm"]),
        "residual": bool(p["residual"]),
        "dropout": float(p["dropout"]),
    }


def position_mixer_arguments(inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Arguments:
    return {
        "length": tokens(inputs, "position_mixer").length,
        "hidden": p["mid"],
        "single": p["mid"] == 0,
        "activation": p["activation"],
        "bias": bool(p["bias"]),
    }


def widen_self_attention(arguments: Arguments, envelope: Envelope) -> Arguments:
    """Where some members share keys and values and others do not, there is a head of them for every head."""
    return arguments | {"kv_heads": arguments["heads"]} if 0 in envelope.params["kv_heads"] else arguments


def widen_position_mixer(arguments: Arguments, envelope: Envelope) -> Arguments:
    """One layer and two have weights of their own."""
    return arguments | {"single": 0 in envelope.params["mid"]}


SELF_ATTENTION = ModuleSpec(
    SelfAttention,
    self_attention_arguments,
    helpers=(RMSNorm, make_norm, SubLayer, rotated, RelativeVectors, DistanceBias, in_pieces),
    widen=widen_self_attention,
    branch="dropout",
    masks=True,
)
FEED_FORWARD = ModuleSpec(
    FeedForward, feed_forward_arguments, helpers=(make_activation, RMSNorm, make_norm, SubLayer), branch="dropout"
)
TRANSFORM_MIXER = ModuleSpec(
    TransformMixer, transform_mixer_arguments, helpers=(RMSNorm, make_norm, SubLayer), masks=True
)
CONV_MIXER = ModuleSpec(
    ConvMixer, conv_mixer_arguments, helpers=(CausalConv, RMSNorm, make_norm, SubLayer), branch="dropout", masks=True
)
POSITION_MIXER = ModuleSpec(
    PositionMixer, position_mixer_arguments, helpers=(make_activation,), widen=widen_position_mixer, masks=True
)
