"""Variation of architectures: mutation, crossover, neighbours. All results are valid, canonical gene matrices."""

from __future__ import annotations

import numpy as np

from search_spaces.counting.counter import Counter

ROUNDS = 12


class Operators:
    """Operators over one counter's assignments."""

    def __init__(self, counter: Counter) -> None:
        self.counter = counter
        self.sizes = np.array(counter.sizes, dtype=np.int64)

    def random_fill(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """An independent option for every gene, (n, G): what newly active genes take."""
        return (rng.random((n, len(self.sizes))) * self.sizes).astype(np.int16)

    def step(self, genes: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """One uniformly chosen active gene gets another option, newly active genes random ones; may be invalid."""
        n = len(genes)
        movable = (genes >= 0) & (self.sizes > 1)
        scores = np.where(movable, rng.random(genes.shape), -1.0)
        gene = np.argmax(scores, axis=1) if genes.shape[1] else np.zeros(n, dtype=np.int64)
        rows = np.flatnonzero(movable.any(axis=1))
        child = genes.copy()
        size = self.sizes[gene[rows]]
        shift = 1 + (rng.random(len(rows)) * (size - 1)).astype(np.int64)
        child[rows, gene[rows]] = (genes[rows, gene[rows]] + shift) % size
        return self.counter.canonical(child, self.random_fill(n, rng))

    def mutate(self, genes: np.ndarray, rng: np.random.Generator, num_mutations: int = 1) -> np.ndarray:
        """Children (n, G), each valid and different from its parent (the parent itself in a space of one)."""
        result = genes.copy()
        for _ in range(max(1, num_mutations)):
            result = self._valid_step(result, rng)
        same = np.flatnonzero((result == genes).all(axis=1))
        if len(same):
            result[same] = self._valid_step(genes[same], rng)
        return result

    def _valid_step(self, genes: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        result = genes.copy()
        waiting = np.arange(len(genes))
        for _ in range(ROUNDS):
            if not len(waiting):
                return result
            tried = self.step(genes[waiting], rng)
            good = self.counter.satisfied(tried) & (tried != genes[waiting]).any(axis=1)
            result[waiting[good]] = tried[good]
            waiting = waiting[~good]
        # Constraints reject single steps here: take what repair makes of them, then any other member.
        for _ in range(ROUNDS):
            if not len(waiting):
                return result
            tried = self.counter.repair(self.step(genes[waiting], rng))
            differs = (tried != genes[waiting]).any(axis=1)
            result[waiting[differs]] = tried[differs]
            waiting = waiting[~differs]
        for row in waiting:
            options = self.neighbours(genes[row])
            if not len(options) and self.counter.cardinality > 1:
                drawn = self.counter.sample(64, rng)
                options = drawn[(drawn != genes[row]).any(axis=1)]
            if len(options):
                result[row] = options[rng.integers(len(options))]
        return result

    def crossover(self, a: np.ndarray, b: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Each gene from either parent (from the one that has it, where only one does), repaired to valid."""
        mixed = np.where(rng.random(a.shape) < 0.5, a, b)
        mixed = np.where(mixed < 0, np.maximum(a, b), mixed)
        child = self.counter.canonical(mixed, self.random_fill(len(a), rng))
        bad = np.flatnonzero(~self.counter.satisfied(child))
        if len(bad):
            child[bad] = self.counter.repair(child[bad])
        return child

    def neighbours(self, genes: np.ndarray) -> np.ndarray:
        """All valid architectures (m, G) that change one gene; genes that become active take their first option."""
        rows = [
            (gene, option)
            for gene, size in enumerate(self.sizes)
            if genes[gene] >= 0
            for option in range(size)
            if option != genes[gene]
        ]
        if not rows:
            return np.zeros((0, len(self.sizes)), dtype=np.int16)
        changed = np.repeat(genes[None, :].astype(np.int16), len(rows), axis=0)
        for position, (gene, option) in enumerate(rows):
            changed[position, gene] = option
        found = self.counter.canonical(changed)
        return found[self.counter.satisfied(found)]
