"""A small categorical space with conditional genes: what strategies need of a search space, in plain NumPy."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class TreeGene:
    """A gene; ``when`` = (index of an earlier gene, its options that make this one active)."""

    name: str
    options: tuple
    ordered: bool = False
    when: tuple[int, frozenset[int]] | None = None


class TreeSpace:
    """Every method has the meaning of the same method of ``search_spaces.space.SearchSpace``."""

    def __init__(self, genes: list[TreeGene], costs=None) -> None:
        self.genes = tuple(genes)
        self._costs = costs
        self._sizes = np.array([len(gene.options) for gene in genes])
        lowest = 0 if all(gene.when is None for gene in genes) else -1
        values = [np.arange(lowest, size, dtype=np.int16) for size in self._sizes]
        rows = np.stack(np.meshgrid(*values, indexing="ij"), axis=-1).reshape(-1, len(genes))
        self._all = rows[self.valid(rows)]
        self.cardinality = len(self._all)
        self.id = "spc_tree"

    @staticmethod
    def _switched_on(gene, genes):
        """Whether what the gene hangs on has one of the options that make it active."""
        if gene.when is None:
            return np.ones(len(genes), dtype=bool)
        parent, options = gene.when
        return (genes[:, [parent]] == list(options)).any(axis=1)

    def _active(self, genes):
        active = np.ones(genes.shape, dtype=bool)
        for j, gene in enumerate(self.genes):
            if gene.when is not None:
                active[:, j] = active[:, gene.when[0]] & self._switched_on(gene, genes)
        return active

    def valid(self, genes):
        active = self._active(genes)
        inside = (genes >= 0) & (genes < self._sizes)
        return np.where(active, inside, genes == -1).all(axis=1)

    def canonical(self, genes):
        out = np.atleast_2d(genes).astype(np.int16).copy()
        for j, gene in enumerate(self.genes):
            out[:, j] = np.where(self._switched_on(gene, out), np.maximum(out[:, j], 0), -1)
        return out.reshape(np.shape(genes))

    def sample(self, n, rng):
        return self._all[rng.integers(len(self._all), size=n)]

    def _repair(self, genes, rng):
        """Switch off what is inactive, redraw what became active."""
        for j, gene in enumerate(self.genes):
            drawn = rng.integers(len(gene.options), size=len(genes))
            kept = np.where(genes[:, j] < 0, drawn, genes[:, j])
            genes[:, j] = np.where(self._switched_on(gene, genes), kept, -1)
        return genes

    def mutate(self, genes, rng, num_mutations=1):
        out = genes.astype(np.int16).copy()
        for row in out:
            choosable = [j for j in range(len(row)) if row[j] >= 0 and self._sizes[j] > 1]
            for j in rng.permutation(choosable)[:num_mutations]:
                row[j] = (row[j] + rng.integers(1, self._sizes[j])) % self._sizes[j]
        return self._repair(out, rng)

    def crossover(self, a, b, rng):
        out = np.where(rng.random(a.shape) < 0.5, a, b).astype(np.int16)
        return self._repair(np.where(out < 0, np.maximum(a, b), out).astype(np.int16), rng)

    def neighbours(self, genes):
        rows = []
        for j, value in enumerate(genes):
            if value < 0:
                continue
            for option in range(self._sizes[j]):
                if option != value:
                    row = genes.copy()
                    row[j] = option
                    rows.append(self.canonical(row))
        return np.unique(np.array(rows, dtype=np.int16).reshape(-1, len(genes)), axis=0)

    def enumerate(self, limit=100_000):
        if self.cardinality > limit:
            raise ValueError("too many")
        return self._all.copy()

    def costs(self, genes, scale="search"):
        return self._costs(np.atleast_2d(genes))

    def largest(self):
        return self.canonical(np.array([size - 1 for size in self._sizes], dtype=np.int16))

    def smallest(self):
        return self.canonical(np.zeros(len(self.genes), dtype=np.int16))

    def uniform_scaling(self, k):
        rows = []
        for position in np.linspace(0, 1, k):
            row = [
                round(position * (size - 1)) if gene.ordered else 0
                for gene, size in zip(self.genes, self._sizes, strict=True)
            ]
            rows.append(self.canonical(np.array(row, dtype=np.int16)))
        return np.unique(np.array(rows), axis=0)

    def encode_one_hot(self, genes):
        blocks = [(genes[:, [j]] == np.arange(size)) for j, size in enumerate(self._sizes)]
        return np.concatenate(blocks, axis=1).astype(np.float32)

    def encode_ordinal(self, genes):
        return np.where(genes < 0, -1.0, genes / np.maximum(self._sizes - 1, 1)).astype(np.float32)

    def sample_feasible(self, n, rng, bounds):
        drawn = self.sample(64 * n, rng)
        if not bounds:
            return drawn[:n]
        costs = self.costs(drawn)
        ok = np.ones(len(drawn), dtype=bool)
        for name, (low, high) in bounds.items():
            ok &= (costs[name] >= (-np.inf if low is None else low)) & (
                costs[name] <= (np.inf if high is None else high)
            )
        return drawn[ok][:n]

    def genes_of(self, choices):
        row = [gene.options.index(choices[gene.name]) if gene.name in choices else -1 for gene in self.genes]
        genes = np.array(row, dtype=np.int16)
        if not self.valid(genes[None])[0]:
            raise ValueError(f"not an architecture of this space: {choices}")
        return genes


@functools.cache
def flat_space(num_genes=6, num_options=5):
    """Unordered genes of equal size; the cost is the sum of the options."""
    genes = [TreeGene(f"g{i}", tuple(f"o{k}" for k in range(num_options))) for i in range(num_genes)]
    return TreeSpace(genes, lambda rows: {"macs": rows.sum(axis=1).astype(np.int64)})


@functools.cache
def conditional_space():
    """An ordered depth that switches layers on, each with a width, and a branch choice with its own gene."""
    genes = [
        TreeGene("depth", (1, 2, 3), True),
        TreeGene("width1", (8, 16, 24, 32), True),
        TreeGene("width2", (8, 16, 24, 32), True, (0, frozenset({1, 2}))),
        TreeGene("width3", (8, 16, 24, 32), True, (0, frozenset({2}))),
        TreeGene("head", ("linear", "attention")),
        TreeGene("heads", (1, 2, 4), True, (4, frozenset({1}))),
    ]
    return TreeSpace(genes, lambda rows: {"macs": (np.maximum(rows, -1) + 1).sum(axis=1).astype(np.int64)})
