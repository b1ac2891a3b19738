"""Seconds to write a network as ONNX by torch's two exporters: `python tests/benchmarks/bench_onnx.py [SPACE ...]`."""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np
import torch

from search_spaces.elastic.plain import build_plain
from search_spaces.library_index import load_library
from workers.measure.onnx_file import write_analysed, write_traced
from workers.measure.torch_runner import example_input

NUM_NETWORKS = 8
SPACES = ("digits-mobile", "resnet-cifar", "digits-vit", "mobilenetv3-ofa")


def seconds(write, module, example, path: Path) -> float:
    start = time.perf_counter()
    reason = write(module, example, path)
    if reason is not None:
        raise RuntimeError(reason)
    return time.perf_counter() - start


def main(names: list[str]) -> None:
    torch.set_num_threads(1)
    print(f"{'space':24}{'analysed_s':>12}{'traced_s':>10}{'ratio':>7}   (medians of {NUM_NETWORKS} networks, seed 0)")
    for name in names:
        space = load_library(name)
        times = []
        with tempfile.TemporaryDirectory() as folder:
            for i, genes in enumerate(space.sample(NUM_NETWORKS + 1, np.random.default_rng(0))):
                network = space.resolve(genes)
                module, example = build_plain(network, seed=0).eval(), example_input(network, 2, seed=0)
                pair = [seconds(write, module, example, Path(folder) / "m") for write in (write_analysed, write_traced)]
                if i:  # the first one imports the exporters
                    times.append(pair)
        slow, fast = (median(pair[k] for pair in times) for k in (0, 1))
        print(f"{name:24}{slow:12.3f}{fast:10.3f}{slow / fast:7.1f}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:] or list(SPACES))
