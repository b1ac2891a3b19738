"""Linear layers over a part of a wider weight, whose gradient comes in the layout of the weight."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from search_spaces.elastic.sequences import TokenEmbedding

# Below it, what the kernel loses is less than a function written in Python costs.
LEAST_ELEMENTS = 1 << 16


def lent_linear(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
    """`F.linear`, by another way back where that pays."""
    if (
        weight.is_contiguous()
        or weight.numel() < LEAST_ELEMENTS
        or not torch.is_grad_enabled()
        or torch.is_autocast_enabled(x.device.type)  # its copies of weights are contiguous
    ):
        return F.linear(x, weight, bias)
    output: torch.Tensor = _Linear.apply(x, weight, bias)
    return output


class LentLinear(nn.Linear):
    """What a skeleton has in place of `nn.Linear`; computes the same."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        return lent_linear(input, self.weight, self.bias)


class LentTokenEmbedding(TokenEmbedding):
    """What a skeleton has in place of `TokenEmbedding`; computes the same."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return lent_linear(x, self.tokens.weight) if x.is_floating_point() else super().forward(x)


# Classes of plain modules, and what skeletons have in their place.
LENT_CLASSES: dict[type[nn.Module], type[nn.Module]] = {nn.Linear: LentLinear, TokenEmbedding: LentTokenEmbedding}


class _Linear(torch.autograd.Function):
    """`F.linear`. Autograd's own way back makes the gradient of a weight whose rows do not follow one another as the
    transpose of a matrix in memory, and adding that to a gradient takes several times as long."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        ctx.save_for_backward(x, weight)
        return F.linear(x, weight, bias)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        rows = gradients[0].flatten(0, -2)
        return (
            gradients[0] @ weight if ctx.needs_input_grad[0] else None,
            rows.t() @ x.flatten(0, -2) if ctx.needs_input_grad[1] else None,
            rows.sum(0) if ctx.needs_input_grad[2] else None,
        )
