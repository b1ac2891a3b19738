"""A chosen input resolution is the one that is scored: by the supernet, by the extracted network, and in training."""

from __future__ import annotations

import numpy as np
import torch

from search_spaces.elastic.calibrate import recalibrate
from search_spaces.elastic.supernet import Supernet
from search_spaces.space import SearchSpace
from workers.training.bindings import OneNetwork
from workers.training.scoring import score

DOCUMENT = {
    "language_version": 1,
    "name": "two-resolutions",
    "task": {"kind": "image_classification", "classes": 3},
    "input": {"channels": 1, "resolution": {"one_of": [6, 8]}},
    "network": [
        {"block": "conv_bn_act", "name": "stem", "out": 4, "kernel": 3, "stride": 2, "activation": "relu"},
        {"block": "image_head", "name": "head", "out": "=classes"},
    ],
}


def test_extracted_networks_see_the_resolution_the_supernet_sees() -> None:
    space = SearchSpace.from_document(DOCUMENT)
    supernet = Supernet(space, seed=0)
    x = torch.randn(64, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    y = torch.arange(64) % 3
    losses = []
    for genes in space.enumerate():
        found = score(supernet.extract(genes), [(x, y)], [(x, y)])
        with supernet.active(genes), torch.no_grad():
            recalibrate(supernet, [x])
            expected = torch.nn.functional.cross_entropy(supernet.eval()(x), y).item()
        assert np.isclose(found["loss"], expected, atol=1e-6)
        losses.append(found["loss"])
    assert losses[0] != losses[1]


def test_a_network_trained_alone_reads_its_own_resolution() -> None:
    space = SearchSpace.from_document(DOCUMENT)
    small = next(genes for genes in space.enumerate() if space.resolve(genes).input_shape.height == 6)
    network = Supernet(space, seed=0).extract(small)
    sizes: list[tuple[int, ...]] = []
    network.register_forward_pre_hook(lambda _, inputs: sizes.append(tuple(inputs[0].shape[-2:])))
    with OneNetwork(network, network.network.input_shape).bind(small) as module:
        module(torch.randn(2, 1, 8, 8))
    assert sizes == [(6, 6)]
