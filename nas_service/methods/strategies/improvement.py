"""Expected improvement of independent beliefs about objectives: exact for one and two objectives, sampled above.

A belief is Gaussian on an ``ObjectiveScale``, so shifted log-normal in the objective itself, where the volume is
measured. Two objectives: the expected hypervolume improvement splits into strips between neighbouring front points,
where it is a product of one-dimensional expectations (Emmerich, Yang, Deutz, Wang, Fonseca 2016). More: random
hypervolume scalarisations, whose mean improvement is proportional to that of the hypervolume (Zhang and Golovin 2020).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from nas_service.methods.strategies.objective_scale import ObjectiveScale

Floats = NDArray[np.float64]
_DIRECTIONS = 48
_SAMPLES = 16


@dataclass(frozen=True)
class Belief:
    """One objective of n candidates: mean and standard deviation (n,) on ``scale``; without a scale exact values."""

    mean: Floats
    std: Floats
    scale: ObjectiveScale | None = None

    def below(self, bound: Floats) -> Floats:
        """E[max(0, bound - y)] for bounds (k,), as (n, k)."""
        if self.scale is None:
            return np.maximum(bound[None, :] - self.mean[:, None], 0.0)
        unit, mean, std = self.scale.unit, self.mean[:, None], np.maximum(self.std, 1e-9)[:, None]
        strike = np.maximum((bound - self.scale.best) / unit + 1.0, 1e-12)[None, :]
        z = (np.log(strike) - mean) / std
        # The largest gain of a value is what the scale can express: down to one unit beyond the best.
        return unit * np.maximum(strike * ndtr(z) - np.exp(mean + 0.5 * std**2) * ndtr(z - std), 0.0)

    def draw(self, normal: float) -> Floats:
        """Values (n,) at ``normal`` standard deviations from the mean."""
        return self.mean if self.scale is None else self.scale.back(self.mean + self.std * normal)


def expected_improvement(beliefs: list[Belief], front: Floats, reference: Floats, rng: np.random.Generator) -> Floats:
    """Expected gain (n,) of candidates over ``front`` (k, M) below ``reference`` (M,), all minimised."""
    if len(beliefs) == 1:
        best = min(float(front.min()), float(reference[0])) if len(front) else float(reference[0])
        return beliefs[0].below(np.array([best]))[:, 0]
    if len(beliefs) == 2:
        front = front[(front < reference).all(axis=1)]
        front = front[np.argsort(front[:, 0])]
        to_the_right = beliefs[0].below(np.append(front[:, 0], reference[0]))
        widths = np.diff(to_the_right, axis=1, prepend=0.0)
        heights = beliefs[1].below(np.append(reference[1], front[:, 1]))
        return np.einsum("ij,ij->i", widths, heights)
    return _sampled(beliefs, front, reference, rng)


def _sampled(beliefs: list[Belief], front: Floats, reference: Floats, rng: np.random.Generator) -> Floats:
    m = len(beliefs)
    spans = reference - np.minimum(front.min(axis=0), reference)
    spans = np.where(spans > 0, spans, 1.0)
    directions = np.abs(rng.standard_normal((_DIRECTIONS, m)))
    directions = np.maximum(directions / np.linalg.norm(directions, axis=1, keepdims=True), 1e-12)

    inverse = 1.0 / directions

    def reach(points: Floats) -> Floats:
        """How far (n, D) each direction from the reference is dominated, to the power M."""
        gaps = (reference - points) / spans
        nearest = gaps[:, :1] * inverse[:, 0]
        for j in range(1, m):
            np.minimum(nearest, gaps[:, j : j + 1] * inverse[:, j], out=nearest)
        return np.maximum(nearest, 0.0) ** m

    reached = reach(front).max(axis=0)
    total = np.zeros(len(beliefs[0].mean))
    for draw in rng.standard_normal((_SAMPLES, m)):
        values = np.stack([belief.draw(x) for belief, x in zip(beliefs, draw, strict=True)], axis=1)
        total += np.maximum(reach(values) - reached, 0.0).mean(axis=1)
    return total / _SAMPLES
