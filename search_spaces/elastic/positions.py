"""How attention along a sequence learns of positions: vectors and numbers by distance, rotations."""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional as F


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


class DistanceBias(nn.Module):
    """One learned number for each head and distance between two tokens, clipped."""

    centred_from = 1  # a smaller largest distance uses the middle of the table

    def __init__(self, heads: int, largest: int) -> None:
        super().__init__()
        self.largest = largest
        self.weight = nn.Parameter(torch.zeros(heads, 2 * largest + 1))

    def forward(self, length: int) -> torch.Tensor:
        """(heads, L, L)."""
        place = torch.arange(length, device=self.weight.device)
        steps = (place - place[:, None]).clamp(-self.largest, self.largest) + self.largest
        return self.weight[:, steps]


def rotated(x: torch.Tensor) -> torch.Tensor:
    """Pairs of neighbouring features of (N, heads, L, d), turned by the position times rates from 1 down to 1/10000."""
    length, size = x.shape[2], x.shape[3]
    rates = 10_000.0 ** (torch.arange(0, size, 2, device=x.device, dtype=torch.float32) / -size)
    angles = torch.outer(torch.arange(length, device=x.device, dtype=torch.float32), rates)
    cos, sin = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
    even, odd = x[..., 0::2], x[..., 1::2]
    return torch.stack((even * cos - odd * sin, even * sin + odd * cos), -1).flatten(3)
