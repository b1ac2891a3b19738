"""Plain modules of embeddings, token norm and projection, and the heads of sequences."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from search_spaces.blocks.arithmetic import image, tokens
from search_spaces.elastic.layers import RMSNorm, make_norm
from search_spaces.elastic.spec import Arguments, ModuleSpec
from search_spaces.shapes import Shape


class PatchEmbedding(nn.Module):
    """Image (N, C, H, W) to tokens (N, L, features)."""

    def __init__(
        self,
        in_channels: int,
        features: int,
        patch: int,
        length: int,
        class_token: bool,
        positions: bool,
        dropout: float,
    ) -> None:
        super().__init__()
        self.project = nn.Conv2d(in_channels, features, patch, patch)
        self.class_token = nn.Parameter(torch.zeros(1, 1, features)) if class_token else None
        self.positions = nn.Parameter(torch.zeros(1, length, features)) if positions else None
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.project(x).flatten(2).transpose(1, 2)
        if self.class_token is not None:
            x = torch.cat((self.class_token.expand(x.shape[0], -1, -1), x), 1)
        if self.positions is not None:
            x = x + self.positions
        return self.dropout(x)


class TokenEmbedding(nn.Module):
    """Token ids (N, L) to vectors (N, L, features); vectors to logits (N, L, vocabulary) by the same weights."""

    def __init__(self, vocabulary: int, features: int, length: int, positions: bool, dropout: float) -> None:
        super().__init__()
        self.tokens = nn.Embedding(vocabulary, features)
        self.positions = nn.Parameter(torch.zeros(1, length, features)) if positions else None
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.is_floating_point():
            return F.linear(x, self.tokens.weight)
        x = self.tokens(x)
        if self.positions is not None:
            x = x + self.positions[:, : x.shape[1]]
        return self.dropout(x)


class LearnedTokens(nn.Module):
    """(N, L, features), the same for every example."""

    def __init__(self, length: int, features: int) -> None:
        super().__init__()
        self.tokens = nn.Parameter(torch.zeros(1, length, features))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.tokens.expand(x.shape[0], -1, -1)


class TokenNorm(nn.Module):
    """Layer norm of each token."""

    def __init__(self, features: int, rms: bool) -> None:
        super().__init__()
        self.norm = make_norm(features, rms)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.norm(x)


class TokenProjection(nn.Module):
    """Linear layer on each token."""

    def __init__(self, in_features: int, features: int, bias: bool) -> None:
        super().__init__()
        self.linear = nn.Linear(in_features, features, bias=bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.linear(x)


class TokenReduction(nn.Module):
    """Class token and a square of patches (N, 1 + 4 P, in) to class token and P patches (N, 1 + P, features)."""

    def __init__(self, in_features: int, features: int, patches: int) -> None:
        super().__init__()
        self.added = features - in_features
        self.norm = nn.LayerNorm(in_features)
        self.conv = nn.Conv2d(in_features, features, 3, 2, 1)
        self.pool = nn.AvgPool2d(2)
        self.linear = nn.Linear(in_features, features)
        self.positions = nn.Parameter(torch.zeros(1, patches, features))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        side = math.isqrt(x.shape[1] - 1)
        y = self.norm(x)
        patches = self.conv(y[:, 1:].transpose(1, 2).unflatten(2, (side, side))).flatten(2).transpose(1, 2)
        pooled = self.pool(x[:, 1:].transpose(1, 2).unflatten(2, (side, side))).flatten(2).transpose(1, 2)
        shortcut = F.pad(torch.cat((x[:, :1], pooled), 1), (0, self.added))
        return torch.cat((self.linear(y[:, :1]), patches + self.positions), 1) + shortcut


class LanguageHead(nn.Module):
    """Logits over the vocabulary at every position."""

    def __init__(self, in_features: int, vocabulary: int, bias: bool) -> None:
        super().__init__()
        self.linear = nn.Linear(in_features, vocabulary, bias=bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.linear(x)


def pooled(x: torch.Tensor, pool: str, real: torch.Tensor | None) -> torch.Tensor:
    """(N, L, F) to (N, F): the first token, or the mean or maximum of all real ones."""
    if pool == "first":
        return x[:, 0]
    if pool == "max":
        return (x if real is None else x.masked_fill(~real[..., None], -torch.inf)).amax(1)
    if real is None:
        return x.mean(1)
    weights = real[..., None].to(x.dtype)
    return (x * weights).sum(1) / weights.sum(1)


class SequencePool(nn.Module):
    """A vector of a sequence: its first token, or the mean or maximum of all real ones."""

    def __init__(self, pool: str) -> None:
        super().__init__()
        self.pool = pool

    def forward(self, x: torch.Tensor, real: torch.Tensor | None = None) -> torch.Tensor:
        return pooled(x, self.pool, real)


class TokenPool(nn.Module):
    """(N, L, F) to (N, ceil(L / size), F): mean or maximum of the real ones among `size` neighbours, 0 of none."""

    def __init__(self, size: int, largest: bool) -> None:
        super().__init__()
        self.size = size
        self.largest = largest

    def forward(self, x: torch.Tensor, real: torch.Tensor | None = None) -> torch.Tensor:
        lacking = -x.shape[1] % self.size
        counts = torch.ones_like(x[..., :1]) if real is None else real[..., None].to(x.dtype)
        counts = F.pad(counts, (0, 0, 0, lacking)).unflatten(1, (-1, self.size))
        x = F.pad(x, (0, 0, 0, lacking)).unflatten(1, (-1, self.size))
        if self.largest:
            return x.masked_fill(counts == 0, -torch.inf).amax(2).masked_fill(counts.amax(2) == 0, 0.0)
        return (x * counts).sum(2) / counts.sum(2).clamp_min(1.0)


class SequenceHead(nn.Module):
    """Class logits from the first token, or the mean or maximum of all real ones."""

    def __init__(self, in_features: int, classes: int, pool: str, dropout: float) -> None:
        super().__init__()
        self.pool = pool
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(in_features, classes)

    def forward(self, x: torch.Tensor, real: torch.Tensor | None = None) -> torch.Tensor:
        return self.classifier(self.dropout(pooled(x, self.pool, real)))


def patch_embedding_arguments(inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Arguments:
    x = image(inputs, "patch_embedding")
    return {
        "in_channels": x.channels,
        "features": p["features"],
        "patch": p["patch"],
        "length": (x.height // p["patch"]) * (x.width // p["patch"]) + int(p["class_token"]),
        "class_token": bool(p["class_token"]),
        "positions": bool(p["positions"]),
        "dropout": float(p["dropout"]),
    }


def token_embedding_arguments(inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Arguments:
    return {
        "vocabulary": p["vocabulary"],
        "features": p["features"],
        "length": tokens(inputs, "token_embedding").length,
        "positions": bool(p["positions"]),
        "dropout": float(p["dropout"]),
    }


def learned_tokens_arguments(inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Arguments:
    return {"length": p["length"], "features": p["features"]}


def token_norm_arguments(inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Arguments:
    return {"features": tokens(inputs, "token_norm").features, "rms": bool(p["rms_norm"])}


def token_projection_arguments(inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Arguments:
    features = tokens(inputs, "token_projection").features
    return {"in_features": features, "features": p["features"], "bias": bool(p["bias"])}


def token_reduction_arguments(inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Arguments:
    x = tokens(inputs, "token_reduction")
    return {"in_features": x.features, "features": p["features"], "patches": (x.length - 1) // 4}


def sequence_pool_arguments(inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Arguments:
    return {"pool": "mean" if p["operation"] == "avg" else p["operation"]}


def token_pool_arguments(inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Arguments:
    return {"size": p["size"], "largest": p["operation"] == "max"}


def sequence_head_arguments(inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Arguments:
    return {
        "in_features": tokens(inputs, "sequence_head").features,
        "classes": p["out"],
        "pool": p["pool"],
        "dropout": float(p["dropout"]),
    }


def language_head_arguments(inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Arguments:
    features = tokens(inputs, "language_head").features
    return {"in_features": features, "vocabulary": p["vocabulary"], "bias": bool(p["bias"])}


PATCH_EMBEDDING = ModuleSpec(PatchEmbedding, patch_embedding_arguments)
TOKEN_EMBEDDING = ModuleSpec(TokenEmbedding, token_embedding_arguments)
LEARNED_TOKENS = ModuleSpec(LearnedTokens, learned_tokens_arguments, keeps_places=False)
TOKEN_NORM = ModuleSpec(TokenNorm, token_norm_arguments, helpers=(RMSNorm, make_norm))
TOKEN_PROJECTION = ModuleSpec(TokenProjection, token_projection_arguments)
TOKEN_REDUCTION = ModuleSpec(TokenReduction, token_reduction_arguments)
SEQUENCE_POOL = ModuleSpec(SequencePool, sequence_pool_arguments, helpers=(pooled,), masks=True)
TOKEN_POOL = ModuleSpec(TokenPool, token_pool_arguments, masks=True, shortens="size")
SEQUENCE_HEAD = ModuleSpec(SequenceHead, sequence_head_arguments, helpers=(pooled,), masks=True)
LANGUAGE_HEAD = ModuleSpec(LanguageHead, language_head_arguments)
