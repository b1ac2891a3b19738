"""The plain network of an architecture: ordinary torch layers, built from a `Network` alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

from search_spaces.elastic.initialise import initialise
from search_spaces.elastic.padding import call_inputs, masks_of, real_tokens
from search_spaces.elastic.registry import MODULES
from search_spaces.network import Network

RESERVED = frozenset(dir(nn.Module())) | {"network", "steps", "masks", "batch_norms", "residual_norms"}


@dataclass(frozen=True)
class Step:
    """One call: module name, indices of its input values, and the values that nobody needs afterwards."""

    name: str
    inputs: tuple[int, ...]
    finished: tuple[int, ...]


def last_uses(network: Network) -> tuple[tuple[int, ...], ...]:
    """For each node, the values whose last use it is."""
    last = {value: number for number, node in enumerate(network.nodes) for value in node.inputs}
    finished: list[list[int]] = [[] for _ in network.nodes]
    for value, number in last.items():
        finished[number].append(value)
    return tuple(tuple(sorted(values)) for values in finished)


def module_names(network: Network) -> tuple[str, ...]:
    """Module name of each node: its weight key with `_` for `.`.

    Nodes that share key and shape share the module; a key used in two shapes gets a number for the second.
    """
    names: dict[tuple[str, str], str] = {}
    taken = set(RESERVED)
    result = []
    for node in network.nodes:
        arguments = MODULES[node.block].arguments(node.in_shapes, node.params)
        identity = (node.key, repr(arguments))
        if identity not in names:
            base = name = node.key.replace(".", "_")
            number = 2
            while name in taken:
                name, number = f"{base}_{number}", number + 1
            names[identity] = name
            taken.add(name)
        result.append(names[identity])
    return tuple(result)


class PlainNetwork(nn.Module):
    """Runs the nodes of a network in order. Input (N, C, H, W), (N, F) or token ids (N, L) by the network's shape.

    Weights are uninitialised storage of torch's own defaults; use `build_plain` for seeded ones. `modules` are
    finished ones, one for each node, in place of new ones.
    """

    def __init__(self, network: Network, modules: Sequence[nn.Module] = ()) -> None:
        super().__init__()
        self.network = network
        names = module_names(network)
        for number, (name, node) in enumerate(zip(names, network.nodes, strict=True)):
            if name not in self._modules:
                spec = MODULES[node.block]
                made = modules[number] if modules else spec.cls(**spec.arguments(node.in_shapes, node.params))
                self.add_module(name, made)
        self.steps = tuple(
            Step(name, inputs, finished)
            for name, inputs, finished in zip(names, call_inputs(network), last_uses(network), strict=True)
        )
        self.masks = masks_of(step.inputs for step in self.steps)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        values = {0: x}
        for mask in self.masks:
            values[mask] = real_tokens(x)[:, ::-mask]
        for number, step in enumerate(self.steps):
            values[number + 1] = getattr(self, step.name)(*[values[value] for value in step.inputs])
            for value in step.finished:
                del values[value]
        return values[len(self.steps)]

    def batch_norms(self) -> list[tuple[nn.BatchNorm2d, nn.BatchNorm2d]]:
        """Every batch norm as the pair (layer that is called, layer that owns the statistics)."""
        return [(part, part) for part in self.modules() if isinstance(part, nn.BatchNorm2d)]

    def residual_norms(self) -> list[nn.Module]:
        """The norm that ends each residual branch, whose scale zero initialisation sets to 0."""
        found: dict[str, nn.Module] = {}
        for step, node in zip(self.steps, self.network.nodes, strict=True):
            path = MODULES[node.block].last_norm
            if path is not None:
                found[step.name] = getattr(self, step.name).get_submodule(path)
        return list(found.values())


def build_plain(network: Network, seed: int | None = None) -> PlainNetwork:
    """A plain network; with a seed its initial weights are those that a supernet of equal widths would have."""
    plain = PlainNetwork(network)
    if seed is not None:
        for step, node in zip(plain.steps, network.nodes, strict=True):
            initialise(getattr(plain, step.name), seed, node.key)
    return plain
