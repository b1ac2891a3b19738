"""Processor time of one ask and one tell of every strategy with a long history, on spaces of the library.

    python tests/benchmarks/bench_asks.py --out tests/benchmarks/results/strategy_asks

Two objectives, one of them the MACs. The first trials are random and told; then 40 are asked, evaluated and told.
Wrapped strategies show the time of what they wrap; ``optuna`` sees at most its ``max_history``. Set OMP_NUM_THREADS=1.
"""

import argparse
import time
from pathlib import Path

import numpy as np

from nas_service.methods.strategies.base import Evaluation, Problem, Proposal
from nas_service.methods.strategies.registry import STRATEGIES
from search_spaces.library_index import load_library

PARAMS = {
    "flow": {"steps": [{"strategy": {"name": "nsga2"}, "stalled": 50}, {"strategy": {"name": "lamoo"}}]},
    "warm_start": {"searches": ["none"], "strategy": {"name": "nsga2"}},
}
LEFT_OUT = {"fixed", "uniform_scaling", "grid"}  # lists that are worked off


def history_of(space, count):
    """Distinct random architectures (count, G) and their objectives (count, 2): a smooth loss, and MACs."""
    rng = np.random.default_rng(0)
    rows = space.sample(count * 5 // 4, rng)
    rows = rows[np.sort(np.unique(rows, axis=0, return_index=True)[1])][:count]
    weights = rng.standard_normal(space.encode_one_hot(rows[:1]).shape[1])
    return rows, weights


def measure(space, name, count):
    """p50 and p95 of an ask and the mean of a tell, in milliseconds; how many were told before."""
    rows, weights = history_of(space, count)
    costs = space.costs(rows)["macs"].astype(float)
    losses = space.encode_one_hot(rows) @ weights
    problem = Problem(
        space, 2, 0, lambda genes: np.ones(len(genes), dtype=bool), {}, space.costs, ("loss", "macs"), (False, False)
    )  # fmt: skip
    kind = STRATEGIES[name]
    strategy = kind(problem, kind.Params.model_validate(PARAMS.get(name, {})))
    start = time.process_time()
    for number, row in enumerate(rows):
        strategy.tell(Evaluation(number, row, (float(losses[number]), costs[number]), "succeeded"))
    told_s = time.process_time() - start
    asks = []
    for number in range(len(rows), len(rows) + 40):
        start = time.process_time()
        answer = strategy.ask(number, [])
        asks.append(time.process_time() - start)
        if not isinstance(answer, Proposal):
            break
        values = (
            float(space.encode_one_hot(answer.genes[None])[0] @ weights),
            float(space.costs(answer.genes[None])["macs"][0]),
        )
        strategy.tell(Evaluation(number, answer.genes, values, "succeeded", answer.token, answer.fidelity))
    p50, p95 = np.percentile(np.array(asks) * 1000, [50, 95])
    return p50, p95, told_s / len(rows) * 1000, len(rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--spaces", default="nasbench201-cell,digits-mobile,mobilenetv3-ofa")
    parser.add_argument("--strategies", default=",".join(name for name in STRATEGIES if name not in LEFT_OUT))
    parser.add_argument("--told", type=int, default=10_000)
    parser.add_argument("--out", help="prefix of the .md file to write")
    options = parser.parse_args()
    lines = ["| strategy | space | told | ask p50 ms | ask p95 ms | tell ms |", "|---|---|---|---|---|---|"]
    for space_name in options.spaces.split(","):
        space = load_library(space_name)
        for name in options.strategies.split(","):
            p50, p95, tell, told = measure(space, name, options.told)
            lines.append(f"| {name} | {space_name} | {told} | {p50:.1f} | {p95:.1f} | {tell:.3f} |")
            print(lines[-1], flush=True)
    if options.out:
        text = "Processor time, one core, one ask at a time, two objectives.\n\n" + "\n".join(lines) + "\n"
        Path(options.out + ".md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
