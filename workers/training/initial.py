"""Initial weights that a recipe asks for on top of the blocks' own."""

import torch
from torch import nn

from search_spaces.elastic.plain import PlainNetwork
from search_spaces.elastic.supernet import Supernet


@torch.no_grad()
def zero_last_norms(net: Supernet | PlainNetwork) -> None:
    """Zero the scale of the norm that ends each residual branch, so that deep networks begin as shallow ones."""
    for norm in net.residual_norms():
        if isinstance(norm.weight, nn.Parameter):
            norm.weight.zero_()
