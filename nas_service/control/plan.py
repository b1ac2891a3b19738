"""What a search would do, without starting anything: size of the space, costs, feasibility, jobs, time and disk."""

from __future__ import annotations

from math import ceil
from pathlib import Path
from typing import Any

import numpy as np

from nas_service.control.check import CheckedSpec, check_spec
from nas_service.control.check_table import CheckedTableSpec, check_table_spec
from nas_service.control.create import recipe_document, supernet_key
from nas_service.control.objectives import cost_function, feasibility
from nas_service.domain.search import SearchSpec, TableEvaluatorSpec
from nas_service.methods.recipes.registry import RECIPES
from nas_service.storage import searches, supernets, trials
from nas_service.storage.session import Session
from nas_service.tables.lookup import TableLookup
from nas_service.tables.table import load_table
from search_spaces.space import SearchSpace

_SAMPLES = 2000
_KEPT_CHECKPOINTS = 3
_TRIALS_PER_JOB = 2_000
_BYTES_PER_TRIAL = 1_200  # a row and its entries in the indexes


def plan_search(session: Session, spec: SearchSpec, artifacts: Path) -> dict[str, Any]:
    """Plain JSON; ``artifacts`` is where tables lie. Raises InvalidInput with every problem, as creating would.

    Times follow from earlier searches of the space, over a table from those with the same strategy; None where there
    were none.
    """
    if isinstance(spec.evaluator, TableEvaluatorSpec):
        return _plan_over_table(session, check_table_spec(session, spec, artifacts), artifacts)
    checked = check_spec(session, spec)
    space = checked.space
    sampled = np.concatenate(
        (space.smallest()[None], space.largest()[None], space.sample(_SAMPLES, np.random.default_rng(0)))
    )
    costs = cost_function(space, None)(sampled)
    feasible = feasibility(checked.spec, cost_function(space, None))(sampled)
    uncertain = any(
        objective.constraint is not None and objective.source != "cost" for objective in checked.spec.objectives
    )
    num_trials = min(checked.spec.budget.trials, space.cardinality)
    ready = _supernet_is_ready(session, checked)
    return {
        "space": _size_of(space),
        "costs": {
            name: {"minimum": int(values.min()), "median": float(np.median(values)), "maximum": int(values.max())}
            for name, values in costs.items()
        },
        "constraints": {
            "feasible_share": float(feasible[2:].mean()),
            "num_sampled": _SAMPLES,
            "any_feasible": checked.any_feasible,
            "not_known_before_evaluation": uncertain,
        },
        "num_trials": num_trials,
        "supernet_is_ready": ready,
        "jobs": _jobs(session, checked, num_trials, ready),
        "time": _time(session, checked, num_trials, ready),
        "disk_bytes": 0 if ready else _checkpoint_bytes(checked),
    }


def _plan_over_table(session: Session, checked: CheckedTableSpec, artifacts: Path) -> dict[str, Any]:
    """A table knows the answer before the search: how much of it is feasible is read off, not sampled."""
    space, manifest = checked.space, checked.table.manifest
    feasible = TableLookup(checked.spec, load_table(artifacts, checked.table.id)).feasible_rows
    num_trials = min(checked.spec.budget.trials, space.cardinality * len(manifest["fidelities"] or [1]))
    bounded = any(objective.constraint is not None for objective in checked.spec.objectives)
    search_s = _within_budget(
        checked.spec, num_trials, searches.mean_trial_s(session, checked.table.id, checked.spec.strategy.name)
    )
    return {
        "space": _size_of(space),
        "costs": {},
        "constraints": {
            "feasible_share": int(feasible.sum()) / space.cardinality,
            "num_sampled": len(feasible),
            "any_feasible": bool(feasible.any()),
            "not_known_before_evaluation": bounded,
        },
        "num_trials": num_trials,
        "supernet_is_ready": None,
        "jobs": {"advance": ceil(num_trials / _TRIALS_PER_JOB)},
        "time": {"train_supernet_s": 0.0, "search_s": search_s, "total_s": search_s},
        "disk_bytes": num_trials * _BYTES_PER_TRIAL,
    }


def _size_of(space: SearchSpace) -> dict[str, Any]:
    return {
        "id": space.id,
        "name": space.name,
        "num_choices": len(space.genes),
        "cardinality": str(space.cardinality),
    }


def _supernet_is_ready(session: Session, checked: CheckedSpec) -> bool:
    if checked.supernet is not None:
        return checked.supernet.state == "ready"
    found = supernets.find(session, supernet_key(checked))
    return found is not None and found.state == "ready"


def _jobs(session: Session, checked: CheckedSpec, num_trials: int, ready: bool) -> dict[str, int]:
    finalists, latency = checked.spec.finalists, checked.device is not None
    inherits = finalists.mode == "inherit"
    return {
        "train_supernet": 0 if ready else 1,
        "fit_latency": int(latency),
        "evaluate": ceil(num_trials / checked.spec.parallelism) + (2 if inherits and finalists.count else 0),
        "train_network": 0 if inherits else finalists.count,
        "measure": int(latency and finalists.count > 0),
    }


def _time(session: Session, checked: CheckedSpec, num_trials: int, ready: bool) -> dict[str, float | None]:
    train_s = 0.0 if ready else supernets.mean_train_s(session, checked.space.id)
    search_s = _within_budget(checked.spec, num_trials, trials.mean_eval_s(session, checked.space.id))
    total_s = None if train_s is None or search_s is None else train_s + search_s
    return {"train_supernet_s": train_s, "search_s": search_s, "total_s": total_s}


def _within_budget(spec: SearchSpec, num_trials: int, trial_s: float | None) -> float | None:
    if trial_s is None:
        return None
    return min(trial_s * num_trials, float("inf") if spec.budget.wall_s is None else spec.budget.wall_s)


def _checkpoint_bytes(checked: CheckedSpec) -> int:
    """Weights, the optimiser's tensors and moving averages of them, in float32, for each checkpoint that is kept."""
    document = checked.supernet.recipe if checked.supernet is not None else recipe_document(checked.spec)
    params = {name: value for name, value in document.items() if name != "name"}
    recipe = RECIPES[document["name"]].model_validate(params)
    copies = 1 + {"adamw": 2, "sgd": 1}[recipe.optimiser] + (recipe.ema_decay > 0)
    return 4 * checked.space.supernet_params() * copies * _KEPT_CHECKPOINTS
