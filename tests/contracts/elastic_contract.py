"""What every family promises: the supernet's active architecture is the extracted network, to the last bit."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from search_spaces.elastic.plain import PlainNetwork, build_plain
from search_spaces.elastic.supernet import Supernet
from search_spaces.library_index import load_library
from search_spaces.network import Network
from search_spaces.shapes import ImageShape, TokensShape
from search_spaces.space import SearchSpace
from tests.contracts.block_contract import randomise

FEW = settings(
    max_examples=3,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.differing_executors, HealthCheck.too_slow],
)
seeds = st.integers(0, 2**32 - 1)


def network_input(network: Network, batch: int = 2, device: str = "cpu") -> torch.Tensor:
    """A fixed random input of a network."""
    shape = network.input_shape
    generator = torch.Generator().manual_seed(0)
    if isinstance(shape, ImageShape):
        return torch.randn(batch, shape.channels, shape.height, shape.width, generator=generator).to(device)
    if isinstance(shape, TokensShape):
        vocabulary = next(int(str(node.params["vocabulary"])) for node in network.nodes if "vocabulary" in node.params)
        return torch.randint(0, vocabulary, (batch, shape.length), generator=generator).to(device)
    return torch.randn(batch, shape.features, generator=generator).to(device)


def counted(plain: PlainNetwork) -> tuple[int, int]:
    """(multiply-accumulates of one example by torch's counter, learnable numbers)."""
    counter = FlopCounterMode(display=False)
    with counter, sdpa_kernel(SDPBackend.MATH), torch.no_grad():
        plain(network_input(plain.network, 1))
    return int(counter.get_total_flops()) // 2, sum(p.numel() for p in plain.parameters())


@cache
def randomised_supernet(space: SearchSpace) -> Supernet:
    supernet = Supernet(space)
    for parameter in supernet.parameters():
        parameter.requires_grad_(True)
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for name, parameter in supernet.named_parameters():
            if parameter.dim() == 1 or "kernel_transforms" in name:
                parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.1)
    return supernet.eval()


class ElasticContract:
    """Inherit with `family`, the name of a library document, and optionally a binding to a small input."""

    family: ClassVar[str]
    classes: ClassVar[int | None] = None
    input: ClassVar[dict[str, int] | None] = None

    def space(self) -> SearchSpace:
        return bound(self.family, self.classes, tuple((self.input or {}).items()))

    def architectures(self, seed: int) -> list[np.ndarray]:
        """One random architecture; the extremes with the first seed."""
        space = self.space()
        genes = list(space.sample(1, np.random.default_rng(seed)))
        return [*genes, space.largest(), space.smallest()] if seed == 0 else genes

    @FEW
    @given(seeds)
    def test_active_forward_equals_the_extracted_network_whose_cost_is_as_counted(self, seed: int) -> None:
        supernet = randomised_supernet(self.space())
        for genes in self.architectures(seed):
            extracted = supernet.extract(genes)
            x = network_input(extracted.network)
            with supernet.active(genes), torch.no_grad():
                assert torch.equal(supernet(x), extracted(x))
            cost = self.space().resolve(genes).cost()
            assert (cost.macs, cost.params) == counted(extracted)

    def test_vectorised_costs_equal_each_networks_cost(self) -> None:
        space = self.space()
        genes = np.stack([*space.sample(8, np.random.default_rng(0)), space.largest(), space.smallest()])
        columns = space.costs(genes)
        for number, row in enumerate(genes):
            cost = space.resolve(row).cost()
            assert columns["macs"][number] == cost.macs
            assert columns["params"][number] == cost.params
            assert columns["activations"][number] == cost.activations
            assert columns["peak_activation_bytes"][number] == cost.peak_activation_bytes

    def test_gradients_land_only_in_used_slices(self) -> None:
        space, supernet = self.space(), randomised_supernet(self.space())
        for genes in (space.smallest(), *space.sample(1, np.random.default_rng(3))):
            supernet.zero_grad()
            with supernet.active(genes):
                output = supernet(network_input(supernet.active_network))
            output.square().sum().backward()
            masks = supernet.active_parameters(genes)
            for name, parameter in supernet.named_parameters():
                if name not in masks:
                    assert parameter.grad is None, name
                elif parameter.grad is not None:
                    assert not parameter.grad[~masks[name]].any(), name
            supernet.zero_grad()

    def test_extract_save_load_gives_the_same_output(self, tmp_path: Path) -> None:
        space, supernet = self.space(), randomised_supernet(self.space())
        extracted = supernet.extract(space.sample(1, np.random.default_rng(1))[0])
        save_file(extracted.state_dict(), tmp_path / "model.safetensors")
        rebuilt = build_plain(Network.from_json(extracted.network.to_json())).eval()
        rebuilt.load_state_dict(load_file(tmp_path / "model.safetensors"))
        x = network_input(extracted.network)
        with torch.no_grad():
            assert torch.equal(rebuilt(x), extracted(x))

    def test_extracted_weights_are_copies(self) -> None:
        space, supernet = self.space(), randomised_supernet(self.space())
        extracted = supernet.extract(space.largest())
        before = {name: value.clone() for name, value in supernet.state_dict().items()}
        randomise(extracted)
        assert all(torch.equal(value, before[name]) for name, value in supernet.state_dict().items())

    def test_an_architecture_outside_the_space_changes_nothing(self) -> None:
        supernet = randomised_supernet(self.space())
        before = supernet.active_genes
        with pytest.raises(ValueError):  # noqa: PT011 - any refusal will do
            supernet.set_active(np.full(len(self.space().genes), 9999, np.int16))
        assert np.array_equal(supernet.active_genes, before)


@cache
def bound(family: str, classes: int | None, size: tuple[tuple[str, int], ...]) -> SearchSpace:
    space = load_library(family)
    return space.bind(classes=classes, input=dict(size)) if classes or size else space
