"""Plain modules of the blocks without weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from search_spaces.elastic.layers import make_activation
from search_spaces.elastic.spec import Arguments, ModuleSpec
from search_spaces.shapes import ImageShape, Shape, TokensShape


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


class Mean(Add):
    """Mean of the inputs."""

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        return super().forward(*inputs) / len(inputs)


class Multiply(nn.Module):
    """Product of the inputs; a side of 1 is repeated to the size of the others, a vector is one pixel or token."""

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        product = inputs[0]
        for value in inputs[1:]:
            if value.dim() < product.dim():
                value = value[:, :, None, None] if product.dim() == 4 else value[:, None]
            product = product * value
        return product


class Concat(nn.Module):
    """Inputs side by side along one dimension."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        return torch.cat(inputs, self.dim)


class Activation(nn.Module):
    """An activation by itself."""

    def __init__(self, activation: str) -> None:
        super().__init__()
        self.activation = make_activation(activation)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.activation(x)


class Dropout(nn.Module):
    """Dropout by itself."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(rate)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.dropout(x)


class Scale(nn.Module):
    """The input times a fixed number, plus another."""

    def __init__(self, factor: float, offset: float) -> None:
        super().__init__()
        self.factor = factor
        self.offset = offset

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.factor + self.offset


class ChannelShuffle(nn.Module):
    """Channels taken from the groups in turn."""

    def __init__(self, groups: int) -> None:
        super().__init__()
        self.groups = groups

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.unflatten(1, (self.groups, -1)).transpose(1, 2).flatten(1, 2)


class ChannelPart(nn.Module):
    """Channels (dimension 1) or features (the last dimension) from `start` to before `stop`."""

    def __init__(self, dim: int, start: int, stop: int) -> None:
        super().__init__()
        self.dim = dim
        self.start = start
        self.stop = stop

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.narrow(self.dim, self.start, self.stop - self.start)


def no_arguments(inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Arguments:
    return {}


def concat_arguments(inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Arguments:
    return {"dim": 2 if isinstance(inputs[0], TokensShape) else 1}


def activation_arguments(inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Arguments:
    return {"activation": p["activation"]}


def dropout_arguments(inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Arguments:
    return {"rate": float(p["rate"])}


def channel_shuffle_arguments(inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Arguments:
    return {"groups": p["groups"]}


def scale_arguments(inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Arguments:
    return {"factor": float(p["factor"]), "offset": float(p["offset"])}


def channel_slice_arguments(inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Arguments:
    x = inputs[0]
    stop = p["start"] + p["size"] if p["size"] else (x.channels if isinstance(x, ImageShape) else x.features)
    return {"dim": 2 if isinstance(x, TokensShape) else 1, "start": p["start"], "stop": stop}


def channel_part_arguments(inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Arguments:
    x = inputs[0]
    size = (x.channels if isinstance(x, ImageShape) else x.features) // p["parts"]
    return {"dim": 2 if isinstance(x, TokensShape) else 1, "start": p["part"] * size, "stop": (p["part"] + 1) * size}


IDENTITY = ModuleSpec(nn.Identity, no_arguments)
ZERO = ModuleSpec(Zero, no_arguments)
ADD = ModuleSpec(Add, no_arguments)
MEAN = ModuleSpec(Mean, no_arguments, helpers=(Add,))
MULTIPLY = ModuleSpec(Multiply, no_arguments)
CONCAT = ModuleSpec(Concat, concat_arguments)
ACTIVATION = ModuleSpec(Activation, activation_arguments, helpers=(make_activation,))
DROPOUT = ModuleSpec(Dropout, dropout_arguments)
CHANNEL_SHUFFLE = ModuleSpec(ChannelShuffle, channel_shuffle_arguments)
SCALE = ModuleSpec(Scale, scale_arguments)
CHANNEL_SLICE = ModuleSpec(ChannelPart, channel_slice_arguments)
CHANNEL_PART = ModuleSpec(ChannelPart, channel_part_arguments)
