"""Initial weights that a recipe asks for on top of the blocks' own."""

import torch
from torch import nn

from search_spaces.elastic.plain import PlainNetwork
from search_spaces.elastic.supernet import Supernet
from workers.training.keyed import stream

# Architectures looked at to find out which blocks of a supernet keep their shortcut whatever is chosen.
_NUM_PROBES = 64


def zero_last_norms(net: Supernet | PlainNetwork) -> int:
    """Zero the scale of the norm that ends each residual branch, so that deep networks begin as shallow ones.

    Only where the block has a shortcut, in a supernet in every architecture: without one the block would output
    nothing, and two such blocks in a row never learn. Returns how many norms were zeroed.
    """
    norms = _norms_of_supernet(net) if isinstance(net, Supernet) else _norms_of_network(net)
    with torch.no_grad():
        for norm in norms:
            norm.weight.zero_()  # type: ignore[operator]
    return len(norms)


def _has_shortcut(module: nn.Module) -> bool:
    # Blocks whose shortcut depends on shapes say so; the others with a `last_norm` always have one.
    return bool(getattr(module, "residual", True))


def _norms_of_network(net: PlainNetwork) -> list[nn.Module]:
    with_shortcut = [module for module in net.children() if _has_shortcut(module)]
    inside = {part for module in with_shortcut for part in module.modules()}
    return [norm for norm in net.residual_norms() if norm in inside]


def _norms_of_supernet(net: Supernet) -> list[nn.Module]:
    space = net.space
    sampled = space.sample(_NUM_PROBES, stream(0, "shortcuts"))
    shortcut: dict[nn.Module, bool] = {}
    for genes in (space.largest(), space.smallest(), *sampled):
        for block, skeleton, _, _ in net.plan(genes).steps:
            shortcut[block] = shortcut.get(block, True) and _has_shortcut(skeleton.module)
    inside = {part for block, always in shortcut.items() if always for part in block.modules()}
    return [norm for norm in net.residual_norms() if norm in inside]
