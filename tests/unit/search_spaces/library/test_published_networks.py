"""Networks with published counts: members of the built-in families, and documents of other families.

Parameters are what the authors' code or its well-known reimplementations count (torchvision, timm, transformers,
imgclsmob), to the last one; multiply-accumulates are those of the papers, to the digits given there.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from search_spaces.library_index import library_text, load_library
from search_spaces.network import NetworkCost
from search_spaces.space import SearchSpace
from tests.contracts.space_contract import compiled
from tests.unit.search_spaces.library.test_published_facts import member

FOLDER = Path(__file__).parents[1] / "documents" / "published"


def published(name: str) -> SearchSpace:
    return compiled((FOLDER / f"{name}.yaml").read_text())


def per_stage(**values: tuple[Any, ...]) -> dict[str, Any]:
    """Choices `stageN.NAME` from one value a stage."""
    return {f"stage{stage}.{name}": value for name, row in values.items() for stage, value in enumerate(row)}


@pytest.mark.parametrize(
    ("document", "net", "params", "millions_of_macs"),
    [
        ("resnet", "18", 11_689_512, 1_814),
        ("resnet", "34", 21_797_672, 3_664),
        ("resnet", "50", 25_557_032, 4_089),
        ("resnet", "101", 44_549_160, 7_801),
        ("resnet", "152", 60_192_808, 11_514),
        ("regnet-x-400mf", 16, 5_495_976, 414),
        ("densenet", "121", 7_978_856, 2_834),
        ("densenet", "169", 14_149_480, 3_360),
        ("densenet", "201", 20_013_928, 4_291),
        ("efficientnet", "b0", 5_288_548, 386),
        ("efficientnet", "b1", 7_794_184, 687),
        ("efficientnet", "b2", 9_109_994, 994),
        ("efficientnet", "b3", 12_233_232, 1_827),
        ("efficientnet", "b4", 19_341_616, 4_394),
        ("shufflenet-v2", "x0.5", 1_366_792, 40),
        ("shufflenet-v2", "x1.0", 2_278_604, 145),
        ("shufflenet-v2", "x1.5", 3_503_624, 296),
        ("shufflenet-v2", "x2.0", 7_393_996, 583),
        ("vit", "tiny", 5_717_416, 1_254),
        ("vit", "small", 22_050_664, 4_599),
        ("vit", "base", 86_567_656, 17_564),
        ("vit", "large", 304_326_632, 61_555),
        ("resnext", "resnext-50", 25_028_904, 4_230),
        ("resnext", "resnext-101", 88_791_336, 16_414),
        ("resnext", "wide-50", 68_883_240, 11_398),
        ("resnext", "se-50", 28_088_024, None),
        ("efficientnet-v2", "small", 21_458_488, 8_366),
        ("efficientnet-v2", "medium", 54_139_356, 24_582),
        ("convnext", "tiny", 28_589_128, 4_456),
        ("convnext", "small", 50_223_688, 8_684),
        ("convnext", "base", 88_591_464, 15_355),
        ("swin", "tiny", 28_288_354, 4_491),
        ("swin", "small", 49_606_258, 8_741),
        ("swin", "base", 87_768_224, 15_431),
        ("pvt-v2", "b0", 3_666_760, None),
        ("pvt-v2", "b1", 14_009_000, None),
        ("pvt-v2", "b2", 25_362_856, None),
        ("pvt-v2", "b3", 45_238_696, None),
        ("pvt-v2", "b5", 81_956_008, None),
        ("mlp-mixer", "small", 18_528_264, 3_777),
        ("mlp-mixer", "base", 59_880_472, 12_602),
        ("mlp-mixer", "large", 208_196_168, 44_548),
        ("gmlp", "tiny", 5_867_328, 1_329),
        ("gmlp", "small", 19_422_656, 4_392),
        ("gmlp", "base", 73_075_392, 15_720),
        ("llama", "tiny", 1_100_048_384, None),
        ("llama", "2-7b", 6_738_415_616, None),
        ("llama", "3-8b", 8_030_261_248, None),
        ("llama", "mixtral", 46_702_792_704, None),
        ("gemma-3", "270m", 268_098_176, None),
        ("gemma-3", "1b", 999_885_952, None),
        ("parallel-layers", "gpt-j", 6_050_882_784, None),
        ("parallel-layers", "phi-1.5", 1_418_270_720, None),
        ("parallel-layers", "phi-2", 2_779_683_840, None),
        ("gpt-2", "small", 124_439_808, None),
        ("gpt-2", "medium", 354_823_168, None),
        ("gpt-2", "large", 774_030_080, None),
        ("gpt-2", "xl", 1_557_611_200, None),
        # trainable_parameters of NAS-Bench-101: its example, and the ends of its range
        ("nasbench101", "example", 2_694_282, None),
        ("nasbench101", "least", 227_274, None),
        ("nasbench101", "most", 49_979_274, None),
    ],
)
def test_documents_of_published_networks(document: str, net: Any, params: int, millions_of_macs: int | None) -> None:
    space = published(document)
    cost = member(space, {space.genes[0].name: net}).cost()
    assert cost.params == params
    assert millions_of_macs is None or round(cost.macs / 1e6) == millions_of_macs


@pytest.mark.parametrize(
    ("net", "features", "params"),
    [
        ("tiny", 128, 4_385_920),
        ("mini", 256, 11_170_560),
        ("small", 512, 28_763_648),
        ("medium", 512, 41_373_184),
        ("base", 768, 109_482_240),
    ],
)
def test_bert_with_its_segments_and_without_the_classifier(net: str, features: int, params: int) -> None:
    segments, classifier = 2 * features, 2 * features + 2
    assert member(published("bert"), {"net": net}).cost().params + segments - classifier == params


@pytest.mark.parametrize(
    ("net", "plain", "normed", "millions_of_macs"),
    [
        ("11", 132_863_336, 132_868_840, 7_609),
        ("13", 133_047_848, 133_053_736, 11_308),
        ("16", 138_357_544, 138_365_992, 15_470),
        ("19", 143_667_240, 143_678_248, 19_632),
    ],
)
def test_vgg_without_and_with_batch_norm(net: str, plain: int, normed: int, millions_of_macs: int) -> None:
    for norm, params in ((0, plain), (1, normed)):
        cost = member(published("vgg"), {"net": net, "norm": norm}).cost()
        assert cost.params == params
        assert round(cost.macs / 1e6) == millions_of_macs


@pytest.mark.parametrize("width", [16, 64])
def test_u_net_by_its_own_arithmetic(width: int) -> None:
    sides = [100, 50, 25, 13, 7]
    widths = [width * 2**level for level in range(5)]
    rows = []  # side, channels in and out, kernel, batch norm
    for level, side in enumerate(sides):
        before = widths[level - 1] if level else 3
        rows += [(side, before, widths[level], 3, True), (side, widths[level], widths[level], 3, True)]
    for level in (3, 2, 1, 0):
        narrow = widths[level]
        rows += [(sides[level], 2 * narrow, narrow, 1, False), (sides[level], 2 * narrow, narrow, 3, True)]
        rows += [(sides[level], narrow, narrow, 3, True)]
    cost = member(published("u-net"), {"width": width}).cost()
    assert cost.macs == sum(side**2 * a * b * k**2 for side, a, b, k, _ in rows) + 2 * width
    assert cost.params == sum(a * b * k**2 + (2 * b if norm else b) for _, a, b, k, norm in rows) + 2 * width + 2


PROXYLESS = {
    "gpu": "k5_e3 . . . | k7_e3 . . k3_e3 | k7_e6 . . k5_e3 | k5_e6 . k3_e3 k5_e3 | k7_e6 k7_e6 k7_e6 k5_e6 | k7_e6",
    "cpu": "k3_e6 k3_e3 k3_e3 k3_e3 | k3_e6 k3_e3 k3_e3 k5_e3 | k3_e6 . . k3_e3 | k5_e6 k3_e3 k3_e3 k3_e3 | "
    "k5_e6 k5_e3 k5_e3 k3_e3 | k5_e6",
    "mobile": "k5_e3 k3_e3 . . | k7_e3 k3_e3 k5_e3 k5_e3 | k7_e6 k5_e3 k5_e3 k5_e3 | k5_e6 k5_e3 k5_e3 k5_e3 | "
    "k7_e6 k7_e6 k7_e3 k7_e3 | k7_e6",
}
FBNET = {
    "a": ". | k3_e3 k3_e1 . . | k5_e6 k3_e3 k5_e1 k3_e3 | k5_e6 k5_e3 k5_e1_g2 k5_e6 | "
    "k3_e6 k5_e1_g2 k5_e1 k3_e1_g2 | k5_e6 k5_e6 k5_e3 k5_e6 | k5_e6",
    "c": "k3_e1 | k3_e6 . k3_e1 k3_e1 | k5_e6 k5_e3 k5_e6 k3_e6 | k5_e6 k5_e3 k5_e6 k5_e6 | "
    "k5_e6 k5_e6 k5_e6 k5_e3 | k5_e6 k5_e6 k5_e6 k5_e6 | k3_e6",
}


def operations(text: str) -> dict[str, Any]:
    """Choices of the operation of each layer, from stages apart by | and `.` for a layer left out."""
    return {
        f"stage{stage}.layer{layer}.op": "skip" if op == "." else op
        for stage, row in enumerate(text.split("|"))
        for layer, op in enumerate(row.split())
    }


@pytest.mark.parametrize(
    ("target", "ops", "params", "millions_of_macs"),
    [
        ("gpu", "gpu", 7_119_848, 465),
        ("cpu", "cpu", 4_361_648, 439),
        ("mobile", "mobile", 4_080_512, 320),
        ("mobile14", "mobile", 6_857_568, 581),
    ],
)
def test_proxylessnas(target: str, ops: str, params: int, millions_of_macs: int) -> None:
    cost = member(published("proxylessnas"), {"target": target} | operations(PROXYLESS[ops])).cost()
    assert cost.params == params
    assert round(cost.macs / 1e6) == millions_of_macs


def test_fbnet() -> None:
    """FBNet-A and -C: 249 and 375 million in the paper, 244.5 and 378.2 in the authors' later list.

    What is built here is timm's: blocks of expansion 1 keep their first 1x1 convolution. Without the three that FBNet-C
    has, and with what its last pooling reads, it has the authors' number.
    """
    smallest = member(published("fbnet"), {"last": 1504} | operations(FBNET["a"])).cost()
    assert round(smallest.params / 1e6, 1) == 4.3
    assert smallest.macs == pytest.approx(244.5e6, rel=0.025)
    largest = member(published("fbnet"), {"last": 1984} | operations(FBNET["c"])).cost()
    assert largest.params == 5_572_200
    first_convolutions = 16**2 * 112**2 + 2 * 24**2 * 56**2
    assert round((largest.macs - first_convolutions + 1984 * 7**2) / 1e6, 1) == 378.2


def test_fbnet_and_transnas_bench_101_have_their_published_sizes() -> None:
    assert published("fbnet").cardinality == 2 * 9**16 * 8**6  # six layers change the shape: nothing cannot stand there
    assert published("transnas-macro").cardinality == 3_256
    assert published("transnas-micro").cardinality == 4_096


def test_nas_bench_macro_is_what_its_authors_build() -> None:
    """Against train/model.py of github.com/xiusu/NAS-Bench-Macro, layer by layer, in its own arithmetic."""

    def convolution(
        channels: int, out: int, kernel: int, stride: int, side: int, groups: int = 1
    ) -> tuple[int, int, int]:
        side = -(-side // stride)
        weights = channels // groups * out * kernel**2
        return weights + 2 * out, weights * side**2, side

    def counted(labels: list[str]) -> tuple[int, int]:
        layers, channels, side = [convolution(3, 32, 3, 1, 32)], 32, 32
        for place, label in enumerate(labels):
            stride = 2 if place in (0, 2, 5) else 1
            out = channels * stride
            if label != "identity":
                expansion, kernel = {"mb3_k3": (3, 3), "mb6_k5": (6, 5)}[label]
                mid = channels * expansion
                layers.append(convolution(channels, mid, 1, 1, side))
                layers.append(convolution(mid, mid, kernel, stride, side, mid))
                layers.append(convolution(mid, out, 1, 1, layers[-1][2]))
            elif stride == 2:
                layers.append(convolution(channels, out, 1, 2, side))
            channels, side = out, layers[-1][2]
        layers.append(convolution(channels, 1280, 1, 1, side))
        return sum(layer[0] for layer in layers) + 12_810, sum(layer[1] for layer in layers) + 12_800

    space = load_library("nas-bench-macro")
    genes = space.sample(300, np.random.default_rng(0))
    costs = space.costs(genes)
    for number, row in enumerate(genes):
        labels = [str(gene.options[option]) for gene, option in zip(space.genes, row, strict=True)]
        assert (costs["params"][number], costs["macs"][number]) == counted(labels)


@pytest.mark.parametrize(("depth", "params"), [(3, 269_722), (5, 464_154), (7, 658_586), (9, 853_018)])
def test_resnet_20_32_44_and_56(depth: int, params: int) -> None:
    assert member(load_library("resnet-cifar"), {"depth": depth, "ratio": 1.0}).cost().params == params


@pytest.mark.parametrize(
    ("factor", "params", "millions_of_macs"),
    [(0.5, 1_968_680, 97), (0.75, 2_636_424, 209), (1.0, 3_504_872, 301), (1.4, 6_108_776, 582)],
)
def test_mobilenet_v2(factor: float, params: int, millions_of_macs: int) -> None:
    choose = per_stage(depth=(2, 3, 4, 3, 3)) | {"kernel": 3, "expansion": 6, "factor": factor}
    cost = member(load_library("mobilenetv2-elastic"), choose).cost()
    assert cost.params == params
    assert round(cost.macs / 1e6) == millions_of_macs


@pytest.mark.parametrize(
    ("choose", "params", "millions_of_macs"),
    [
        (
            per_stage(
                width=(24, 40, 80, 112, 160, 320),
                depth=(2, 3, 4, 2, 3, 1),
                kernel=(3, 5, 3, 3, 5, 3),
                expansion=(6, 3, 6, 6, 6, 6),
                se_ratio=(0.0, 0.25, 0.0, 0.25, 0.25, 0.0),
            ),
            3_887_038,
            312,
        ),
        (
            per_stage(
                width=(24, 40, 80, 96, 192, 320),
                depth=(3, 3, 3, 2, 4, 1),
                kernel=(3, 5, 5, 3, 5, 3),
                expansion=(3, 3, 6, 6, 6, 6),
                se_ratio=(0.0,) * 6,
            ),
            4_383_312,
            314,
        ),
    ],
    ids=["A1", "B1"],
)
def test_mnasnet(choose: dict[str, Any], params: int, millions_of_macs: int) -> None:
    cost = member(load_library("mnasnet"), choose).cost()
    assert cost.params == params
    assert round(cost.macs / 1e6) == millions_of_macs


@pytest.mark.parametrize(
    ("widths", "params"),
    [((8, 8, 8, 8, 8), 11_714), ((8, 8, 16, 40, 40), 107_826), ((64, 64, 64, 64, 64), 713_674)],
)
def test_nats_bench_sizes(widths: tuple[int, ...], params: int) -> None:
    choose = {f"width{place}": width for place, width in enumerate(widths)}
    assert member(load_library("nats-size"), choose).cost().params == params


def test_gpt_2_small_is_a_member_of_gpt_elastic() -> None:
    choose = {"embed": 768, "depth": 12, "heads": 12, "ratio": 4, "bias": True}
    space = load_library("gpt-elastic")
    network = member(space, choose)
    assert network.cost().params == 124_439_808
    assert network.nodes[0].key == network.nodes[-1].key


def test_the_autoformer_that_its_authors_found_at_tiny_size() -> None:
    """Published as 5.7 (paper) and 5.8 (repository) million parameters: those without relative positions."""
    text = library_text("autoformer-vit-tiny").replace("{one_of: [3.5, 4]}", "{one_of: [3, 3.5, 4]}")
    ratios = [3.5, 3.5, 3, 3.5, 3, 3, 4, 4, 3.5, 4, 3.5, 4, 3.5]
    choose: dict[str, Any] = {f"layer{layer}.ratio": ratio for layer, ratio in enumerate(ratios)}
    ordered = dict(sorted(choose.items(), key=lambda item: -len(item[0])))
    heads = {"layer10.heads": 4, "heads": 3}
    params = member(compiled(text), {"embed": 192, "depth": 13} | ordered | heads).cost().params
    assert params == 5_768_104 + 13 * 4 * (2 * 14 + 2) * 64


def once_for_all(kernels: list[int], expansions: list[int], depths: list[int], side: int) -> tuple[int, int]:
    """(parameters, multiply-accumulates) of ofa_mbv3 of width 1.0 in github.com/mit-han-lab/once-for-all, by hand."""

    def multiple_of_8(number: float) -> int:
        rounded = max(8, int(number + 4) // 8 * 8)
        return rounded + 8 if rounded < 0.9 * number else rounded

    rows = [(3, 16, 3, 1, side // 2), (16, 16, 3, 16, side // 2), (16, 16, 1, 1, side // 2)]
    side, channels, squeezes, layers = side // 2, 16, [], iter(zip(kernels, expansions, strict=True))
    stages = zip((24, 40, 80, 112, 160), (2, 2, 2, 1, 2), (False, True, False, True, True), depths, strict=True)
    for out, stride, squeeze, depth in stages:
        for layer, (kernel, expansion) in zip(range(depth), layers, strict=False):
            mid = multiple_of_8(channels * expansion)
            rows.append((channels, mid, 1, 1, side))
            side = -(-side // stride) if layer == 0 else side
            rows += [(mid, mid, kernel, mid, side), (mid, out, 1, 1, side)]
            squeezes += [(mid, multiple_of_8(mid // 4))] * squeeze
            channels = out
    rows.append((160, 960, 1, 1, side))
    head = 960 * 1280 + 1280 * 1000
    params = sum(a // groups * b * k**2 + 2 * b for a, b, k, groups, _ in rows) + head + 1000
    macs = sum(a // groups * b * k**2 * pixels**2 for a, b, k, groups, pixels in rows) + head
    return params + sum(2 * a * b + a + b for a, b in squeezes), macs + sum(2 * a * b for a, b in squeezes)


def test_once_for_all_is_what_its_authors_build() -> None:
    space = load_library("mobilenetv3-ofa")
    # MobileNetV3-Large with the nearest of the space's expansions, which are 4, 2.5 and 2.3 in three of its layers
    kernels, expansions = [3, 3, 5, 5, 5, 3, 3, 3, 3, 3, 3, 5, 5, 5], [4, 3, 3, 3, 3, 6, 3, 3, 3, 6, 6, 6, 6, 6]
    like_large = {"resolution": 224} | {f"stage{i}.depth": depth for i, depth in enumerate((2, 3, 4, 2, 3))}
    places = [f"stage{i}.layer{j}" for i, depth in enumerate((2, 3, 4, 2, 3)) for j in range(depth)]
    for place, kernel, expansion in zip(places, kernels, expansions, strict=True):
        like_large |= {f"{place}.kernel": kernel, f"{place}.expansion": expansion}
    rows = [space.genes_of(like_large), space.largest(), *space.sample(60, np.random.default_rng(0))]
    costs = space.costs(np.stack(rows), names=("params", "macs"))
    for number, row in enumerate(rows):
        choices = space.architecture(row).choices
        depths = [choices[f"stage{i}.depth"] for i in range(5)]
        layers = [f"stage{i}.layer{j}" for i in range(5) for j in range(depths[i])]
        kernels, expansions = ([choices[f"{layer}.{name}"] for layer in layers] for name in ("kernel", "expansion"))
        by_hand = once_for_all(kernels, expansions, depths, choices["resolution"])
        assert (costs["params"][number], costs["macs"][number]) == by_hand
    assert costs["params"][0] == pytest.approx(5_483_032, rel=0.01)
    assert costs["macs"][0] == pytest.approx(217e6, rel=0.03)


MOBILENET_V3 = {
    # Tables 1 and 2 of Howard et al. 2019: kernel, mid, out, squeeze-excite, activation, stride.
    "large": (
        [
            (3, 16, 16, 0, "relu", 1), (3, 64, 24, 0, "relu", 2), (3, 72, 24, 0, "relu", 1),
            (5, 72, 40, 1, "relu", 2), (5, 120, 40, 1, "relu", 1), (5, 120, 40, 1, "relu", 1),
            (3, 240, 80, 0, "hswish", 2), (3, 200, 80, 0, "hswish", 1), (3, 184, 80, 0, "hswish", 1),
            (3, 184, 80, 0, "hswish", 1), (3, 480, 112, 1, "hswish", 1), (3, 672, 112, 1, "hswish", 1),
            (5, 672, 160, 1, "hswish", 2), (5, 960, 160, 1, "hswish", 1), (5, 960, 160, 1, "hswish", 1),
        ],
        960, 1280,
    ),
    "small": (
        [
            (3, 16, 16, 1, "relu", 2), (3, 72, 24, 0, "relu", 2), (3, 88, 24, 0, "relu", 1),
            (5, 96, 40, 1, "hswish", 2), (5, 240, 40, 1, "hswish", 1), (5, 240, 40, 1, "hswish", 1),
            (5, 120, 48, 1, "hswish", 1), (5, 144, 48, 1, "hswish", 1), (5, 288, 96, 1, "hswish", 2),
            (5, 576, 96, 1, "hswish", 1), (5, 576, 96, 1, "hswish", 1),
        ],
        576, 1024,
    ),
}  # fmt: skip


@pytest.mark.parametrize(("size", "params", "millions_of_macs"), [("large", 5_483_032, 217), ("small", 2_542_856, 57)])
def test_mobilenet_v3(size: str, params: int, millions_of_macs: int) -> None:
    rows, last, hidden = MOBILENET_V3[size]
    cost = mobilenet_v3(rows, last, hidden)
    assert cost.params == params
    assert round(cost.macs / 1e6) == millions_of_macs


def mobilenet_v3(rows: list[tuple[Any, ...]], last: int, hidden: int) -> NetworkCost:
    """The cost of a network of rows, as a document without choices but one of a single option."""
    body = [
        {
            "block": "mbconv",
            "kernel": kernel,
            "mid": mid,
            "out": out,
            "se_ratio": 0.25 * squeeze,
            "activation": activation,
            "stride": stride,
        }
        for kernel, mid, out, squeeze, activation, stride in rows
    ]
    ends = {"kernel": 1, "activation": "hswish"}
    space = SearchSpace.from_document(
        {
            "language_version": 1,
            "name": "mobilenet-v3",
            "task": {"kind": "image_classification", "classes": 1000},
            "input": {"channels": 3, "resolution": {"one_of": [224]}},
            "network": [
                {"block": "conv_bn_act", "out": 16, "stride": 2, "activation": "hswish"},
                *body,
                {"block": "conv_bn_act", "out": last, **ends},
                {"block": "image_head", "out": 1000, "hidden": hidden},
            ],
        }
    )
    return space.resolve(space.smallest()).cost()
