"""Strategies on the four two-objective problems of NAS-Bench-201, seed by seed, with paired tests.

    python tests/benchmarks/bench_strategies.py --out tests/benchmarks/results/strategies_nasbench201

What ``nas bench strategies`` does for one table, for the four together. Every finished search is a line of
``--searches``, so an interrupted benchmark goes on where it was; seeds are the outer loop, so it may be stopped early.
"""

import argparse
import json
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np

from nas_service.tables.benchmark import Contest, Outcome, paired_tests, search_once, summary
from nas_service.tables.builtin import nasbench201

PROBLEMS = (
    ("cifar10_test_e200", "cifar10_edgegpu_latency"),
    ("cifar10_test_e200", "cifar10_fpga_latency"),
    ("cifar100_test_e200", "cifar100_edgegpu_latency"),
    ("imagenet16_test_e200", "imagenet16_eyeriss_latency"),
)


def one(job):
    name, problem, seed, evaluations, track = job
    contest = Contest(nasbench201(), tuple(problem), tuple(problem), tuple(evaluations), track)
    found = search_once(contest, name, seed)
    return [name, list(problem), seed, list(evaluations), found.hypervolume, found.igd_plus, found.ask_ms_p95]


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--strategies", default="auto,local_search,nsga2,random", help="the first is tested")
    parser.add_argument("--evaluations", default="50,100,200,500")
    parser.add_argument("--seeds", type=int, default=30)
    parser.add_argument("--track", choices=["A", "B"], default="A")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--searches", type=Path, help="file of finished searches, one per line; default: OUT.jsonl")
    parser.add_argument("--out", required=True, help="prefix of the files to write")
    return parser.parse_args()


def main():
    options = parse()
    evaluations = [int(n) for n in options.evaluations.split(",")]
    names = options.strategies.split(",")
    path = options.searches or Path(options.out + ".jsonl")
    path.parent.mkdir(parents=True, exist_ok=True)
    done = {}
    if path.exists():
        for line in path.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            if row[3] == evaluations:
                done[row[0], tuple(row[1]), row[2]] = row
    wanted = [(n, p, s, evaluations, options.track) for s in range(options.seeds) for n in names for p in PROBLEMS]
    missing = [job for job in wanted if (job[0], job[1], job[2]) not in done]
    with ProcessPoolExecutor(options.processes) as pool, path.open("a", encoding="utf-8") as file:
        for row in pool.map(one, missing):
            file.write(json.dumps(row) + "\n")
            file.flush()
            done[row[0], tuple(row[1]), row[2]] = row
    write(options, evaluations, names, done)


def write(options, evaluations, names, done):
    seeds = range(options.seeds)
    document = {"track": options.track, "evaluations": evaluations, "problems": [], "mean": {}}
    by_problem = []
    for problem in PROBLEMS:
        found = {name: [Outcome(*done[name, problem, seed][4:]) for seed in seeds] for name in names}
        by_problem.append([summary(name, outcomes, single=False) for name, outcomes in found.items()])
        document["problems"].append({"objectives": problem, "results": by_problem[-1]})
    means = []
    for k in range(len(names)):
        rows = [problem[k] for problem in by_problem]
        values = np.mean([row["values"] for row in rows], axis=0)
        outcomes = [Outcome(row.tolist(), [0.0] * len(evaluations), 0.0) for row in values]
        means.append(summary(names[k], outcomes, single=False))
        for name in ("log10_missing", "distance", "ask_p95_ms"):
            means[-1][name] = np.mean([row[name] for row in rows], axis=0).round(4).tolist()
    document["mean"] = {"results": means, "tests": paired_tests(means, evaluations)}
    Path(options.out + ".json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    Path(options.out + ".md").write_text(text_of(options, evaluations, by_problem, means, document), encoding="utf-8")


def text_of(options, evaluations, by_problem, means, document):
    head = " | ".join(str(n) for n in evaluations)
    lines = [
        f"Normalised hypervolume, mean ± standard deviation over {options.seeds} seeds, track {options.track}, one at a"
        " time, every evaluation a distinct architecture.",
        "",
        f"| strategy | problem | {head} | ask p95 ms |",
        "|---" * (len(evaluations) + 3) + "|",
    ]
    for k in range(len(means)):
        for problem, rows in zip(PROBLEMS, by_problem, strict=True):
            row = rows[k]
            cells = [f"{m:.3f} ± {s:.3f}" for m, s in zip(row["mean"], row["std"], strict=True)]
            lines.append(f"| {row['strategy']} | {' + '.join(problem)} | {' | '.join(cells)} | {row['ask_p95_ms']} |")
    for row in means:
        cells = [f"**{m:.3f}** ± {s:.3f}" for m, s in zip(row["mean"], row["std"], strict=True)]
        lines.append(f"| **{row['strategy']}** | mean of the four, spread of that mean | {' | '.join(cells)} | |")
    for title, name in (("log10(1 - hypervolume)", "log10_missing"), ("IGD+", "distance")):
        lines += ["", f"| strategy, mean {title} | {head} |", "|---" * (len(evaluations) + 1) + "|"]
        lines += [f"| {row['strategy']} | {' | '.join(f'{v:.4g}' for v in row[name])} |" for row in means]
    if document["mean"]["tests"]:
        lines += [
            "",
            "Wilcoxon signed ranks over seeds of the mean of the four problems, Holm's correction over all rows:",
        ]
        lines += ["", "| against | evaluations | difference | wins : losses | p |", "|---|---|---|---|---|"]
        for test in document["mean"]["tests"]:
            lines.append(
                f"| {test['against']} | {test['evaluations']} | {test['difference']:+.4f} | "
                f"{test['wins']} : {test['losses']} | {test['p_holm']:.2g} |"
            )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
