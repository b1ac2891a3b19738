"""Sizes, parameters and multiply-accumulates that the sources publish, at the scale they publish them."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest

from search_spaces.library_index import load_library
from search_spaces.network import Network
from search_spaces.space import SearchSpace


def member(space: SearchSpace, choose: dict[str, Any], scale: str = "search") -> Network:
    """The architecture whose genes take the value of the first entry of `choose` that ends their name."""
    genes = np.full(len(space.genes), -1, np.int16)
    for position, gene in enumerate(space.genes):
        for ending, value in choose.items():
            if gene.name.endswith(ending):
                genes[position] = gene.options.index(value)
                break
    return space.resolve(space.canonical(genes[None])[0], scale)


def per_stage(options: int, depths: tuple[int, ...]) -> int:
    return sum(options**depth for depth in depths)


@pytest.mark.parametrize(
    ("family", "size"),
    [
        ("mobilenetv3-ofa", per_stage(9, (2, 3, 4)) ** 5 * 25),
        ("proxyless-mobile", per_stage(9, (2, 3, 4)) ** 5 * 9 * 25),
        ("nasbench201-cell", 5**6),
        ("nats-size", 8**5),
        ("nas-bench-macro", 3**8),
        ("flexibert", 240**2 + 240**4),
        ("darts-cell", (1 * 3 * 6 * 10 * 7**8) ** 2),
        ("autoformer-vit-tiny", 3 * per_stage(4, (12, 13, 14))),
        ("autoformer-vit-small", 3 * per_stage(9, (12, 13, 14))),
        ("autoformer-vit-base", 3 * per_stage(6, (14, 15, 16))),
        ("resnet-elastic", (3 * per_stage(3, (2, 3, 4))) ** 3 * 3 * per_stage(3, (4, 5, 6))),
        ("pooling-resnet20", 36),
        ("hytra", 2_818_103),
        ("vit-resnas", (5 * 28**4 * 29**3) ** 3),
        ("vit-resnas-tiny", (5 * 28**3 * 29**3) ** 3),
    ],
)
def test_cardinality(family: str, size: int) -> None:
    assert load_library(family).cardinality == size


def test_nas_bench_201_costs_follow_the_published_closed_form_for_every_architecture() -> None:
    space = load_library("nasbench201-cell")
    genes = space.enumerate()
    assert len(genes) == 15_625
    options = np.array([[str(option) for option in gene.options] for gene in space.genes])
    chosen = np.stack([row[column] for row, column in zip(options, genes.T, strict=True)], 1)
    num_1x1 = (chosen == "nor_conv_1x1").sum(1)
    num_3x3 = (chosen == "nor_conv_3x3").sum(1)
    costs = space.costs(genes)
    assert np.array_equal(costs["params"], 73_306 + 243_040 * num_3x3 + 28_000 * num_1x1)
    assert np.array_equal(costs["macs"], 7_783_040 + 35_389_440 * num_3x3 + 3_932_160 * num_1x1)


def test_pooling_positions_of_resnet_20() -> None:
    """All networks have the weights of ResNet-20 with shortcuts of option B; one of them is that network."""
    space = load_library("pooling-resnet20")
    costs = space.costs(space.enumerate(), names=("params",))
    assert set(costs["params"]) == {272_474}
    assert space.resolve(space.genes_of({"pooled0": 3, "pooled1": 6})).cost().macs == 40_813_184


def test_resnet_50() -> None:
    choose = {"stage1.depth": 4, "stage2.depth": 6, "depth": 3, "ratio": 0.25, "width": 1.0}
    cost = member(load_library("resnet-elastic"), choose).cost()
    assert cost.params == 25_557_032
    assert round(cost.macs / 1e9, 3) == 4.089


def test_relative_positions_of_autoformer_are_four_tables_a_layer() -> None:
    choose = {"embed": 192, "depth": 12, "heads": 3, "ratio": 4}
    params = member(load_library("autoformer-vit-tiny"), choose).cost().params
    assert params == 5_717_416 + 12 * 4 * (2 * 14 + 2) * 64


@pytest.mark.parametrize(
    ("family", "embed", "heads", "ratios", "millions"),
    [
        (
            "autoformer-vit-small",
            384,
            [6, 6, 5, 7, 5, 5, 5, 6, 6, 7, 7, 6, 7],
            [3, 3.5, 3, 3.5, 4, 4, 4, 4, 4, 4, 4, 3.5, 4],
            22.9,
        ),
        (
            "autoformer-vit-base",
            576,
            [9, 9, 9, 9, 9, 10, 9, 9, 10, 9, 10, 9, 9, 10],
            [3.5, 3.5, 4, 3.5, 4, 3.5, 3.5, 3, 4, 4, 3, 4, 3, 3.5],
            53.7,
        ),
    ],
)
def test_searched_autoformers(family: str, embed: int, heads: list[int], ratios: list[float], millions: float) -> None:
    """The networks found by the authors; parameters as in the abstract of arXiv 2107.00651."""
    choose: dict[str, Any] = {"embed": embed, "depth": len(heads)}
    for layer, (number, ratio) in enumerate(zip(heads, ratios, strict=True)):
        choose |= {f"layer{layer}.heads": number, f"layer{layer}.ratio": ratio}
    # The longest name first: `layer1.heads` also ends `layer11.heads`.
    ordered = dict(sorted(choose.items(), key=lambda item: -len(item[0])))
    assert round(member(load_library(family), ordered).cost().params / 1e6, 1) == millions


def test_bossnet_t0_without_squeeze_excite() -> None:
    """Published: 3.4 billion multiply-adds (README of the authors' repository)."""
    encoding = ["C", "C", "CCCAC", "AAACAAAAA"]
    layers = [(scale, kind) for scale, kinds in enumerate(encoding) for kind in kinds]
    choose: dict[str, Any] = {}
    for number, (scale, kind) in enumerate(layers):
        choose[f"layer{number}.scale"] = scale
        choose[f"layer{number}.operation"] = "convolution" if kind == "C" else "attention"
    space = load_library("hytra")
    genes = [gene.options.index(choose[gene.name]) for gene in space.genes]
    assert round(space.resolve(np.array(genes, np.int16)).cost().macs / 1e9, 1) == 3.4


VIT_RESNAS = {
    "tiny": (
        "vit-resnas-tiny",
        (176, 352, 704),
        [
            [(3, 704), (3, 576), (3, 640), (4, 576), (4, 704)],
            [(10, 1408), (8, 1408), (8, 1280), (8, 1408), (10, 1280), (10, 1024)],
            [(10, 2560), (10, 1792), (10, 2816), (8, 2816), (8, 2560)],
        ],
        1.794,
    ),
    "small": (
        "vit-resnas",
        (220, 440, 880),
        [
            [(5, 880), (5, 880), (7, 800), (5, 720), (5, 720), (5, 720)],
            [(10, 1760), (10, 1440), (10, 1920), (10, 1600), (12, 1600), (12, 1440)],
            [(16, 3200), (12, 3200), (16, 2880), (12, 2240), (14, 2560)],
        ],
        2.9,
    ),
    "medium": (
        "vit-resnas",
        (240, 640, 880),
        [
            [(7, 960), (6, 960), (7, 800), (8, 960), (7, 880), (8, 880), (6, 800)],
            [(10, 1120), (14, 1760), (14, 1920), (16, 1760), (14, 1440), (16, 1760), (16, 1920)],
            [(16, 3200), (10, 3840), (16, 3840), (12, 3200), (16, 3520), (14, 3520)],
        ],
        4.6,
    ),
}


@pytest.mark.parametrize("size", list(VIT_RESNAS))
def test_vit_resnas_finals_lie_in_the_budget_they_were_searched_for(size: str) -> None:
    """Heads and hidden features of the published networks; searched in [0.975, 1] of the budget in 10^9 MACs."""
    family, features, stages, budget = VIT_RESNAS[size]
    least, step, unit, last = (
        ((3, 6, 6), (1, 2, 2), (64, 128, 256), 0)
        if family == "vit-resnas-tiny"
        else ((5, 10, 10), (1, 2, 2), (80, 160, 320), 1)
    )
    choose: dict[str, Any] = {}
    for stage, layers in enumerate(stages):
        choose[f"features{stage + 1}"] = features[stage]
        optional = len(layers) - 3 - last
        names = []
        for pair in range(3):
            choose[f"stage{stage + 1}{pair}.optional"] = int(pair < optional)
            names += [f"stage{stage + 1}{pair}.kept"] + [f"stage{stage + 1}{pair}.layer0"] * (pair < optional)
        names += [f"last{stage + 1}"] * last
        for name, (heads, hidden) in zip(names, layers, strict=True):
            choose[f"{name}.heads"] = (heads - least[stage]) // step[stage]
            choose[f"{name}.mid"] = hidden // unit[stage]
    macs = member(load_library(family), choose).cost().macs
    assert 0.975 * budget * 1e9 <= macs <= budget * 1e9


@pytest.mark.parametrize(("bias", "heads"), list(product([True, False], [1, 4])))
def test_tiny_gpt_has_members_of_every_kind(bias: bool, heads: int) -> None:
    network = member(load_library("gpt-tiny"), {"depth": 2, "bias": bias, "heads": heads, "embed": 32, "ratio": 1})
    attention = [node.params for node in network.nodes if node.block == "self_attention"]
    assert [(params["bias"], params["heads"]) for params in attention] == [(bias, heads)] * 2
