"""LaMOO: learned partitions of the space, searched as a tree (Zhao et al. 2022; single objective: LaMCTS/LaNAS).

Results are split into a better and a worse half by how many others dominate them, a classifier learns the border, and
so on in each half; the regions form a tree whose nodes are worth the hypervolume of their results. An ask walks by
upper confidence bounds to a leaf and proposes an architecture from that region. Departures: a least-squares support
vector machine on the agreement of choices (one linear solve, no iteration); a region's members are what its classifiers
accept, in the fit too, so that routing and statistics agree; the inner sampler is variation of the leaf's members and
random draws; pending trials count as visits.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from nas_service.domain.pareto import hypervolume
from nas_service.methods.strategies.archive import Floats, unit_scaled
from nas_service.methods.strategies.base import Genes, Problem, Proposal, StrategyParams, generator
from nas_service.methods.strategies.learning import LearningStrategy

_REFERENCE = 1.1
_DEPTH = 6
_RIDGE = 0.1
_ROUNDS = 3


class LamooParams(StrategyParams):
    """Parameters of ``lamoo``."""

    initial: int = Field(20, ge=4, le=10_000, description="Random architectures before the first partition.")
    leaf: int = Field(10, ge=4, le=1_000, description="Results below which a region is not split.")
    max_points: int = Field(
        300, ge=20, le=2_000, description="Most results in the partition; bounds the time of a fit."
    )
    exploration: float = Field(
        0.1, ge=0, le=10, description="Weight of what was tried less often, in units of the best region's value."
    )
    candidates: int = Field(48, ge=4, le=1_000, description="Draws among which one in the region is looked for.")


@dataclass
class Border:
    """A least-squares support vector machine on gene vectors: positive on the better side."""

    genes: Genes
    weights: Floats
    bias: float

    @staticmethod
    def fit(genes: Genes, labels: Floats) -> Border:
        """From genes (n, G) and labels (n,) of +1 and -1 (Suykens and Vandewalle 1999)."""
        n = len(genes)
        system = np.zeros((n + 1, n + 1))
        system[0, 1:] = system[1:, 0] = 1.0
        system[1:, 1:] = _agreement(genes, genes) + _RIDGE * np.eye(n)
        solved = np.asarray(np.linalg.solve(system, np.concatenate(([0.0], labels))), dtype=np.float64)
        return Border(genes, solved[1:], float(solved[0]))

    def better(self, genes: Genes) -> NDArray[np.bool_]:
        """Which side (n,) genes (n, G) lie on."""
        return _agreement(genes, self.genes) @ self.weights + self.bias > 0


class Region:
    """A node of the partition with its results; a leaf has no border."""

    def __init__(self, genes: Genes, objectives: Floats) -> None:
        self.genes, self.objectives = genes, objectives
        self.value = hypervolume(objectives, np.full(objectives.shape[1], _REFERENCE))
        self.border: Border | None = None
        self.better: Region | None = None
        self.worse: Region | None = None

    def split(self, leaf: int, depth: int) -> None:
        """Partition down to ``leaf`` results or where a border separates nothing."""
        if depth == 0 or len(self.genes) < 2 * leaf:
            return
        F = self.objectives
        dominators = ((F[:, None] >= F[None]).all(axis=2) & (F[:, None] > F[None]).any(axis=2)).sum(axis=1)
        good = dominators <= np.median(dominators)
        if good.all():
            good = dominators < np.median(dominators)
        if not good.any() or good.all():
            return
        border = Border.fit(self.genes, np.where(good, 1.0, -1.0))
        side = border.better(self.genes)
        if min(side.sum(), (~side).sum()) < 2:
            return
        self.border = border
        self.better = Region(self.genes[side], F[side])
        self.worse = Region(self.genes[~side], F[~side])
        self.better.split(leaf, depth - 1)
        self.worse.split(leaf, depth - 1)


class Lamoo(LearningStrategy):
    """The partition is refitted at growing numbers of results, from those results alone."""

    name = "lamoo"
    help = "Learned partitions of the space searched as a tree; for several objectives and hundreds of evaluations."
    Params = LamooParams

    def __init__(self, problem: Problem, params: StrategyParams | None = None) -> None:
        super().__init__(problem, params)
        self._root: Region | None = None

    def propose(self, number: int, pending: Sequence[Genes]) -> Proposal | None:
        root = self._partition()
        rng = generator(self.problem.seed, number)
        taken = self.candidates.taken(pending)
        waiting = np.stack(list(pending)) if len(pending) else root.genes[:0]
        path, leaf = self._walk(root, waiting)
        for _ in range(_ROUNDS):
            new = self.candidates.fresh(self._draw(leaf, rng), taken)
            for border, side in path:
                new = new[border.better(new) == side] if len(new) else new
            if len(new):
                return Proposal(new[rng.integers(len(new))], {"kind": "region", "depth": len(path)})
        return None

    def _partition(self) -> Region:
        count = self._due()
        if self._root is None or count != self._fitted_at:
            window = self._archive.window(count, self.params.max_points)
            self._root = Region(self._archive.genes(window), unit_scaled(self._archive.objectives[window]))
            self._root.split(self.params.leaf, _DEPTH)
            self._fitted_at = count
        return self._root

    def _walk(self, root: Region, waiting: Genes) -> tuple[list[tuple[Border, bool]], Region]:
        """From the root to a leaf by upper confidence bounds; ``waiting`` (p, G) are visits without result."""
        path: list[tuple[Border, bool]] = []
        node, bonus = root, 2 * self.params.exploration * root.value
        while node.border is not None and node.better is not None and node.worse is not None:
            side = node.border.better(waiting) if len(waiting) else np.zeros(0, dtype=bool)
            visits = len(node.better.genes) + side.sum(), len(node.worse.genes) + (~side).sum()
            spread = 2 * math.log(sum(visits))
            better = node.better.value + bonus * math.sqrt(spread / visits[0])
            worse = node.worse.value + bonus * math.sqrt(spread / visits[1])
            first = bool(better >= worse)
            path.append((node.border, first))
            waiting = waiting[side == first]
            node = node.better if first else node.worse
        return path, node

    def _draw(self, leaf: Region, rng: np.random.Generator) -> Genes:
        """Candidates (n, G): mutations and crossings of the leaf's members, and random architectures."""
        space, count = self.problem.space, self.params.candidates // 3 + 1
        mothers, fathers = (leaf.genes[rng.integers(len(leaf.genes), size=count)] for _ in range(2))
        return np.concatenate(
            (
                space.mutate(mothers, rng, 1),
                space.mutate(space.crossover(mothers, fathers, rng), rng, 1),
                space.sample(count, rng),
            )
        )


def _agreement(a: Genes, b: Genes) -> Floats:
    """Kernel (n, m): exp(-3 x share of genes that differ)."""
    differing = (a[:, None, :] != b[None, :, :]).mean(axis=2)
    return np.exp(-3.0 * differing)
