"""The kinds of jobs and the function that does each. Every function takes (payload, context) and returns plain JSON."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from workers.advance import advance
from workers.context import WorkContext
from workers.evaluate import evaluate
from workers.export import export
from workers.measure.estimator import fit_latency_estimator
from workers.measure.latency import measure
from workers.training.distributed import WorkerGroup
from workers.training.train_network import train_network
from workers.training.train_supernet import train_supernet

TASKS: dict[str, Callable[[dict[str, Any], WorkContext], dict[str, Any]]] = {
    "train_supernet": train_supernet,
    "fit_latency": fit_latency_estimator,
    "advance": advance,
    "evaluate": evaluate,
    "train_network": train_network,
    "measure": measure,
    "export": export,
}


# What several workers can do together; each rank calls the function with its place in the group.
GROUP_TASKS: dict[str, Callable[[dict[str, Any], WorkContext, WorkerGroup], dict[str, Any]]] = {
    "train_supernet": train_supernet,
}


def run_job(
    kind: str, payload: dict[str, Any], context: WorkContext, group: WorkerGroup | None = None
) -> dict[str, Any]:
    """Do a job, or with a ``group`` this rank's part of it. Raises KeyError for an unknown kind and whatever the job's
    function raises."""
    if group is not None:
        return GROUP_TASKS[kind](payload, context, group)
    return TASKS[kind](payload, context)
