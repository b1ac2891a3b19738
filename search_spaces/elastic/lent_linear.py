"""Linear layers over a part of a wider weight, whose gradient comes in the layout of the weight."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from search_spaces.elastic.sequences import TokenEmbedding

# Below it, what is saved on the way back is less than a function written in Python costs.
LEAST_ELEMENTS = 1 << 14


def lent_linear(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
    """`F.linear`, by another way back where that is possible."""
    if (
        isinstance(weight, nn.Parameter)  # not a part; its hooks are to be called
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


def lent_class(module: nn.Module) -> type[nn.Module]:
    """What a skeleton has in place of a module of this class and size."""
    if type(module) is nn.Linear and module.weight.numel() >= LEAST_ELEMENTS:
        return LentLinear
    if type(module) is TokenEmbedding and module.tokens.weight.numel() >= LEAST_ELEMENTS:
        return LentTokenEmbedding
    return type(module)


class _Linear(torch.autograd.Function):
    """`F.linear`, whose way back adds the product that is the gradient of the weight to what stands there at once.

    Autograd makes the product by itself and then adds it, and where the rows of the weight do not follow one another
    the product is the transpose of a matrix in memory, which takes several times as long to add.
    """

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        ctx.save_for_backward(x, weight)
        return F.linear(x, weight, bias)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        rows, inputs, of_weight = gradients[0].flatten(0, -2), x.flatten(0, -2), None
        if ctx.needs_input_grad[1]:
            if weight.grad is None:
                of_weight = rows.t() @ inputs
            elif torch._C._will_engine_execute_node(ctx.next_functions[1][0]):  # not if asked for other gradients alone
                weight.grad.addmm_(rows.t(), inputs)
        return (
            gradients[0] @ weight if ctx.needs_input_grad[0] else None,
            of_weight,
            rows.sum(0) if ctx.needs_input_grad[2] else None,
        )
