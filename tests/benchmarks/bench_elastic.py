"""How much longer an elastic forward and backward pass takes than the extracted plain network.

Run as a script: `python -m tests.benchmarks.bench_elastic`. Target: ratio at most 1.10. Times are
CPU seconds of this process, interleaved, one thread, so that other load on the machine matters little.
"""

from __future__ import annotations

import json
import time
from statistics import median

import numpy as np
import torch
from torch import nn

from search_spaces.elastic.supernet import Supernet
from search_spaces.library_index import load_library
from tests.contracts.elastic_contract import network_input

REPEATS = 15
CASES = (
    ("digits-mobile", 64),
    ("digits-vit", 64),
    ("digits-hybrid", 64),
    ("digits-vit-stages", 64),
    ("gpt-tiny", 16),
    ("resnet-cifar", 16),
    ("mobilenetv3-ofa", 4),
)


def step_seconds(module: nn.Module, x: torch.Tensor) -> float:
    """CPU seconds of one forward and backward pass."""
    module.zero_grad(set_to_none=True)
    start = time.process_time()
    module(x).square().mean().backward()
    return time.process_time() - start


def measure(family: str, batch: int) -> dict[str, float | str | int]:
    """Median times of a random architecture, elastic and extracted, and the median ratio of paired passes."""
    space = load_library(family)
    supernet = Supernet(space).train()
    genes = space.sample(1, np.random.default_rng(0))[0]
    supernet.set_active(genes)
    plain = supernet.extract(genes).train()
    x = network_input(plain.network, batch)
    for _ in range(3):
        step_seconds(supernet, x)
        step_seconds(plain, x)
    pairs = [(step_seconds(supernet, x), step_seconds(plain, x)) for _ in range(REPEATS)]
    return {
        "family": family,
        "batch": batch,
        "elastic_ms": round(median(elastic for elastic, _ in pairs) * 1e3, 3),
        "plain_ms": round(median(alone for _, alone in pairs) * 1e3, 3),
        "ratio": round(median(elastic / alone for elastic, alone in pairs), 3),
    }


def main() -> None:
    torch.set_num_threads(1)
    for family, batch in CASES:
        print(json.dumps(measure(family, batch)))


if __name__ == "__main__":
    main()
