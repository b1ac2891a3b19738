"""Strategies with default settings on made tables of the kinds that users bring, flat choices and no space document.

    python tests/benchmarks/bench_made_tables.py --out tests/benchmarks/results/strategies_made_tables

Seeded, so anyone gets the same tables: ordered widths, many choices with few rows, one to four objectives, missing
entries, heavy tails with a collapsed third, ties, noise. Nothing of them is used to judge the release's figures.
"""

import argparse
import itertools
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from pathlib import Path

import numpy as np

from nas_service.tables.benchmark import Contest, search_once, summary
from nas_service.tables.build import build_table
from nas_service.tables.definition import TableDefinition, TableMetric

LETTERS = list("abcdefghij")
ACCURACY, LATENCY = ("accuracy", "maximize", "percent"), ("latency", "minimize", "ms")
EVALUATIONS = (50, 100, 200)


def product(*sizes):
    return np.array(list(itertools.product(*[range(size) for size in sizes])))


def subset(rng, sizes, count):
    """Distinct random assignments, at most ``count``."""
    return np.unique(rng.integers(0, sizes, (count, len(sizes))), axis=0)


def effects(X, rng, strength=0.5):
    """Each choice's own effect and those of neighbouring pairs (n,), standardised."""
    n, g = X.shape
    out = np.zeros(n)
    for j in range(g):
        out += rng.standard_normal(X[:, j].max() + 1)[X[:, j]]
    for j in range(g):
        k = (j + 1) % g
        pairs = rng.standard_normal((X[:, j].max() + 1, X[:, k].max() + 1))
        out += strength * pairs[X[:, j], X[:, k]]
    return (out - out.mean()) / out.std()


def size(rng):
    """Five widths of 8 to 64 channels, all 32,768; smooth, with a little noise."""
    X = product(8, 8, 8, 8, 8)
    channels = (X + 1) * 8.0
    filled = ((1 - np.exp(-channels / 24.0)) * np.array([0.6, 0.8, 1.0, 1.2, 1.4])).sum(axis=1)
    uneven = np.abs(np.diff(np.log2(channels), axis=1)).mean(axis=1)
    accuracy = 60 + 8 * np.log(filled) - 3 * uneven + 0.25 * rng.standard_normal(len(X))
    pairs = channels[:, :-1] * channels[:, 1:] * np.array([4, 2, 1, 0.5])
    latency = 0.2 + pairs.sum(axis=1) / 2000 + 0.02 * rng.standard_normal(len(X))
    return X, list(range(8, 65, 8)), (ACCURACY, LATENCY), (accuracy, latency)


def wide(rng):
    """12 choices of 3, 9,000 draws of 531,441."""
    X = subset(rng, [3] * 12, 9_000)
    a = effects(X, rng)
    c = X @ rng.random(12) + 0.3 * effects(X, rng)
    return X, LETTERS, (ACCURACY, LATENCY), (75 + 6 * np.tanh(0.5 * a + 0.25 * (c - c.mean())), np.exp(0.3 * c))


def sparse(rng):
    """22 choices, 400 rows of 363 million."""
    X = subset(rng, [2, 3] * 11, 400)
    a = effects(X, rng, 0.3)
    c = X @ rng.random(22)
    return (
        X,
        LETTERS,
        (ACCURACY, LATENCY),
        (70 + 4 * a + 1.5 * (c - c.mean()), c + 0.2 * rng.standard_normal(len(X))),
    )


def ordinal10(rng):
    """10 widths of 5, 15,000 draws of 9.8 million; quadratic."""
    X = subset(rng, [5] * 10, 15_000)
    v = X / 4.0
    best = rng.random(10)
    accuracy = 80 - 12 * ((v - best) ** 2).mean(axis=1) + 3 * v.mean(axis=1) + 2 * v[:, 0] * v[:, 1]
    latency = 1 + (v * rng.random(10) * 3).sum(axis=1) ** 1.5
    return X, [16, 24, 32, 48, 64], (ACCURACY, LATENCY), (accuracy + 0.1 * rng.standard_normal(len(X)), latency)


def three(rng):
    """Three objectives, 4,096 rows."""
    X = product(4, 4, 4, 4, 4, 4)
    a, b, c = (effects(X, rng, 0.4) for _ in range(3))
    return X, LETTERS, (ACCURACY, LATENCY, ("memory", "minimize", "MB")), (a, b - 0.5 * a, c)


