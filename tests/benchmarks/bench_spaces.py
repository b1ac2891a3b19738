"""Speed of search-space operations on one core: `python tests/benchmarks/bench_spaces.py [FAMILY ...]`."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable

import numpy as np

from search_spaces.library_index import LIBRARY, load_library


def rate(action: Callable[[], object], count: int) -> float:
    """Median architectures per second over five repetitions, after one to warm up."""
    action()
    times = []
    for _ in range(5):
        begin = time.perf_counter()
        action()
        times.append(time.perf_counter() - begin)
    return count / statistics.median(times)


def main() -> None:
    n = 8_192
    print(f"{'family':<22}{'costs/s':>12}{'sample/s':>12}{'mutate/s':>12}{'crossover/s':>12}")
    for name in sys.argv[1:] or ["mobilenetv3-ofa", "nasbench201-cell", "nasnet-cell", "digits-mobile"]:
        if name not in LIBRARY:
            sys.exit(f"no family {name}; known: {', '.join(LIBRARY)}")
        space, rng = load_library(name), np.random.default_rng(0)
        genes = space.sample(n, rng)
        rates = [
            rate(lambda space=space, genes=genes: space.costs(genes), n),
            rate(lambda space=space, rng=rng: space.sample(n, rng), n),
            rate(lambda space=space, genes=genes, rng=rng: space.mutate(genes, rng), n),
            rate(lambda space=space, genes=genes, rng=rng: space.crossover(genes, genes[::-1], rng), n),
        ]
        print(f"{name:<22}" + "".join(f"{value:>12,.0f}" for value in rates))


if __name__ == "__main__":
    main()
