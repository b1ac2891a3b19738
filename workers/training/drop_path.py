"""Drop path: in training whole paths of a network are left out at random, deeper ones more often, and ever more often.

ScheduledDropPath of NASNet (Zoph et al. 2018, arXiv:1707.07012) for cells, stochastic depth (Huang et al. 2016,
arXiv:1603.09382) for residual branches. A path is a residual branch inside a block, or the output of an operation that
goes into a sum or concatenation and nowhere else; identities are never dropped. The network itself is not changed:
hooks scale what its layers return while a training pass runs, so evaluation and exports know nothing of it.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import cycle
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from search_spaces.elastic.plain import PlainNetwork
from search_spaces.elastic.registry import MODULES
from search_spaces.elastic.supernet import Supernet
from search_spaces.network import Network, Node
from workers.training.keyed import stream_key

_NEVER_DROPPED = frozenset({"identity", "zero", "add", "concat"})

# Per layer: for each of its calls in a pass the depth of the path it ends, 0 to 1, or None where it ends none.
Paths = dict[nn.Module, list[float | None]]


def paths_of(network: Network, modules: Sequence[nn.Module]) -> Paths:
    """The paths of a network whose nodes run `modules`; depths rise evenly from 1 / number of paths to 1."""
    ends = [_end(network, number, module) for number, module in enumerate(modules)]
    total = sum(end is not None for end in ends)
    depths = iter(range(1, total + 1))
    depth_of = [None if end is None else next(depths) / total for end in ends]
    layers = {end: module for end, module in zip(ends, modules, strict=True) if end is not None}
    return {
        end: [
            depth if own is end else None
            for own, depth, module in zip(ends, depth_of, modules, strict=True)
            if module is owner
        ]
        for end, owner in layers.items()
    }


def _end(network: Network, number: int, module: nn.Module) -> nn.Module | None:
    """The layer of a node whose output is a path, if there is one."""
    node = network.nodes[number]
    branch = MODULES[node.block].branch
    if branch is not None and getattr(module, "residual", True):
        return module.get_submodule(branch)
    same = node.block == "skip_connect" and node.in_shapes[0] == node.out_shape
    is_identity = same and not node.params["always"]
    if node.block in _NEVER_DROPPED or is_identity:
        return None
    readers = [other for other in network.nodes if number + 1 in other.inputs]
    return module if len(readers) == 1 and _combines(readers[0]) else None


def _combines(node: Node) -> bool:
    return node.block in ("add", "concat") and len(node.inputs) > 1


class DropPath:
    """Drops paths of `net` while a context is open, with draws keyed by seed, step, micro-batch and task.

    The probability of a path is `probability` x its depth x the share of training that is done.
    """

    def __init__(self, net: nn.Module, probability: float, num_steps: int, seed: int, device: torch.device) -> None:
        self._net, self._probability, self._num_steps = net, probability, num_steps
        self._seed, self._device = seed, device

    @contextmanager
    def during(self, genes: np.ndarray, step: int, micro_batch: int, task: str) -> Iterator[None]:
        """One forward pass of an architecture; passes in eval mode are none of those."""
        now = self._probability * (step + 1) / self._num_steps
        generator = torch.Generator(self._device)
        generator.manual_seed(stream_key(self._seed, "drop_path", step, micro_batch, task) % 2**63)
        handles = []
        for layer, depths in self._paths(genes).items():
            drops = [None if depth is None else now * depth for depth in depths]
            handles.append(layer.register_forward_hook(_hook(drops, generator)))
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _paths(self, genes: np.ndarray) -> Paths:
        if isinstance(self._net, Supernet):
            plan = self._net.plan(genes)
            return paths_of(plan.network, [skeleton.module for _, skeleton, _, _ in plan.steps])
        if isinstance(self._net, PlainNetwork):
            return paths_of(self._net.network, [getattr(self._net, step.name) for step in self._net.steps])
        raise TypeError(f"{type(self._net).__name__} has no paths that are known")


def _hook(drops: Sequence[float | None], generator: torch.Generator) -> Any:
    calls = cycle(drops)

    def drop(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor | None:
        probability = next(calls)
        if not probability or not layer.training:
            return None
        return dropped(output, probability, generator)

    return drop


def dropped(path: Tensor, probability: float, generator: torch.Generator) -> Tensor:
    """The path with whole samples set to zero at random, the others scaled so that the mean stays."""
    keep = 1.0 - probability
    shape = (len(path), *[1] * (path.ndim - 1))
    kept = torch.rand(shape, generator=generator, device=path.device) < keep
    return path * (kept.to(path.dtype) / keep)
