"""Strategies on a table, offline: normalised hypervolume, log(1 - HV) and IGD+ after N evaluations, over seeds.

    python tests/benchmarks/bench_strategies.py --out tests/benchmarks/results/strategies

Without ``--table`` the packaged NAS-Bench-201 is used and ``--problem error_column:cost_column`` names its columns (the
first is an accuracy in percent). With ``--table FILE.parquet|csv`` the same columns are read from a file whose ``arch``
column is the official cell string. Every evaluation is a distinct architecture; ``--parallelism`` asks with that many
pending. ``--known-cost`` is the track in which the second objective of any candidate is known without evaluating it.
"""

import argparse
import json
import re
import time
from concurrent.futures import ProcessPoolExecutor
from functools import lru_cache
from pathlib import Path

import numpy as np

from nas_service.methods.strategies.base import Evaluation, Problem, Proposal
from nas_service.methods.strategies.registry import STRATEGIES
from nas_service.tables.nasbench201 import OPERATIONS, load_nasbench201
from nas_service.tables.true_front import TrueFront
from search_spaces.library_index import load_library

TARGETS = (
    "cifar10_test_e200:cifar10_edgegpu_latency",
    "cifar10_test_e200:cifar10_fpga_latency",
    "cifar100_test_e200:cifar100_edgegpu_latency",
    "imagenet16_test_e200:imagenet16_eyeriss_latency",
)


@lru_cache(maxsize=16)
def load(table, problem):
    """Objectives (N, 2), NaN where the table has no value, in the lexicographic order of genes; and the true front."""
    accuracy_name, cost_name = problem.split(":")
    if table is None:
        columns = load_nasbench201().columns
        accuracy, cost = columns[accuracy_name], columns[cost_name]
    else:
        accuracy, cost = read_columns(table, accuracy_name, cost_name)
    objectives = np.stack([100.0 - accuracy, cost], axis=1)
    objectives[cost <= 0] = np.nan
    complete = objectives[np.isfinite(objectives).all(axis=1)]
    best = 100.0 - complete[:, 0].min()
    return objectives, TrueFront(complete, 100.0 - complete[:, 0] >= best / 2)


def read_columns(table, *names):
    """Columns of a CSV or Parquet file, sorted by the genes of its ``arch`` column."""
    import pyarrow.csv
    import pyarrow.parquet

    data = pyarrow.csv.read_csv(table) if table.endswith(".csv") else pyarrow.parquet.read_table(table)
    genes = [[OPERATIONS.index(op) for op in re.findall(r"(\w+)~", arch)] for arch in data["arch"].to_pylist()]
    order = np.lexsort(np.array(genes).T[::-1])
    return [data[name].to_numpy(zero_copy_only=False).astype(float)[order] for name in names]


def one_search(job):
    """Objectives (N, 2) of the successful evaluations in order, and the seconds of each ask."""
    table, problem_name, strategy_name, params, seed, count, parallelism, known_cost = job
    objectives, _ = load(table, problem_name)
    weights = len(OPERATIONS) ** np.arange(5, -1, -1)

    def costs(genes):
        return {"cost": objectives[np.asarray(genes, dtype=np.int64) @ weights, 1]}

    def feasible(genes):
        return np.isfinite(objectives[np.asarray(genes, dtype=np.int64) @ weights]).all(axis=1)

    space = load_library("nasbench201-cell")
    problem = Problem(space, 2, seed, feasible, {}, costs, ("error", "cost"), (False, known_cost), count)
    kind = STRATEGIES[strategy_name]
    strategy = kind(problem, kind.Params(**params))
    pending, found, ask_s, number = [], [], [], 0

    def tell():
        asked, proposal = pending.pop(0)
        values = objectives[int(proposal.genes.astype(np.int64) @ weights)]
        found.append(values)
        strategy.tell(Evaluation(asked, proposal.genes, tuple(values.tolist()), "succeeded", proposal.token))

    while number < count:
        if len(pending) >= parallelism:
            tell()
        start = time.perf_counter()
        answer = strategy.ask(number, [proposal.genes for _, proposal in pending])
        ask_s.append(time.perf_counter() - start)
        if isinstance(answer, Proposal):
            pending.append((number, answer))
            number += 1
        elif pending:
            tell()
        else:
            break
    while pending:
        tell()
    return np.array(found), ask_s


