"""Zeroed norms make residual branches silent, and only those."""

import re

import numpy as np
import torch
from torch.nn import functional

from search_spaces.elastic.plain import build_plain
from search_spaces.elastic.supernet import Supernet
from search_spaces.library_index import load_library
from workers.training.initial import zero_last_norms

SPACE = load_library("digits-mobile")
# The first layer of a stage changes the width or the resolution and has no shortcut; the later ones have one.
LATER_LAYER = re.compile(r"stage\d[._]layer[1-9]")
NUM_LATER_LAYERS = len({found[0] for gene in SPACE.genes if (found := LATER_LAYER.search(gene.name))})


def outputs(net: Supernet, genes: np.ndarray, x: torch.Tensor) -> torch.Tensor:
    with net.active(genes), torch.no_grad():
        return net(x)


def test_layers_after_the_first_of_a_stage_start_silent() -> None:
    net = Supernet(SPACE).eval()
    assert zero_last_norms(net) == NUM_LATER_LAYERS > 0
    x = torch.randn(16, 1, 8, 8)
    deep = SPACE.largest()
    names = [gene.name for gene in SPACE.genes]
    shallow = deep.copy()
    shallow[[i for i, name in enumerate(names) if name.endswith("depth")]] = 0
    shallow = SPACE.canonical(shallow[None])[0]
    assert not np.array_equal(deep, shallow)
    torch.testing.assert_close(outputs(net, deep, x), outputs(net, shallow, x))


def test_every_parameter_of_the_largest_network_can_learn() -> None:
    net = build_plain(SPACE.resolve(SPACE.largest()), seed=0)
    assert zero_last_norms(net) == NUM_LATER_LAYERS
    net.train()
    functional.cross_entropy(net(torch.randn(32, 1, 8, 8)), torch.arange(32) % 10).backward()
    silent = {name for name, p in net.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0}
    # Behind a zeroed scale a branch waits one step for its scale to move; nothing else waits.
    assert not [name for name in silent if not LATER_LAYER.search(name)]
