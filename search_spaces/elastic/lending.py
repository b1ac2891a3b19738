"""How a supernet lends parts of its widest weights, and how their gradients come back.

A lent part is a leaf of its own over the same memory, made once. Its gradient is the same part of the widest gradient,
so that a backward pass costs what the part costs; autograd's own way back from a slice makes a gradient of the widest
size for each use of each tensor.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from search_spaces.elastic.slicing import Index, KernelTransform

# Parts of gradients have the strides of the whole; adding to them is what is wanted here.
warnings.filterwarnings("ignore", "grad and param do not obey the gradient layout contract")


class Account:
    """The gradient of one widest parameter, kept from step to step."""

    def __init__(self) -> None:
        self.parameter: nn.Parameter | None = None
        self.gradient = torch.empty(0)
        self._address = 0

    def gradient_of(self, parameter: nn.Parameter, address: int) -> torch.Tensor:
        """Where the gradient of the parameter at this address goes: another tensor once it has moved in memory."""
        if self.parameter is not parameter or self._address != address:
            self.parameter, self._address = parameter, address
            self.gradient = torch.zeros_like(parameter)
        return self.gradient


@dataclass(eq=False)
class Loan:
    """One tensor lent to a skeleton: `target[name] = source[name][index]`, transformed if it is a kernel."""

    path: str
    name: str
    target: dict[str, Any]
    source: dict[str, Any]
    empty: Any
    index: Index | None
    transform: KernelTransform | None
    account: Account
    _of: torch.Tensor | None = field(default=None, init=False)
    _address: int = field(default=0, init=False)
    _part: torch.Tensor = field(init=False)
    _gradient: torch.Tensor | None = field(default=None, init=False)

    def part(self, learns: bool) -> torch.Tensor:
        """The lent part, before its transform; cut again once the tensor has moved in memory.

        It requires a gradient where the tensor does, learning or not: kernels are chosen by that too.
        """
        tensor: torch.Tensor = self.source[self.name]
        if self.index is None:
            return tensor
        if self._of is not tensor or self._address != tensor.data_ptr():
            self._of, self._address, self._gradient = tensor, tensor.data_ptr(), None
            self._part = tensor[self.index].detach()  # this way round it is nobody's view, as a parameter
        needs_gradient = tensor.requires_grad
        if self._part.requires_grad != needs_gradient:
            self._part.requires_grad_(needs_gradient)
        if learns and needs_gradient:  # so it is a parameter
            gradient = self.account.gradient_of(tensor, self._address)  # type: ignore[arg-type]
            if self._gradient is not gradient:
                self._gradient, self._part.grad = gradient, gradient[self.index]
        return self._part


def before_backward(accounts: Iterable[Account]) -> Callable[[torch.Tensor], None]:
    """A hook for the output of a pass that borrowed: makes the parameters' gradients those that the loans add to.

    It raises RuntimeError where a gradient is to be differentiated again.
    """
    accounts = tuple(dict.fromkeys(accounts))

    def open_accounts(_: torch.Tensor) -> None:
        if torch.is_grad_enabled():
            raise RuntimeError("gradients of a supernet have no gradients (create_graph); extract the architecture")
        empty = []
        for account in accounts:
            parameter = account.parameter
            if parameter is None or not parameter.requires_grad:
                continue
            gradient = parameter.grad
            if gradient is account.gradient:
                continue
            if gradient is None:
                empty.append(account.gradient)
            else:
                account.gradient.copy_(gradient)
            parameter.grad = account.gradient
        if empty:
            torch._foreach_zero_(empty)

    return open_accounts
