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
