"""Fits the additive latency model: weighted ridge regression, its kind and strength chosen by cross-validation."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import nnls

from nas_service.domain.ranks import average_ranks

STRENGTHS = tuple(float(strength) for strength in np.logspace(-4, 2, 7))
NUM_FOLDS = 5
# No prediction falls below this share of the smallest measured latency.
FLOOR_SHARE = 0.5


@dataclass(frozen=True)
class Fit:
    """Latency = intercept_ms + features @ coefficients_ms, of the features named `kind`."""

    kind: str
    strength: float
    intercept_ms: float
    coefficients_ms: np.ndarray
    floor_ms: float

    def predict(self, features: np.ndarray) -> np.ndarray:
        """(n, K) -> (n,)."""
        return np.maximum(features @ self.coefficients_ms + self.intercept_ms, self.floor_ms)


def fit_best(features: Mapping[str, np.ndarray], latency_ms: np.ndarray, seed: int) -> Fit:
    """The fit whose kind of features and ridge strength have the smallest cross-validated relative error."""
    folds = _folds(len(latency_ms), seed)
    best: tuple[float, str, float] | None = None
    for kind, matrix in features.items():
        for strength in STRENGTHS:
            errors = [
                np.abs(
                    _fit(kind, matrix[kept], latency_ms[kept], strength).predict(matrix[held]) / latency_ms[held] - 1
                )
                for kept, held in folds
            ]
            error = float(np.mean(np.concatenate(errors)))
            if best is None or error < best[0]:
                best = (error, kind, strength)
    assert best is not None
    _, kind, strength = best
    return _fit(kind, features[kind], latency_ms, strength)


def held_out_errors(features: Mapping[str, np.ndarray], latency_ms: np.ndarray, seed: int) -> dict[str, Any]:
    """Errors on measurements that had no part in fitting nor in choosing (nested cross-validation).

    {"mae_ms", "mape" (mean of |error| / latency), "spearman" (None when ranks are undefined), "n", "method"}.
    """
    predicted = np.empty(len(latency_ms))
    for kept, held in _folds(len(latency_ms), seed + 1):
        fit = fit_best({kind: matrix[kept] for kind, matrix in features.items()}, latency_ms[kept], seed)
        predicted[held] = fit.predict(features[fit.kind][held])
    spearman = None
    if np.ptp(predicted) and np.ptp(latency_ms):
        spearman = float(np.corrcoef(average_ranks(predicted), average_ranks(latency_ms))[0, 1])
    return {
        "mae_ms": float(np.abs(predicted - latency_ms).mean()),
        "mape": float(np.abs(predicted / latency_ms - 1).mean()),
        "spearman": spearman,
        "n": len(latency_ms),
        "method": f"nested {NUM_FOLDS}-fold cross-validation",
    }


def _fit(kind: str, features: np.ndarray, latency_ms: np.ndarray, strength: float) -> Fit:
    """Ridge on relative errors: every row is divided by its latency. Cost terms alone must not be negative.

    Columns are brought to a common scale first, so that one strength suits all; the intercept is not shrunk.
    """
    scale = np.sqrt((features**2).mean(axis=0))
    scale = np.where(scale > 0, scale, 1.0)
    center = np.average(features / scale, axis=0, weights=latency_ms**-2.0)
    mean = np.average(latency_ms, weights=latency_ms**-2.0)
    rows = (features / scale - center) / latency_ms[:, None]
    target = (latency_ms - mean) / latency_ms
    penalty = np.sqrt(strength) * np.eye(features.shape[1]) / mean
    stacked = np.concatenate([rows, penalty])
    aim = np.concatenate([target, np.zeros(features.shape[1])])
    if kind == "costs":
        solution, _ = nnls(stacked, aim)
    else:
        solution = np.linalg.lstsq(stacked, aim, rcond=None)[0]
    coefficients = solution / scale
    return Fit(kind, strength, float(mean - center @ solution), coefficients, FLOOR_SHARE * float(latency_ms.min()))


def _folds(n: int, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """(kept, held out) indices; at most NUM_FOLDS folds of about equal size."""
    order = np.random.default_rng(seed).permutation(n)
    parts = np.array_split(order, min(NUM_FOLDS, n))
    return [(np.setdiff1d(order, part), part) for part in parts]
