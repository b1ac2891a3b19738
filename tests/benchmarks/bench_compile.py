"""Whether torch.compile pays for a network that is trained alone, as finalists are: seconds to compile and per step.

Run as a script: `python -m tests.benchmarks.bench_compile [FAMILY ...] [--write]`; needs a C++ compiler. Supernets and
scoring are left out: each architecture is another graph there, and compiling one takes longer than using it once.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import torch
from torch import nn
from torch.nn import functional

from search_spaces.elastic.plain import build_plain
from search_spaces.library_index import load_library
from tests.contracts.elastic_contract import network_input

FAMILIES = ("digits-mobile", "digits-vit")
BATCH = 64
STEPS = 15
RESULTS = Path(__file__).with_name("results") / "compile.md"
HEAD = """# torch.compile for a network trained alone

The largest architecture of each family, forward and backward passes of {batch} samples on one CPU thread. `compile`:
CPU seconds of the first compiled step, C++ compiler included. Steps: CPU milliseconds, median of {steps}, interleaved.
`pays after`: steps until the time of compiling is saved; digits train 25 steps an epoch.
Command, with `TORCHINDUCTOR_FORCE_DISABLE_CACHES=1` so that nothing compiled before is found:
`OMP_NUM_THREADS=1 python -m tests.benchmarks.bench_compile --write` (torch {torch}).

| family | compile s | eager ms | compiled ms | eager / compiled | pays after |
|---|---|---|---|---|---|
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("families", nargs="*", default=list(FAMILIES))
    parser.add_argument("--write", action="store_true", help=f"write the table to {RESULTS.name}")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    lines = []
    for family in arguments.families:
        lines.append(measure(family))
        print(lines[-1], flush=True)
    if arguments.write:
        head = HEAD.format(batch=BATCH, steps=STEPS, torch=torch.__version__)
        RESULTS.write_text(head + "\n".join(lines) + "\n")


def measure(family: str) -> str:
    """A row of the table."""
    space = load_library(family)
    network = space.resolve(space.largest())
    x = network_input(network, batch=BATCH)
    eager = build_plain(network, seed=0).train()
    compiled = torch.compile(build_plain(network, seed=0).train())
    step(eager, x)
    compile_s = cpu_s(lambda: step(compiled, x))
    pairs = [(cpu_s(lambda: step(eager, x)), cpu_s(lambda: step(compiled, x))) for _ in range(STEPS)]
    plain_s, fast_s = (median(times) for times in zip(*pairs, strict=True))
    after = f"{compile_s / (plain_s - fast_s):,.0f} steps" if fast_s < plain_s else "never"
    ratio = plain_s / fast_s
    return f"| {family} | {compile_s:.0f} | {1e3 * plain_s:.1f} | {1e3 * fast_s:.1f} | {ratio:.2f} | {after} |"


def step(module: nn.Module, x: torch.Tensor) -> None:
    """One forward and backward pass."""
    module.zero_grad(set_to_none=True)
    functional.cross_entropy(module(x), torch.zeros(len(x), dtype=torch.int64)).backward()


def cpu_s(work: Callable[[], None]) -> float:
    """CPU seconds of this process and of the compilers it has started and waited for."""
    before = _spent_s()
    work()
    return _spent_s() - before


def _spent_s() -> float:
    children = os.times()
    return time.process_time() + children.children_user + children.children_system


if __name__ == "__main__":
    main()
