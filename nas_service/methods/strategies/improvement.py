"""Expected improvement of independent Gaussian predictions: exact for one and two objectives, sampled above.

Two objectives: the expected hypervolume improvement splits into strips between neighbouring front points, where it is
a product of one-dimensional expectations (Emmerich, Yang, Deutz, Wang, Fonseca 2016). More: random hypervolume
scalarisations, whose mean improvement is proportional to that of the hypervolume (Zhang and Golovin 2020).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

Floats = NDArray[np.float64]
_DIRECTIONS = 48
_SAMPLES = 16


def expected_improvement(
    mean: Floats, std: Floats, front: Floats, reference: Floats, rng: np.random.Generator
) -> Floats:
    """Expected gain (n,) of predictions ``mean``, ``std`` >= 0 (n, M) over ``front`` (k, M), all minimised."""
    std = np.maximum(std, 1e-12)
    if mean.shape[1] == 1:
        best = min(front.min(), reference[0])
        return _below(np.array([[best]]), mean, std)[:, 0]
    if mean.shape[1] == 2:
        front = front[(front < reference).all(axis=1)]
        front = front[np.argsort(front[:, 0])]
        to_the_right = _below(np.append(front[:, 0], reference[0])[None], mean[:, :1], std[:, :1])
        widths = np.diff(to_the_right, axis=1, prepend=0.0)
        heights = _below(np.append(reference[1], front[:, 1])[None], mean[:, 1:], std[:, 1:])
        return np.einsum("ij,ij->i", widths, heights)
    return _sampled(mean, std, front, reference, rng)


def _below(bound: Floats, mean: Floats, std: Floats) -> Floats:
    """E[max(0, bound - y)] of Gaussian y; broadcasts."""
    z = (bound - mean) / std
    return (bound - mean) * ndtr(z) + std * np.exp(-0.5 * z * z) / np.sqrt(2 * np.pi)


def _sampled(mean: Floats, std: Floats, front: Floats, reference: Floats, rng: np.random.Generator) -> Floats:
    m = mean.shape[1]
    directions = np.abs(rng.standard_normal((_DIRECTIONS, m)))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)

    def reach(points: Floats) -> Floats:
        """How far (..., D) each direction from the reference is dominated, to the power M."""
        gaps = (reference - points)[..., None, :] / directions
        return np.maximum(gaps.min(axis=-1), 0.0) ** m

    reached = reach(front).max(axis=0)
    total = np.zeros(len(mean))
    for draw in rng.standard_normal((_SAMPLES, m)):
        total += np.maximum(reach(mean + std * draw) - reached, 0.0).mean(axis=1)
    return total / _SAMPLES
