"""Cells that were found in the spaces of NASNet and DARTS, with the counts of their papers."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from search_spaces.elastic.heads import ImageHead
from search_spaces.elastic.plain import PlainNetwork
from search_spaces.library_index import load_library
from search_spaces.network import Network
from search_spaces.shapes import ImageShape
from tests.contracts.elastic_contract import network_input
from tests.unit.search_spaces.library.test_published_facts import member
from tests.unit.search_spaces.library.test_published_networks import published


def test_nasnet_a_as_published() -> None:
    space = published("nasnet-a")
    mobile = space.resolve(space.smallest()).cost()
    assert mobile.params == 5_289_978
    assert round(mobile.macs / 1e6) == 564
    small = space.bind(classes=10, input={"height": 32, "width": 32, "channels": 3})
    assert round(small.resolve(small.smallest(), "cifar").cost().params / 1e6, 1) == 3.3


@pytest.mark.parametrize(("scale", "pixels", "last"), [("search", 32, 8), ("cifar", 32, 8), ("mobile", 224, 7)])
def test_scales_of_the_nasnet_space_end_at_their_published_resolution(scale: str, pixels: int, last: int) -> None:
    space = load_library("nasnet-cell").bind(input={"height": pixels, "width": pixels, "channels": 3})
    final = space.resolve(space.smallest(), scale).nodes[-1].in_shapes[0]
    assert isinstance(final, ImageShape)
    assert (final.height, final.width) == (last, last)
    assert final.channels % {"search": 128, "cifar": 128, "mobile": 176}[scale] == 0


SEP3, SEP5, DIL3, DIL5 = "sep_conv_3x3", "sep_conv_5x5", "dil_conv_3x3", "dil_conv_5x5"


MAX, AVG, SKIP = "max_pool_3x3", "avg_pool_3x3", "skip_connect"


# Normal and reduction cell: per node two pairs of an operation and the state that it reads, 0 and 1 being the inputs.
GENOTYPES: dict[str, tuple[list[tuple[str, int]], list[tuple[str, int]]]] = {
    "darts-v1": (
        [(SEP3, 1), (SEP3, 0), (SKIP, 0), (SEP3, 1), (SKIP, 0), (SEP3, 1), (SEP3, 0), (SKIP, 2)],
        [(MAX, 0), (MAX, 1), (SKIP, 2), (MAX, 0), (MAX, 0), (SKIP, 2), (SKIP, 2), (AVG, 0)],
    ),
    "darts-v2": (
        [(SEP3, 0), (SEP3, 1), (SEP3, 0), (SEP3, 1), (SEP3, 1), (SKIP, 0), (SKIP, 0), (DIL3, 2)],
        [(MAX, 0), (MAX, 1), (SKIP, 2), (MAX, 1), (MAX, 0), (SKIP, 2), (SKIP, 2), (MAX, 1)],
    ),
    "gdas-v1": (
        [(SKIP, 0), (SKIP, 1), (SKIP, 0), (SEP5, 2), (SEP3, 3), (SKIP, 0), (SEP5, 4), (SEP3, 3)],
        [(SEP5, 0), (SEP3, 1), (SEP5, 2), (SEP5, 1), (DIL5, 2), (SEP3, 1), (SEP5, 0), (SEP5, 1)],
    ),
    "p-darts": (
        [(SKIP, 0), (DIL3, 1), (SKIP, 0), (SEP3, 1), (SEP3, 1), (SEP3, 3), (SEP3, 0), (DIL5, 4)],
        [(AVG, 0), (SEP5, 1), (SEP3, 0), (DIL5, 2), (MAX, 0), (DIL3, 1), (DIL3, 1), (DIL5, 3)],
    ),
    "pc-darts": (
        [(SEP3, 1), (SKIP, 0), (SEP3, 0), (DIL3, 1), (SEP5, 0), (SEP3, 1), (AVG, 0), (DIL3, 1)],
        [(SEP5, 1), (MAX, 0), (SEP5, 1), (SEP5, 2), (SEP3, 0), (SEP3, 3), (SEP3, 1), (SEP3, 2)],
    ),
}


def cells(name: str) -> dict[str, Any]:
    """Choices of `darts-cell` for a published pair of cells."""
    states = ("c0", "c1", "node0", "node1", "node2")
    choose: dict[str, Any] = {}
    for cell, edges in zip(("normal", "reduction"), GENOTYPES[name], strict=True):
        for node in range(4):
            pair = sorted(edges[2 * node : 2 * node + 2], key=lambda edge: edge[1])
            for place, (number, (op, state)) in zip(("first", "second"), enumerate(pair), strict=True):
                choose |= {f"{cell}.node{node}.{place}.op": op, f"{cell}.node{node}_edge{number}": states[state]}
    return choose


@pytest.mark.parametrize(
    ("name", "millions"),
    [("darts-v1", 3.2), ("darts-v2", 3.3), ("gdas-v1", 3.4), ("p-darts", 3.4), ("pc-darts", 3.6)],
)
def test_cells_of_the_darts_space_on_cifar(name: str, millions: float) -> None:
    params = member(load_library("darts-cell"), cells(name), "final").cost().params
    assert round(params / 1e6, 1) == millions
    assert name != "darts-v2" or params == 3_349_342


def with_cheap_layers(network: Network) -> int:
    """Operations as ptflops counts them: beside multiply-accumulates also 2 for each number that a batch norm makes,
    1 for each that a ReLU makes, and 1 for each that a pooling reads."""
    total = network.cost().macs

    def count(layer: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        nonlocal total
        total += 2 * output.numel() if isinstance(layer, nn.BatchNorm2d) else 0
        total += output.numel() if isinstance(layer, nn.ReLU) else 0
        total += inputs[0].numel() if isinstance(layer, nn.MaxPool2d | nn.AvgPool2d | ImageHead) else 0

    with torch.device("meta"):
        plain = PlainNetwork(network).eval()
    for layer in plain.modules():
        layer.register_forward_hook(count)
    plain(network_input(network, 1, "meta"))
    return total


@pytest.mark.parametrize(
    ("name", "params", "macs", "with_others"),
    [
        # 523 to 545 million by several counters in github.com/quark0/darts/issues/46, among them ptflops' 544.59; how
        # the paper comes to 574 is not known, not even there.
        ("darts-v2", 4_718_752, 529.9, 544.59),
        # 557 and 586 million in their papers: all layers, as ptflops counts
        ("p-darts", 4_944_352, 542.8, 557),
        ("pc-darts", 5_270_560, 571.1, 586),
    ],
)
def test_darts_on_imagenet(name: str, params: int, macs: float, with_others: float) -> None:
    space = load_library("darts-cell").bind(classes=1000, input={"height": 224, "width": 224, "channels": 3})
    network = member(space, cells(name), "imagenet")
    cost = network.cost()
    assert cost.params == params
    assert round(cost.macs / 1e6, 1) == macs
    assert round(with_cheap_layers(network) / 1e6, 2 if with_others % 1 else 0) == with_others
