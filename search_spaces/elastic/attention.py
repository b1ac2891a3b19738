"""Plain module of attention to keys and values that other nodes give."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from search_spaces.elastic.spec import Arguments, ModuleSpec
from search_spaces.shapes import Shape


class Attend(nn.Module):
    """Queries, keys and values (N, L, F) or (N, C, H, W); the output has the places of the queries."""

    def __init__(self, heads: int, linear: bool, causal: bool) -> None:
        super().__init__()
        self.heads = heads
        self.linear = linear
        self.causal = causal

    def split(self, x: torch.Tensor) -> torch.Tensor:
        """(N, heads, places, features of a head)."""
        x = x.flatten(2).transpose(1, 2) if x.dim() == 4 else x
        return x.unflatten(2, (self.heads, -1)).transpose(1, 2)

    def forward(
        self, queries: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, real: torch.Tensor | None = None
    ) -> torch.Tensor:
        """`real` (N, L): which keys are no padding."""
        query, key, value = self.split(queries), self.split(keys), self.split(values)
        if self.linear:
            query, key = query.relu(), key.relu()
            if real is not None:
                key = key.masked_fill(~real[:, None, :, None], 0.0)
            total = (query * key.sum(2, keepdim=True)).sum(3, keepdim=True)
            y = query @ (key.transpose(2, 3) @ value) / (total + 1e-6)
        else:
            # Padding stands behind the text, where causal attention does not look.
            mask = None if real is None or self.causal else real[:, None, None]
            y = F.scaled_dot_product_attention(query, key, value, mask, is_causal=self.causal)
        y = y.transpose(1, 2).flatten(2)
        return y.transpose(1, 2).unflatten(2, queries.shape[2:]) if queries.dim() == 4 else y


def attend_arguments(inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Arguments:
    return {"heads": p["heads"], "linear": bool(p["linear"]), "causal": bool(p["causal"])}


ATTEND = ModuleSpec(Attend, attend_arguments, masks=True, masked_input=1)
