"""`nas demo table`: searches NAS-Bench-201 through the whole service, against random search with the same budget."""

from __future__ import annotations

from typing import Any

from nas_service.cli.demo import Phases, run_search
from nas_service.cli.output import Format, out, print_rows
from nas_service.client import Client
from nas_service.client_types import Search
from nas_service.tables.builtin import NASBENCH201

OBJECTIVES = ("cifar10_test_e200", "cifar10_edgegpu_latency")
STRATEGIES = ("auto", "random")
TRIALS = 200
SEEDS = (1, 2, 3)


def demo_table(nas: Client, phases: Phases) -> None:
    """Accuracy of the trained network against latency on an edge GPU, three seeds each; prints the best front."""
    found: dict[str, list[Search]] = {}
    for strategy in STRATEGIES:
        for seed in SEEDS:
            found.setdefault(strategy, []).append(run_search(nas, phases, _request(strategy, seed)))
    best = max(found[STRATEGIES[0]], key=lambda search: search["hypervolume"] or 0.0)
    front = nas.front(best["id"])
    out.rule(f"front of {best['name']}: {len(front['members'])} of 15,625 cells")
    rows = [
        {
            "accuracy %": f"{member['metrics'][OBJECTIVES[0]]:.2f}",
            "latency ms": f"{member['metrics'][OBJECTIVES[1]]:.3f}",
            "operations": " ".join(nas.get(f"/v1/trials/{member['id']}")["choices"].values()),
        }
        for member in front["members"]
    ]
    print_rows(rows, list(rows[0]), Format.table)
    compared = [
        {
            "strategy": strategy,
            "evaluations": TRIALS,
            "normalised hypervolume": _mean([search["normalised_hypervolume"] or 0.0 for search in searches]),
            "regret": _mean([search["regret"] or 0.0 for search in searches]),
            "of each seed": ", ".join(f"{search['normalised_hypervolume']:.3f}" for search in searches),
        }
        for strategy, searches in found.items()
    ]
    print_rows(compared, list(compared[0]), Format.table, title="hypervolume as a share of the true front's")


def _request(strategy: str, seed: int) -> dict[str, Any]:
    return {
        "name": f"{strategy}, seed {seed}",
        "evaluator": {"kind": "table", "table": NASBENCH201},
        "objectives": [{"metric": metric} for metric in OBJECTIVES],
        "strategy": {"name": strategy},
        "budget": {"trials": TRIALS},
        "seed": seed,
    }


def _mean(values: list[float]) -> str:
    return f"{sum(values) / len(values):.3f}"
