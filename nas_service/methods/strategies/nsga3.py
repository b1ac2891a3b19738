"""NSGA-III: survivors spread over reference directions instead of by crowding (Deb and Jain 2014).

For three and more objectives, where almost everything is non-dominated and crowding says little. Departures: steady
state by default, as in ``nsga2``; the direction of a survivor counts in a tournament, since a lonely one breeds well.
"""

from __future__ import annotations

from itertools import combinations
from math import comb

import numpy as np
from numpy.typing import NDArray

from nas_service.methods.strategies.nsga2 import Nsga2, Nsga2Params
from nas_service.methods.strategies.population import Population

Floats = NDArray[np.float64]
_TINY = 1e-12


class Nsga3Params(Nsga2Params):
    """Parameters of ``nsga3``: those of ``nsga2``. The number of directions follows the population."""


class Nsga3(Nsga2):
    """NSGA-II's loop with survival by niches around evenly spread directions."""

    name = "nsga3"
    help = "Evolution for three or four objectives: the front is kept spread over reference directions."
    Params = Nsga3Params

    def new_population(self) -> Population:
        return NichePopulation(self.problem.num_objectives)


class NichePopulation(Population):
    """Ranked by dominance; the last rank that fits is filled where directions have fewest members.

    ``crowding`` is minus the number of members that share the direction, so tournaments prefer the lonely.
    """

    def __init__(self, num_objectives: int) -> None:
        super().__init__()
        self._num_objectives = num_objectives
        self._directions: dict[int, Floats] = {}

    def truncate(self, size: int) -> None:
        if size not in self._directions:
            self._directions[size] = reference_directions(self._num_objectives, size)
        niche, distance = associate(normalise(self.objectives, self.ranks == 0), self._directions[size])
        counts = np.bincount(niche, minlength=len(self._directions[size]))
        if len(self) > size:
            kept = survivors(self.ranks, niche, distance, len(counts), size)
            self.keep(kept)
            niche = niche[kept]
            counts = np.bincount(niche, minlength=len(counts))
        self.crowding = -counts[niche].astype(np.float64)


def survivors(
    ranks: NDArray[np.int64], niche: NDArray[np.int64], distance: Floats, num_directions: int, size: int
) -> NDArray[np.int64]:
    """Indices (size,) ascending: whole ranks while they fit, then from the next one by niches.

    Ties go to the member nearer to its direction and then to the older one, never to chance.
    """
    order = np.sort(ranks)
    last = order[size - 1]
    chosen = list(np.flatnonzero(ranks < last))
    waiting = list(np.flatnonzero(ranks == last))
    counts = np.bincount(niche[chosen], minlength=num_directions) if chosen else np.zeros(num_directions, np.int64)
    while len(chosen) < size:
        best = min(waiting, key=lambda i: (counts[niche[i]], distance[i], i))
        waiting.remove(best)
        counts[niche[best]] += 1
        chosen.append(best)
    return np.sort(np.array(chosen, dtype=np.int64))


def reference_directions(num_objectives: int, size: int) -> Floats:
    """Points (D, M) on the unit simplex, the finest Das and Dennis lattice with at most ``size`` of them.

    One objective has one direction. Below the size of the coarsest lattice the axes and the middle remain.
    """
    if num_objectives == 1:
        return np.ones((1, 1))
    parts = 1
    while comb(num_objectives + parts, parts + 1) <= size:
        parts += 1
    bars = np.array(list(combinations(range(parts + num_objectives - 1), num_objectives - 1)))
    edges = np.concatenate(
        (np.full((len(bars), 1), -1), bars, np.full((len(bars), 1), parts + num_objectives - 1)), axis=1
    )
    lattice = (np.diff(edges, axis=1) - 1) / parts
    return lattice if parts > 1 else np.concatenate((lattice, np.full((1, num_objectives), 1 / num_objectives)))


def normalise(objectives: Floats, on_front: NDArray[np.bool_]) -> Floats:
    """Objectives (n, M) from the ideal point, divided by the intercepts of the plane through the extreme points.

    Where these points span no plane, or it cuts an axis at no positive place, by the nadir of the front.
    """
    shifted = objectives - objectives.min(axis=0)
    front = shifted[on_front]
    m = objectives.shape[1]
    # The member nearest to each axis, judged by its largest weighted objective.
    weights = np.where(np.eye(m, dtype=bool), 1.0, 1e6)
    extremes = front[np.argmin((front[None] * weights[:, None]).max(axis=2), axis=1)]
    nadir = front.max(axis=0)
    intercepts = nadir
    if np.linalg.matrix_rank(extremes) == m:
        plane = np.linalg.solve(extremes, np.ones(m))
        if (plane > _TINY).all() and (1 / plane >= 1e-6 * nadir).all():
            intercepts = 1 / plane
    return shifted / np.where(intercepts > _TINY * np.maximum(1.0, nadir), intercepts, 1.0)


def associate(scaled: Floats, directions: Floats) -> tuple[NDArray[np.int64], Floats]:
    """For each point (n, M) the direction with the smallest perpendicular distance (n,), and that distance (n,)."""
    unit = directions / np.linalg.norm(directions, axis=1, keepdims=True)
    along = scaled @ unit.T
    squared = np.maximum((scaled**2).sum(axis=1)[:, None] - along**2, 0.0)
    nearest = np.argmin(squared, axis=1)
    return nearest, np.sqrt(squared[np.arange(len(scaled)), nearest])
