"""How much faster a population is scored with a supernet's weights than by the loop one would write first.

Run as a script: `python -m tests.benchmarks.bench_evaluation [--write]`; `--write` puts the table into
`results/evaluation.md`. Times are CPU milliseconds of this process on one thread, the two ways interleaved, so that
other load on the machine matters little. Target: 3. Ours is what an evaluate job of a worker does with one population,
with nothing kept from an earlier one.

The first loop activates each architecture in the supernet, resets its batch-norm statistics, passes the same
calibration samples through it (read and normalised again each time, running averages over batches of 64), and
validates it in batches of 64 as training scripts do. Both score the same weights.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from nas_service.datasets.dataset import build_dataset
from nas_service.datasets.ingest import ingest_digits
from search_spaces.elastic.supernet import Supernet
from search_spaces.library_index import load_library
from search_spaces.space import SearchSpace
from workers.training.data import DeviceData
from workers.training.environment import keep_memory
from workers.training.scoring import Calibration, score_on
from workers.training.shared_scores import SharedScores

FAMILIES = ("digits-mobile", "digits-cell", "digits-fabric")
POPULATION = 16
ROUNDS = 3
NAIVE_BATCH = 64
RESULTS = Path(__file__).with_name("results") / "evaluation.md"
HEAD = """# Scoring a population with a supernet's weights

CPU milliseconds for one architecture on one thread: mean over {population} architectures and {rounds} interleaved
rounds; ratio = naive / ours, its range over the rounds. `random`: drawn uniformly. `generation`: children of 4 parents
by crossover and one mutation each, as NSGA-II makes them. Digits: 512 calibration and 268 validation samples, 8 x 8.
Target: 3. `difference` is the largest of the validation losses, relative (float32, other batches, another variance).
`each alone`: as ours, but with nothing shared between architectures; the same bits for each of them, checked here.
Left out in all: resolving an architecture (about half a millisecond) and building the shapes of layers not seen before.
Command: `OMP_NUM_THREADS=1 python -m tests.benchmarks.bench_evaluation --write` (torch {torch}), about a minute.

Ours against the naive loop: data stay on the device, normalised once; weights and images lie channels last; calibration
is one batch of 512, validation one of 268; a layer that sees the same inputs in two architectures runs once (at most
128 MiB of outputs are kept); freed memory stays with the process.

| family | population | naive ms | each alone ms | ours ms | ratio | difference |
|---|---|---|---|---|---|---|
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help=f"write the table to {RESULTS.name}")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    keep_memory()
    data = DeviceData(build_dataset("digits", ingest_digits()), torch.device("cpu"))
    lines = []
    for family in FAMILIES:
        space = load_library(family).bind(classes=10, input=data.dataset.info["input"])
        for name, population in populations(space).items():
            lines.append(f"| {family} | {name} | {compare(space, population, data)} |")
            print(lines[-1], flush=True)
    if arguments.write:
        head = HEAD.format(population=POPULATION, rounds=ROUNDS, torch=torch.__version__)
        RESULTS.write_text(head + "\n".join(lines) + "\n")


def populations(space: SearchSpace) -> dict[str, np.ndarray]:
    """Gene matrices (n, G)."""
    rng = np.random.default_rng(0)
    parents = space.sample(4, rng)
    a, b = (parents[rng.integers(len(parents), size=POPULATION)] for _ in range(2))
    return {"random": space.sample(POPULATION, rng), "generation": space.mutate(space.crossover(a, b, rng), rng)}


def compare(space: SearchSpace, population: np.ndarray, data: DeviceData) -> str:
    """The cells of a row after the names."""
    supernet = Supernet(space).eval()
    score_on(supernet.extract(population[0]), data, "search", Calibration())  # fills the caches of both
    naive_score(supernet, population[0], data)
    rounds, difference = [], 0.0
    for _ in range(ROUNDS):
        shared = SharedScores(supernet, data)
        spent = np.zeros(3)
        for genes in population:
            supernet.plan(genes)
            times = [time.process_time()]
            expected = naive_score(supernet, genes, data)
            times.append(time.process_time())
            alone = score_on(supernet.extract(genes), data, "search", Calibration())
            times.append(time.process_time())
            found = shared.score(genes, "search", Calibration())
            times.append(time.process_time())
            if found != alone:
                raise AssertionError(f"scored with others {found}, alone {alone}")
            difference = max(difference, abs(found["loss"] - expected["loss"]) / expected["loss"])
            spent += np.diff(times)
        rounds.append(spent)
    naive, alone_s, ours = np.mean(rounds, axis=0) / len(population)
    ratios = [spent[0] / spent[2] for spent in rounds]
    cells = " | ".join(f"{1e3 * seconds:.1f}" for seconds in (naive, alone_s, ours))
    return f"{cells} | {median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}) | {difference:.1e}"


def naive_score(supernet: Supernet, genes: np.ndarray, data: DeviceData) -> dict[str, Any]:
    """Activate, recalibrate, validate; changes the supernet's statistics."""
    with supernet.active(genes), torch.no_grad():
        supernet.eval()
        owners = [owner for _, owner in supernet.batch_norms()]
        for owner in owners:
            owner.reset_running_stats()
            owner.momentum = None  # the plain average of all batches
            owner.train()
        for x, _ in _read(data, "calibrate"):
            supernet(x)
        supernet.eval()
        correct, loss, count = 0, 0.0, 0
        for x, y in _read(data, "search"):
            logits = supernet(x)
            correct += int((logits.argmax(1) == y).sum())
            loss += float(functional.cross_entropy(logits, y, reduction="sum"))
            count += len(y)
    return {"accuracy_top1": correct / count, "loss": loss / count}


def _read(data: DeviceData, split: str) -> Any:
    indices = data.dataset.indices(split)
    for start in range(0, len(indices), NAIVE_BATCH):
        x, y = data.raw(indices[start : start + NAIVE_BATCH])
        yield data.normalise(x), y


if __name__ == "__main__":
    main()
