"""Initial weights that a recipe asks for on top of the blocks' own."""

import torch
from torch import nn


@torch.no_grad()
def zero_last_norms(net: nn.Module) -> int:
    """Zero the scale of the norm that ends each residual branch, so that branches start as identity.

    Modules say which norm that is in their attribute `last_norm`, a path below the module. Returns how many there are.
    """
    num_zeroed = 0
    for module in net.modules():
        path = getattr(module, "last_norm", None)
        if isinstance(path, str):
            norm = module.get_submodule(path)
            norm.weight.zero_()  # type: ignore[union-attr, operator]
            num_zeroed += 1
    return num_zeroed
