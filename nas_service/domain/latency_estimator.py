"""Predicts latency from an architecture's choices: an additive model fitted to measurements. NumPy only.

In a fixed skeleton latency is close to a sum of terms, one for each choice, plus terms in the counted costs. Such a
model needs a few dozen measurements. Its predictions stand in during a search; finalists are measured.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from search_spaces.space import SearchSpace

VERSION = 1
COSTS = ("macs", "params", "activations")
# The kinds of terms an estimator may have: one per option of a choice, ones in the costs, or both.
FEATURES = ("one_hot", "costs", "one_hot_and_costs")


def estimator_features(space: SearchSpace, genes: np.ndarray, kind: str, scale: str = "search") -> np.ndarray:
    """Features of architectures, genes (n, G) -> float64 (n, K).

    Costs enter in millions; `active_choices`, the number of genes in use, stands for the number of layers and
    so for the overhead of starting each.
    """
    if kind not in FEATURES:
        raise ValueError(f"unknown features {kind!r}, not one of {', '.join(FEATURES)}")
    parts = []
    if kind != "costs":
        parts.append(space.encode_one_hot(genes).astype(np.float64))
    if kind != "one_hot":
        costs = space.costs(genes, scale=scale)
        columns = [costs[name] / 1e6 for name in COSTS]
        columns.append((genes >= 0).sum(axis=1).astype(np.float64))
        parts.append(np.stack(columns, axis=1))
    return np.concatenate(parts, axis=1)


def predict_latency_ms(estimator: Mapping[str, Any], space: SearchSpace, genes: np.ndarray) -> np.ndarray:
    """Predicted latency, genes (n, G) -> float64 (n,), never below the estimator's floor.

    Raises ValueError when the estimator was fitted to another space or has another version.
    """
    if estimator.get("version") != VERSION:
        raise ValueError(f"latency estimator of version {estimator.get('version')!r}, not {VERSION}")
    if estimator["space_id"] != space.id:
        raise ValueError(f"latency estimator of space {estimator['space_id']}, not {space.id}")
    features = estimator_features(space, genes, estimator["features"], estimator["scale"])
    coefficients = np.asarray(estimator["coefficients_ms"], dtype=np.float64)
    if features.shape[1] != len(coefficients):
        raise ValueError(f"latency estimator has {len(coefficients)} coefficients for {features.shape[1]} features")
    return np.maximum(features @ coefficients + estimator["intercept_ms"], estimator["floor_ms"])
