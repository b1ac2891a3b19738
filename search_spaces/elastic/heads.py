"""Plain module of `image_head`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from search_spaces.blocks.arithmetic import image
from search_spaces.elastic.layers import make_activation
from search_spaces.elastic.spec import Arguments, ModuleSpec
from search_spaces.shapes import Shape


class ImageHead(nn.Module):
    """Global average pool, optional hidden layer, dropout, linear classifier."""

    def __init__(
        self, in_channels: int, classes: int, hidden: int, hidden_bias: bool, activation: str, dropout: float
    ) -> None:
        super().__init__()
        self.hidden = nn.Linear(in_channels, hidden, bias=hidden_bias) if hidden else nn.Identity()
        self.activation = make_activation(activation) if hidden else nn.Identity()
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(hidden or in_channels, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        features = self.activation(self.hidden(x.mean((2, 3))))
        return self.classifier(self.dropout(features))


def image_head_arguments(inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Arguments:
    return {
        "in_channels": image(inputs, "image_head").channels,
        "classes": p["out"],
        "hidden": p["hidden"],
        "hidden_bias": bool(p["hidden_bias"]),
        "activation": p["activation"],
        "dropout": float(p["dropout"]),
    }


IMAGE_HEAD = ModuleSpec(ImageHead, image_head_arguments, helpers=(make_activation,))
