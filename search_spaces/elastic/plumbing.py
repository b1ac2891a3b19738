"""Plain modules of the blocks without weights: identity, zero, add, concat."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from search_spaces.elastic.spec import Arguments, ModuleSpec
from search_spaces.network import Shape, TokensShape


class Zero(nn.Module):
    """Zeros of the input's shape."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.zeros_like(x)


class Add(nn.Module):
    """Sum of the inputs."""

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        total = inputs[0]
        for value in inputs[1:]:
            total = total + value
        return total


class Concat(nn.Module):
    """Inputs side by side along one dimension."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        return torch.cat(inputs, self.dim)


def no_arguments(inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Arguments:
    return {}


def concat_arguments(inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Arguments:
    return {"dim": 2 if isinstance(inputs[0], TokensShape) else 1}


IDENTITY = ModuleSpec(nn.Identity, no_arguments)
ZERO = ModuleSpec(Zero, no_arguments)
ADD = ModuleSpec(Add, no_arguments)
CONCAT = ModuleSpec(Concat, concat_arguments)
