"""Small multi-layer perceptrons in NumPy, with gradients with respect to weights and to the input, and Adam."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Cache = list[tuple[Floats, Floats]]


class Mlp:
    """Layers of the given sizes, softplus between them (smooth: second derivatives exist), linear at the end."""

    def __init__(self, sizes: Sequence[int], rng: np.random.Generator) -> None:
        self.weights: list[Floats] = []
        for inputs, outputs in pairwise(sizes):
            self.weights.append(rng.standard_normal((inputs, outputs)) * np.sqrt(2.0 / inputs))
            self.weights.append(np.zeros(outputs))

    def forward(self, x: Floats, masks: Sequence[Floats] = ()) -> tuple[Floats, Cache]:
        """Output (n, out) of x (n, in) and what ``backward`` needs; ``masks`` scale the hidden layers (dropout)."""
        cache: Cache = []
        last = len(self.weights) // 2 - 1
        for layer in range(last + 1):
            pre = x @ self.weights[2 * layer] + self.weights[2 * layer + 1]
            slope = np.ones_like(pre)
            out = pre
            if layer < last:
                out, slope = softplus(pre), sigmoid(pre)
                if masks:
                    out, slope = out * masks[layer], slope * masks[layer]
            cache.append((x, slope))
            x = out
        return x, cache

    def backward(self, cache: Cache, gradient: Floats) -> tuple[list[Floats], Floats]:
        """Gradients of the weights, and of the input (n, in), for d loss / d output (n, out)."""
        gradients: list[Floats] = []
        for layer in reversed(range(len(cache))):
            x, slope = cache[layer]
            gradient = gradient * slope
            gradients = [x.T @ gradient, gradient.sum(axis=0), *gradients]
            gradient = gradient @ self.weights[2 * layer].T
        return gradients, gradient

    def masks(self, rows: int, dropout: float, rng: np.random.Generator) -> list[Floats]:
        """Random masks for the hidden layers, scaled so that the mean stays."""
        hidden = [bias.shape[0] for bias in self.weights[1:-2:2]]
        return [(rng.random((rows, size)) >= dropout) / (1 - dropout) for size in hidden]


class Adam:
    """Adam (Kingma and Ba 2015) over a list of arrays, changed in place."""

    def __init__(self, weights: list[Floats], learning_rate: float) -> None:
        self._weights, self._rate, self._step = weights, learning_rate, 0
        self._mean = [np.zeros_like(w) for w in weights]
        self._square = [np.zeros_like(w) for w in weights]

    def step(self, gradients: Sequence[Floats]) -> None:
        """One descent step."""
        self._step += 1
        rate = self._rate * np.sqrt(1 - 0.999**self._step) / (1 - 0.9**self._step)
        for w, g, m, v in zip(self._weights, gradients, self._mean, self._square, strict=True):
            m += 0.1 * (g - m)
            v += 0.001 * (g * g - v)
            w -= rate * m / (np.sqrt(v) + 1e-8)


def softplus(x: Floats) -> Floats:
    """log(1 + exp(x)) without overflow."""
    return np.logaddexp(0.0, x)


def sigmoid(x: Floats) -> Floats:
    """1 / (1 + exp(-x)) without overflow."""
    return 0.5 * (1.0 + np.tanh(0.5 * x))
