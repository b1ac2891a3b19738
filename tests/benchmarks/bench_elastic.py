"""How much longer an elastic forward and backward pass takes than the extracted plain network.

Run as a script: `python -m tests.benchmarks.bench_elastic [FAMILY ...] [--write]`; `--write` puts the table of all
families into `results/elastic.md`. Target: ratio at most 1.10. Times are CPU seconds of this process, interleaved, one
thread, so that other load on the machine matters little. A batch is what recipes train with, or less where a pass would
take longer than about a second; families for large images or long texts get smaller ones.
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

from nas_service.methods.recipes.sandwich import SandwichParams
from search_spaces.elastic.plain import PlainNetwork
from search_spaces.elastic.supernet import Supernet
from search_spaces.library_index import LIBRARY, load_library
from tests.contracts.elastic_contract import network_input
from workers.training.environment import keep_memory

RESULTS = Path(__file__).with_name("results") / "elastic.md"
RECIPE_BATCH = SandwichParams().batch_size
LEAST_BATCH = 4
PASS_S = 0.5  # the batch is doubled until a pass takes longer
FAMILY_S = 4.0  # of pairs of passes, as many as that gives
PAIRS = (5, 101)  # fewest and most
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
thread (medians of {least} to {most} interleaved pairs), and the median ratio of the pairs. Target: 1.10.
Command: `OMP_NUM_THREADS=1 python -m tests.benchmarks.bench_elastic --write` (torch {torch}), about five minutes.

Batch: {batch}, as recipes train by default, or the power of two below with which a pass of the plain network takes half
a second to a second, but at least {least_batch}. In both networks gradients are None before a pass; that is not timed.

A lent part of a weight is a leaf of its own, made once, whose gradient is the same part of the widest gradient. The
way back of a lent linear weight adds the product that is its gradient to that part at once, unless a backward pass was
asked for other gradients alone (`search_spaces/elastic/lent_linear.py`). Before, in the same session: 1.12 in place of
1.04 for ViT-ResNAS, 1.05 in place of 1.00 for AutoFormer-B; and as autograd makes the product, transposed in memory,
1.28 and 1.27.

What is lent stands among the plain attributes of a skeleton's layers, where Python finds it at once and not by the
search of `nn.Module.__getattr__`. With it digits-mlp, whose pass takes a third of a millisecond, came from 1.16 to
1.08 (lower quartiles of 8,000 interleaved passes, three processes of each kind in turn: 1.161 to 1.168, and 1.075 to
1.077); larger networks do not notice.

Above the target is mlp-elastic, wide layers on rows of numbers. Where its time went before that (603,650 of 4.2 million
parameters; a plain pass takes 4.6 ms), by taking out one part after the other, medians of 150 to 300 passes:

| part | of a plain pass |
|---|---|
| setting to zero the gradients of the widest weights, 14.8 MB, once a step | 0.12 |
| linear layers as functions written in Python (14) | 0.05 |
| parts of weights and gradients with rows apart, in kernels and caches | 0.04 |
| borrowing 48 tensors on the way forward | 0.04 |
| gradients of small tensors: set to zero and added to, not kept as the kernels return them | 0.03 |

A function whose product is the first write into a gradient, and which sets to zero only what an earlier step wrote,
came to 1.17, and 1.13 without borrowing: still above the target. It was left, for nothing tells whether anyone else
has written into the rest of a gradient (neither `torch.distributed.all_reduce` nor `.data` counts a tensor's version),
and what they wrote would come back in the next step. Huge pages and padded rows changed nothing,
nor did looking at all tensors of a skeleton together instead of one by one.

| family | input | batch | params | elastic ms | plain ms | ratio |
|---|---|---|---|---|---|---|
"""


def step_seconds(module: nn.Module, x: torch.Tensor) -> float:
    """CPU seconds of one forward and backward pass."""
    module.zero_grad(set_to_none=True)
    start = time.process_time()
    module(x).square().mean().backward()
    return time.process_time() - start


def batch_of(plain: PlainNetwork) -> int:
    """Samples of a batch: those of a recipe, or as many as take about a second, at least four."""
    batch = LEAST_BATCH
    while batch < RECIPE_BATCH and step_seconds(plain, network_input(plain.network, batch)) < PASS_S:
        batch *= 2
    return batch


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
    batch = batch_of(plain)
    x = network_input(plain.network, batch)
    spent_s = sum(step_seconds(module, x) for _ in range(2) for module in (supernet, plain))
    num_pairs = int(np.clip(FAMILY_S / (spent_s / 2), *PAIRS))
    pairs = [(step_seconds(supernet, x), step_seconds(plain, x)) for _ in range(num_pairs)]
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
    keep_memory()
    rows = []
    for family in given.families or LIBRARY:
        rows.append("| " + " | ".join(str(value) for value in measure(family).values()) + " |")
        print(rows[-1], flush=True)
    if given.write:
        RESULTS.write_text(
            HEAD.format(
                least=PAIRS[0],
                most=PAIRS[1],
                batch=RECIPE_BATCH,
                least_batch=LEAST_BATCH,
                torch=torch.__version__,
            )
            + "\n".join(rows)
            + "\n"
        )


if __name__ == "__main__":
    main()
