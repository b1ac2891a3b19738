"""How much longer an elastic forward and backward pass takes than the extracted plain network.

Run as a script: `python -m tests.benchmarks.bench_elastic [FAMILY ...] [--write]`; `--write` puts the table of all
families into `results/elastic.md`. Target: ratio at most 1.10. Times are CPU seconds of this process, interleaved, one
thread, so that other load on the machine matters little. Families for large images or long texts get smaller ones.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from torch import nn

from search_spaces.elastic.supernet import Supernet
from search_spaces.library_index import LIBRARY, load_library
from tests.contracts.elastic_contract import network_input

REPEATS = 21
RESULTS = Path(__file__).with_name("results") / "elastic.md"
DEFAULT_BATCH = 16
BATCHES = dict.fromkeys([name for name in LIBRARY if name.startswith("digits-")], 64) | {
    "mlp-elastic": 256,
    "table-transformer": 64,
    "resnet-elastic": 2,
    "mobilenetv3-ofa": 4,
    "mobilenetv2-elastic": 4,
    "mnasnet": 4,
    "proxyless-mobile": 4,
    "elastic-vit": 4,
    "hytra": 1,
    "vit-resnas": 1,
    "vit-resnas-tiny": 2,
    "autoformer-vit-tiny": 4,
    "autoformer-vit-small": 2,
    "autoformer-vit-base": 1,
    "gpt-elastic": 1,
}
SIZES: dict[str, dict[str, int]] = {
    "autoformer-vit-tiny": {"resolution": 112},
    "autoformer-vit-small": {"resolution": 112},
    "autoformer-vit-base": {"resolution": 112},
    "gpt-elastic": {"length": 128},
    "hytra": {"resolution": 128},
    "mnasnet": {"resolution": 112},
    "mobilenetv2-elastic": {"resolution": 112},
    "resnet-elastic": {"resolution": 112},
    "vit-resnas": {"resolution": 112},
    "vit-resnas-tiny": {"resolution": 112},
}
HEAD = """# Elastic against extracted networks

One random architecture of each family (seed 0), one forward and backward pass in training mode: CPU milliseconds on one
thread (median of {repeats} interleaved pairs), and the median ratio of the pairs. Target: 1.10.
Command: `OMP_NUM_THREADS=1 python -m tests.benchmarks.bench_elastic --write` (torch {torch}).

What the ratio is made of: a lent tensor costs about 4 microseconds on the way forward (a view), and on the way back its
gradient is written into one of the size of the widest weights, whatever the batch. So it is above the target where a
pass takes hardly longer than that (rows of numbers, the smallest transformers) and where few tokens meet many weights
(AutoFormer-B on one small image, wide linear layers); with more images or tokens it falls. One `as_strided` view in
place of a slice for each dimension was tried, interleaved with the slices: 1.11 to 1.12 (digits-vit), 1.06 to 1.07
(digits-vit-stages), 1.29 to 1.32 (mlp-elastic), no gain.

| family | input | batch | params | elastic ms | plain ms | ratio |
|---|---|---|---|---|---|---|
"""


def step_seconds(module: nn.Module, x: torch.Tensor) -> float:
    """CPU seconds of one forward and backward pass."""
    module.zero_grad(set_to_none=True)
    start = time.process_time()
    module(x).square().mean().backward()
    return time.process_time() - start


def measure(family: str) -> dict[str, Any]:
    """Median times of a random architecture, elastic and extracted, and the median ratio of paired passes."""
    space = load_library(family)
    if family in SIZES:
        size = SIZES[family]
        pixels = size.get("resolution")
        space = space.bind(input={"height": pixels, "width": pixels} if pixels else size)
    supernet = Supernet(space).train()
    genes = space.sample(1, np.random.default_rng(0))[0]
    supernet.set_active(genes)
    plain = supernet.extract(genes).train()
    batch = BATCHES.get(family, DEFAULT_BATCH)
    x = network_input(plain.network, batch)
    for _ in range(3):
        step_seconds(supernet, x)
        step_seconds(plain, x)
    pairs = [(step_seconds(supernet, x), step_seconds(plain, x)) for _ in range(REPEATS)]
    return {
        "family": family,
        "input": "x".join(map(str, x.shape[1:])),
        "batch": batch,
        "params": f"{plain.network.cost().params:,}",
        "elastic_ms": f"{median(elastic for elastic, _ in pairs) * 1e3:.2f}",
        "plain_ms": f"{median(alone for _, alone in pairs) * 1e3:.2f}",
        "ratio": f"{median(elastic / alone for elastic, alone in pairs):.3f}",
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("families", nargs="*", choices=[*LIBRARY, []], default=[])
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    for family in given.families or LIBRARY:
        rows.append("| " + " | ".join(str(value) for value in measure(family).values()) + " |")
        print(rows[-1], flush=True)
    if given.write:
        RESULTS.write_text(HEAD.format(repeats=REPEATS, torch=torch.__version__) + "\n".join(rows) + "\n")


if __name__ == "__main__":
    main()
