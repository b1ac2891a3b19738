"""Distributions over architectures with gradients of their log-probabilities: independent choices, or a recurrent net.

Inactive genes are no decisions: they are neither drawn nor part of a probability. Every choice keeps a small share of
the uniform distribution, so no option is ever lost.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np

from nas_service.methods.strategies.base import Genes
from nas_service.methods.strategies.mlp import Floats
from search_spaces.space import SearchSpace

_HIDDEN = 32
_UNIFORM_SHARE = 0.02


class Policy(ABC):
    """Draws architectures and says how likely they were; ``weights`` are changed in place by an optimiser."""

    def __init__(self, space: SearchSpace) -> None:
        self.space = space
        self.sizes = [len(gene.options) for gene in space.genes]
        self.weights: list[Floats] = []

    @abstractmethod
    def sample(self, n: int, rng: np.random.Generator) -> Genes:
        """Canonical genes (n, G); constraints of the space may be broken."""

    @abstractmethod
    def log_probability(self, genes: Genes) -> Floats:
        """Logarithm of the probability (n,) of genes (n, G)."""

    @abstractmethod
    def gradient(self, genes: Genes, factors: Floats, entropy: float) -> list[Floats]:
        """Gradient of the mean over rows of factor x log-probability + ``entropy`` x entropy of the choices."""


class TabularPolicy(Policy):
    """One table of logits per gene, independent of the others."""

    def __init__(self, space: SearchSpace, rng: np.random.Generator) -> None:
        super().__init__(space)
        self.weights = [1e-3 * rng.standard_normal(size) for size in self.sizes]

    def sample(self, n: int, rng: np.random.Generator) -> Genes:
        columns = [_draw(np.tile(_mixed(_softmax(table)), (n, 1)), rng) for table in self.weights]
        return self.space.canonical(np.stack(columns, axis=1).astype(np.int16))

    def log_probability(self, genes: Genes) -> Floats:
        total = np.zeros(len(genes))
        for gene, table in enumerate(self.weights):
            active = genes[:, gene] >= 0
            total[active] += np.log(_mixed(_softmax(table)))[genes[active, gene]]
        return total

    def gradient(self, genes: Genes, factors: Floats, entropy: float) -> list[Floats]:
        result = []
        for gene, table in enumerate(self.weights):
            active = genes[:, gene] >= 0
            logits = np.tile(table, (int(active.sum()), 1))
            result.append(_logit_gradient(logits, genes[active, gene], factors[active], entropy).sum(0) / len(genes))
        return result


class RecurrentPolicy(Policy):
    """A recurrent network over the genes; what was chosen before is the input of the next choice."""

    def __init__(self, space: SearchSpace, rng: np.random.Generator) -> None:
        super().__init__(space)
        self._offsets = np.concatenate(([0], np.cumsum(self.sizes)))
        inputs = int(self._offsets[-1]) + 1  # the last one: an inactive gene, and the start
        shapes = [(inputs, _HIDDEN), (_HIDDEN, _HIDDEN), (_HIDDEN,)]
        self.weights = [rng.uniform(-0.1, 0.1, shape) for shape in shapes]
        for size in self.sizes:
            self.weights += [rng.uniform(-0.1, 0.1, (_HIDDEN, size)), np.zeros(size)]

    def _input(self, genes: Genes, gene: int) -> np.ndarray:
        """Rows of the embedding (n,) that stand for what was chosen before ``gene``."""
        if gene == 0:
            return np.full(len(genes), self._offsets[-1])
        chosen = genes[:, gene - 1]
        return np.where(chosen >= 0, self._offsets[gene - 1] + chosen, self._offsets[-1])

    def _step(self, hidden: Floats, inputs: np.ndarray) -> Floats:
        embedding, recurrence, bias = self.weights[:3]
        return np.tanh(embedding[inputs] + hidden @ recurrence + bias)

    def _logits(self, hidden: Floats, gene: int) -> Floats:
        return hidden @ self.weights[3 + 2 * gene] + self.weights[4 + 2 * gene]

    def sample(self, n: int, rng: np.random.Generator) -> Genes:
        genes = np.full((n, len(self.sizes)), -1, dtype=np.int16)
        hidden = np.zeros((n, _HIDDEN))
        for gene in range(len(self.sizes)):
            hidden = self._step(hidden, self._input(genes, gene))
            drawn = _draw(_mixed(_softmax(self._logits(hidden, gene))), rng)
            # Conditions look at earlier genes alone, so what canonical fills in behind does not matter.
            active = self.space.canonical(genes)[:, gene] >= 0
            genes[:, gene] = np.where(active, drawn, -1)
        return genes

    def log_probability(self, genes: Genes) -> Floats:
        total, hidden = np.zeros(len(genes)), np.zeros((len(genes), _HIDDEN))
        for gene in range(len(self.sizes)):
            hidden = self._step(hidden, self._input(genes, gene))
            active = genes[:, gene] >= 0
            probabilities = _mixed(_softmax(self._logits(hidden[active], gene)))
            total[active] += np.log(probabilities[np.arange(len(probabilities)), genes[active, gene]])
        return total

    def gradient(self, genes: Genes, factors: Floats, entropy: float) -> list[Floats]:
        result = [np.zeros_like(w) for w in self.weights]
        states = [np.zeros((len(genes), _HIDDEN))]
        for gene in range(len(self.sizes)):
            states.append(self._step(states[-1], self._input(genes, gene)))
        later = np.zeros_like(states[0])
        for gene in reversed(range(len(self.sizes))):
            hidden, active = states[gene + 1], genes[:, gene] >= 0
            logits = self._logits(hidden[active], gene)
            at_logits = _logit_gradient(logits, genes[active, gene], factors[active], entropy) / len(genes)
            result[3 + 2 * gene] = hidden[active].T @ at_logits
            result[4 + 2 * gene] = at_logits.sum(axis=0)
            later[active] += at_logits @ self.weights[3 + 2 * gene].T
            before = later * (1 - hidden**2)
            np.add.at(result[0], self._input(genes, gene), before)
            result[1] += states[gene].T @ before
            result[2] += before.sum(axis=0)
            later = before @ self.weights[1].T
        return result


def _softmax(logits: Floats) -> Floats:
    shifted = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return shifted / shifted.sum(axis=-1, keepdims=True)


def _mixed(probabilities: Floats) -> Floats:
    return (1 - _UNIFORM_SHARE) * probabilities + _UNIFORM_SHARE / probabilities.shape[-1]


def _draw(probabilities: Floats, rng: np.random.Generator) -> np.ndarray:
    """One option (n,) per row of probabilities (n, options)."""
    drawn = (rng.random((len(probabilities), 1)) >= np.cumsum(probabilities, axis=1)).sum(axis=1)
    return np.minimum(drawn, probabilities.shape[1] - 1)


def _logit_gradient(logits: Floats, chosen: np.ndarray, factors: Floats, entropy: float) -> Floats:
    """Gradient (n, options) by the logits of factor x log p(chosen) + entropy x H(p), p mixed with uniform."""
    soft = _softmax(logits)
    mixed = _mixed(soft)
    rows = np.arange(len(logits))
    by_probability = np.zeros_like(soft)
    by_probability[rows, chosen] = factors / mixed[rows, chosen]
    by_probability -= entropy * (np.log(mixed) + 1.0)
    by_probability *= 1 - _UNIFORM_SHARE
    return soft * (by_probability - (soft * by_probability).sum(axis=1, keepdims=True))