def measure(job, evaluations):
    """Metrics of one search at each number of evaluations."""
    found, ask_s = one_search(job)
    _, front = load(job[0], job[1])
    share = front.share(found)
    at = [min(n, len(found)) for n in evaluations]
    return {
        "hypervolume": [float(share[n - 1]) for n in at],
        "igd_plus": [front.igd_plus(found[:n]) for n in at],
        "ask_p95_ms": float(np.percentile(ask_s, 95) * 1000),
    }


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", help="CSV or Parquet file; default: the packaged NAS-Bench-201")
    parser.add_argument("--problem", action="append", help="accuracy_column:cost_column; repeatable")
    parser.add_argument("--strategies", default="random,nsga2,local_search,auto")
    parser.add_argument("--params", default="{}", help="JSON: strategy name -> parameters")
    parser.add_argument("--evaluations", default="50,100,200,500")
    parser.add_argument("--seeds", type=int, default=16)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--parallelism", type=int, default=1)
    parser.add_argument("--known-cost", action="store_true")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--out", help="prefix of the .json and .md files to write")
    return parser.parse_args()


def main():
    options = parse()
    problems = tuple(options.problem or TARGETS)
    evaluations = [int(n) for n in options.evaluations.split(",")]
    params = json.loads(options.params)
    results = []
    with ProcessPoolExecutor(options.processes) as pool:
        for strategy in options.strategies.split(","):
            for problem in problems:
                jobs = [
                    (
                        options.table,
                        problem,
                        strategy,
                        params.get(strategy, {}),
                        seed,
                        max(evaluations),
                        options.parallelism,
                        options.known_cost,
                    )
                    for seed in range(options.first_seed, options.first_seed + options.seeds)
                ]
                runs = list(pool.map(measure, jobs, [evaluations] * len(jobs)))
                hypervolumes = np.array([run["hypervolume"] for run in runs])
                row = {
                    "strategy": strategy,
                    "problem": problem,
                    "mean": hypervolumes.mean(axis=0).round(4).tolist(),
                    "std": hypervolumes.std(axis=0, ddof=min(1, len(runs) - 1)).round(4).tolist(),
                    "log10_missing": np.log10(np.maximum(1 - hypervolumes, 1e-6)).mean(axis=0).round(3).tolist(),
                    "igd_plus": np.mean([run["igd_plus"] for run in runs], axis=0).round(5).tolist(),
                    "ask_p95_ms": round(float(np.median([run["ask_p95_ms"] for run in runs])), 1),
                    "hypervolumes": hypervolumes.round(5).tolist(),
                }
                results.append(row)
                print(strategy, problem, row["mean"], "ask p95", row["ask_p95_ms"], "ms", flush=True)
    write(options, evaluations, results)


def write(options, evaluations, results):
    lines = ["| strategy | problem | " + " | ".join(str(n) for n in evaluations) + " | ask p95 ms |"]
    lines.append("|---" * (len(evaluations) + 3) + "|")
    for row in results:
        cells = [f"{m:.3f} ± {s:.3f}" for m, s in zip(row["mean"], row["std"], strict=True)]
        lines.append(f"| {row['strategy']} | {row['problem']} | {' | '.join(cells)} | {row['ask_p95_ms']} |")
    for strategy in dict.fromkeys(row["strategy"] for row in results):
        mean = np.mean([row["mean"] for row in results if row["strategy"] == strategy], axis=0)
        lines.append(f"| **{strategy}** | mean | {' | '.join(f'**{m:.3f}**' for m in mean)} | |")
    text = "\n".join(lines) + "\n"
    print(text)
    if options.out:
        settings = {key: value for key, value in vars(options).items() if key != "out"}
        document = {"settings": settings, "evaluations": evaluations, "results": results}
        Path(options.out + ".json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
        header = (
            f"Normalised hypervolume, mean ± standard deviation over {options.seeds} seeds, "
            f"{options.parallelism} at a time, known cost: {options.known_cost}.\n\n"
        )
        Path(options.out + ".md").write_text(header + text, encoding="utf-8")


if __name__ == "__main__":
    main()
