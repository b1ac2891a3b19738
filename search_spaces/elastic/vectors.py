"""Plain modules of the blocks on flat vectors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from search_spaces.blocks.vectors import vector
from search_spaces.elastic.layers import make_activation
from search_spaces.elastic.spec import Arguments, ModuleSpec
from search_spaces.shapes import Shape


class LinearLayer(nn.Module):
    """Linear layer, optional layer norm, activation, dropout on vectors (N, F)."""

    def __init__(self, in_features: int, features: int, norm: bool, activation: str, dropout: float) -> None:
        super().__init__()
        self.linear = nn.Linear(in_features, features)
        self.norm = nn.LayerNorm(features) if norm else nn.Identity()
        self.activation = make_activation(activation)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.dropout(self.activation(self.norm(self.linear(x))))


class ResidualMLP(nn.Module):
    """Layer norm, two linear layers around an activation, residual, on vectors (N, F)."""

    def __init__(self, features: int, hidden: int, activation: str, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(features)
        self.first = nn.Linear(features, hidden)
        self.activation = make_activation(activation)
        self.second = nn.Linear(hidden, features)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.dropout(self.second(self.activation(self.first(self.norm(x)))))


class FeatureTokens(nn.Module):
    """Vectors (N, F) to tokens (N, F, features), with a class token in front (N, 1 + F, features) if wanted."""

    def __init__(self, in_features: int, features: int, class_token: bool) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(in_features, features))
        self.bias = nn.Parameter(torch.zeros(in_features, features))
        self.class_token = nn.Parameter(torch.zeros(1, 1, features)) if class_token else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x.unsqueeze(2) * self.weight + self.bias
        if self.class_token is not None:
            x = torch.cat((self.class_token.expand(x.shape[0], -1, -1), x), 1)
        return x


class VectorHead(nn.Module):
    """Optional layer norm, activation, dropout, linear classifier on vectors (N, F)."""

    def __init__(self, in_features: int, classes: int, norm: bool, activation: str, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(in_features) if norm else nn.Identity()
        self.activation = make_activation(activation)
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(in_features, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.classifier(self.dropout(self.activation(self.norm(x))))


def linear_arguments(inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Arguments:
    return {
        "in_features": vector(inputs, "linear").features,
        "features": p["out"],
        "norm": bool(p["norm"]),
        "activation": p["activation"],
        "dropout": float(p["dropout"]),
    }


def residual_mlp_arguments(inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Arguments:
    return {
        "features": vector(inputs, "residual_mlp").features,
        "hidden": p["mid"],
        "activation": p["activation"],
        "dropout": float(p["dropout"]),
    }


def feature_tokens_arguments(inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Arguments:
    features = vector(inputs, "feature_tokens").features
    return {"in_features": features, "features": p["features"], "class_token": bool(p["class_token"])}


def vector_head_arguments(inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Arguments:
    return {
        "in_features": vector(inputs, "vector_head").features,
        "classes": p["out"],
        "norm": bool(p["norm"]),
        "activation": p["activation"],
        "dropout": float(p["dropout"]),
    }


LINEAR = ModuleSpec(LinearLayer, linear_arguments, helpers=(make_activation,))
RESIDUAL_MLP = ModuleSpec(ResidualMLP, residual_mlp_arguments, helpers=(make_activation,), branch="dropout")
FEATURE_TOKENS = ModuleSpec(FeatureTokens, feature_tokens_arguments)
VECTOR_HEAD = ModuleSpec(VectorHead, vector_head_arguments, helpers=(make_activation,))
