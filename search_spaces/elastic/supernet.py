"""The weight-sharing supernet of a search space: one set of weights, any architecture of the space active."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from search_spaces.elastic.elastic_block import ElasticBlock, Skeleton
from search_spaces.elastic.lending import before_backward
from search_spaces.elastic.padding import call_inputs, masks_of, real_tokens
from search_spaces.elastic.plain import PlainNetwork, last_uses
from search_spaces.elastic.resize import at_resolution
from search_spaces.network import Network
from search_spaces.space import SearchSpace

MAX_ACTIVE_PLANS = 1024


@dataclass(frozen=True)
class Active:
    """An architecture made ready to run: per node its block, skeleton, input values and finished values.

    `before_backward` is the hook for what the last node returns.
    """

    network: Network
    steps: tuple[tuple[ElasticBlock, Skeleton, tuple[int, ...], tuple[int, ...]], ...]
    masks: tuple[int, ...]
    before_backward: Callable[[torch.Tensor], None]


class Supernet(nn.Module):
    """All weights of a space. Activate an architecture, then call it like any module.

    Module names are weight keys with `_` for `.`; each tensor has the name it has in the extracted
    network. Starts with the largest architecture active. `seed` fixes the initial weights.
    """

    def __init__(self, space: SearchSpace, scale: str = "search", seed: int = 0) -> None:
        super().__init__()
        self.space = space
        self.scale = scale
        self._names: dict[str, str] = {}
        for key, envelope in space.envelopes(scale).items():
            base = name = key.replace(".", "_")
            number = 2
            while hasattr(self, name):
                name, number = f"{base}_{number}", number + 1
            self._names[key] = name
            self.add_module(name, ElasticBlock(envelope, seed))
        self._plans: OrderedDict[bytes, Active] = OrderedDict()
        self._active_genes = np.asarray(space.largest(), dtype=np.int16)
        self._active = self.plan(self._active_genes)

    def __getstate__(self) -> dict[str, object]:
        return self.__dict__ | {"_plans": OrderedDict(), "_active": None}

    def __setstate__(self, state: dict[str, object]) -> None:
        super().__setstate__(state)
        self._active = self.plan(self._active_genes)

    def block(self, key: str) -> ElasticBlock:
        """The elastic block of a weight key."""
        module = getattr(self, self._names[key])
        assert isinstance(module, ElasticBlock)
        return module

    def plan(self, genes: np.ndarray) -> Active:
        """What runs for an architecture, genes of shape (G,); kept for the most recent architectures."""
        name = np.asarray(genes, dtype=np.int16).tobytes()
        found = self._plans.get(name)
        if found is None:
            network = self.space.resolve(np.asarray(genes, dtype=np.int16), self.scale)
            steps = []
            for node, inputs, finished in zip(network.nodes, call_inputs(network), last_uses(network), strict=True):
                block = self.block(node.key)
                steps.append((block, block.skeleton(node.in_shapes, node.params), inputs, finished))
            accounts = [account for _, skeleton, _, _ in steps for account in skeleton.accounts]
            masks = masks_of(inputs for _, _, inputs, _ in steps)
            found = Active(network, tuple(steps), masks, before_backward(accounts))
            self._plans[name] = found
            if len(self._plans) > MAX_ACTIVE_PLANS:
                self._plans.popitem(last=False)
        else:
            self._plans.move_to_end(name)
        return found

    @property
    def active_genes(self) -> np.ndarray:
        """Genes (G,) of the active architecture."""
        return self._active_genes.copy()

    @property
    def active_network(self) -> Network:
        """The network of the active architecture."""
        return self._active.network

    def set_active(self, genes: np.ndarray) -> None:
        """Activate an architecture; raises `SpaceError` for genes outside the space and changes nothing then."""
        plan = self.plan(genes)
        self._active_genes = np.asarray(genes, dtype=np.int16).copy()
        self._active = plan

    @contextmanager
    def active(self, genes: np.ndarray) -> Iterator[Supernet]:
        """Activate an architecture inside a `with` block and restore the previous one after it."""
        before = self._active_genes
        self.set_active(genes)
        try:
            yield self
        finally:
            self.set_active(before)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Output of the active architecture; images are resized (bicubic) to its input resolution."""
        values = {0: at_resolution(x, self._active.network.input_shape)}
        for mask in self._active.masks:
            values[mask] = real_tokens(values[0])[:, ::-mask]
        for number, (block, skeleton, inputs, finished) in enumerate(self._active.steps):
            values[number + 1] = block.run(skeleton, *[values[value] for value in inputs])
            for value in finished:
                del values[value]
        output = values[len(self._active.steps)]
        if torch.is_grad_enabled() and output.requires_grad:
            output.register_hook(self._active.before_backward)
        return output

    def extract(self, genes: np.ndarray) -> PlainNetwork:
        """An independent plain network with copies of the architecture's weights and statistics, in eval mode."""
        plan = self.plan(genes)
        modules = {skeleton: block.extracted(skeleton) for block, skeleton, _, _ in plan.steps}
        return PlainNetwork(plan.network, [modules[skeleton] for _, skeleton, _, _ in plan.steps]).eval()

    def active_parameters(self, genes: np.ndarray) -> dict[str, torch.Tensor]:
        """Parameters that an architecture uses, by name, with boolean masks of the used elements."""
        masks: dict[str, torch.Tensor] = {}
        for block, skeleton, _, _ in self.plan(genes).steps:
            prefix = self._names[block.weight_key]
            for name, mask in block.used(skeleton):
                full = f"{prefix}.{name}"
                masks[full] = masks[full] | mask if full in masks else mask
        return masks

    def batch_norms(self) -> list[tuple[nn.BatchNorm2d, nn.BatchNorm2d]]:
        """Batch norms of the active architecture: (layer that is called, layer that owns the statistics)."""
        return [pair for _, skeleton, _, _ in self._active.steps for pair in skeleton.norms]

    def residual_norms(self) -> list[nn.Module]:
        """The norm that ends each residual branch, whose scale zero initialisation sets to 0."""
        blocks = [self.block(key) for key in self._names]
        return [block.get_submodule(block.last_norm) for block in blocks if block.last_norm is not None]