def four(rng):
    """Four objectives, two of them maximised, a quarter of 6,561 rows."""
    X = product(*[3] * 8)
    a, b, c, d = (effects(X, rng, 0.4) for _ in range(4))
    kept = rng.random(len(X)) < 0.25
    metrics = (ACCURACY, LATENCY, ("memory", "minimize", "MB"), ("robustness", "maximize", "score"))
    return X[kept], LETTERS, metrics, (a[kept], (b - 0.7 * a)[kept], c[kept], d[kept])


def missing(rng):
    """A fifth of 4,096 rows is missing, and of the others 15 % of the accuracies."""
    X = product(4, 4, 4, 4, 4, 4)
    a = effects(X, rng)
    c = X.sum(axis=1) + 0.5 * effects(X, rng)
    accuracy = 70 + 4 * (a + 0.3 * (c - c.mean()))
    accuracy[rng.random(len(X)) < 0.15] = np.nan
    kept = rng.random(len(X)) < 0.8
    return X[kept], LETTERS, (ACCURACY, LATENCY), (accuracy[kept], c[kept])


def tails(rng):
    """Log-normal error and latency; a third of 15,625 collapses to 90 % error."""
    X = product(5, 5, 5, 5, 5, 5)
    a = effects(X, rng, 0.7)
    c = X @ np.array([0.2, 0.3, 0.5, 0.1, 0.8, 0.4]) + 0.5 * effects(X, rng)
    error = np.exp(1.2 * (-a - 0.3 * (c - c.mean()))) * 2 + 1
    collapsed = (X[:, 0] == 2) | (X[:, 3] == X[:, 4])
    error[collapsed] = 90 + rng.random(collapsed.sum())
    return X, LETTERS, (("error", "minimize", "percent"), LATENCY), (error, np.exp(1.5 * c))


def ties(rng):
    """Whole percents against a count, 4,096 rows: many equal values."""
    X = product(4, 4, 4, 4, 4, 4)
    a = effects(X, rng) + 0.1 * X.sum(axis=1)
    return X, LETTERS, (ACCURACY, ("params", "minimize", "M")), (np.round(70 + 4 * a), X.sum(axis=1))


def noise(rng):
    """A seventh of the variance of both objectives is noise of each architecture, 15,625 rows."""
    X = product(5, 5, 5, 5, 5, 5)
    a, c = effects(X, rng), effects(X, rng, 0.3)
    return (
        X,
        LETTERS,
        (ACCURACY, LATENCY),
        (a + 0.5 * c + 0.4 * rng.standard_normal(len(X)), c + 0.3 * rng.standard_normal(len(X))),
    )


KINDS = {f.__name__: f for f in (size, wide, sparse, ordinal10, three, four, missing, tails, ties, noise)}


@cache
def made(kind):
    X, options, metrics, columns = KINDS[kind](np.random.default_rng(sum(map(ord, kind))))
    rows = [
        [options[v] for v in x] + [None if np.isnan(value) else float(value) for value in values]
        for x, values in zip(X, np.column_stack(columns), strict=True)
    ]
    choices = tuple(f"x{j}" for j in range(X.shape[1]))
    definition = TableDefinition(name=kind, choices=choices, metrics=tuple(TableMetric(*m) for m in metrics))
    return build_table(definition, lambda: [(1, rows)], None)


def one(job):
    kind, name, seed = job
    table = made(kind)
    objectives = tuple(metric.name for metric in table.metrics)
    return search_once(Contest(table, objectives, objectives, EVALUATIONS), name, seed)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--strategies", default="auto,local_search,nsga2,optuna-tpe,random")
    parser.add_argument("--seeds", type=int, default=6)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--out", help="prefix of the .md file to write")
    options = parser.parse_args()
    head = " | ".join(map(str, EVALUATIONS))
    lines = [f"| table | strategy | {head} |", "|---" * (len(EVALUATIONS) + 2) + "|"]
    with ProcessPoolExecutor(options.processes) as pool:
        for kind in options.kinds.split(","):
            for name in options.strategies.split(","):
                found = list(pool.map(one, [(kind, name, seed) for seed in range(options.seeds)]))
                row = summary(name, found, single=False)
                cells = [f"{m:.3f} ± {s:.3f}" for m, s in zip(row["mean"], row["std"], strict=True)]
                lines.append(f"| {kind} | {name} | {' | '.join(cells)} |")
                print(lines[-1], flush=True)
    if options.out:
        legend = "\n".join(f"- {kind}: {KINDS[kind].__doc__}" for kind in options.kinds.split(","))
        text = f"Normalised hypervolume, mean ± standard deviation over {options.seeds} seeds, one trial at a time.\n\n"
        Path(options.out + ".md").write_text(text + "\n".join(lines) + "\n\n" + legend + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
