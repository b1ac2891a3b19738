"""Exact Pareto tools on arrays of minimised objectives: dominance, ranks, crowding, hypervolume, best k.

Every function takes ``F`` of shape (N, M): N points, M objectives, all minimised. A point dominates another when it
is nowhere worse and somewhere better. NaN is refused with ``ValueError``, since it neither dominates nor is
dominated. Only points that are better than the reference in every objective add to a hypervolume.

Hypervolume by dimension sweep: points enter in order of their last objective, so each new one adds a slab whose base is
what it adds to the hypervolume of the remaining objectives (While, Bradstreet, Barone: "A fast way of calculating
exact hypervolumes", 2012; slicing after Fonseca, Paquete, Lopez-Ibanez 2006). Crowding and ranks: Deb et al. 2002.
"""

from __future__ import annotations

import heapq
from bisect import bisect_left, bisect_right

import numpy as np
from numpy.typing import ArrayLike, NDArray

_BLOCK = 256
_NUM_PIVOTS = 24
_SMALL = 2_000


def _checked(points: ArrayLike) -> NDArray[np.float64]:
    F = np.asarray(points, dtype=np.float64)
    if F.ndim != 2 or F.shape[1] < 1:
        raise ValueError(f"objectives must have shape (N, M) with M >= 1, got {F.shape}")
    if np.isnan(F).any():
        raise ValueError("objectives contain NaN")
    return F


def _checked_reference(reference: ArrayLike, num_objectives: int) -> NDArray[np.float64]:
    r = np.asarray(reference, dtype=np.float64)
    if r.shape != (num_objectives,) or not np.isfinite(r).all():
        raise ValueError(f"the reference must be {num_objectives} finite numbers, got {r!r}")
    return r


def non_dominated(points: ArrayLike) -> NDArray[np.bool_]:
    """Mask (N,) of the points that no other point dominates; of equal points only the first is kept."""
    F = _checked(points)
    n, m = F.shape
    mask = np.zeros(n, dtype=bool)
    if n == 0:
        return mask
    candidates = np.arange(n)
    if n > _SMALL:
        candidates = _discard_clearly_dominated(F, candidates)
    G = F[candidates]
    # Lexicographic order (index last): whoever dominates, or equals and comes first, is earlier.
    order = np.lexsort((candidates, *G.T[::-1]))
    G = G[order]
    if m == 1:
        keep = np.zeros(len(G), dtype=bool)
        keep[0] = True
    elif m == 2:
        best_before = np.concatenate(([np.inf], np.minimum.accumulate(G[:-1, 1])))
        keep = G[:, 1] < best_before
        keep[0] = True
    elif m == 3:
        keep = _sweep_three(G)
    else:
        keep = _filter_blocks(G)
    mask[candidates[order[keep]]] = True
    return mask


def _discard_clearly_dominated(F: NDArray[np.float64], candidates: NDArray[np.intp]) -> NDArray[np.intp]:
    """Drop what a few good pivots dominate strictly; cheap passes that leave few points in the usual case."""
    remaining = candidates
    columns = [np.ascontiguousarray(column) for column in F.T]
    low, high = F.min(axis=0), F.max(axis=0)
    if not (np.isfinite(low).all() and np.isfinite(high).all()):
        return remaining
    width = np.where(high > low, high - low, 1.0)
    badness = np.zeros(len(F))
    worst = np.zeros(len(F))
    for column, start, span in zip(columns, low, width, strict=True):
        scaled = (column - start) / span
        badness += scaled
        np.maximum(worst, scaled, out=worst)
    rng = np.random.default_rng(0)  # only the speed depends on these draws, never the result
    for turn in range(_NUM_PIVOTS):
        if len(remaining) <= _SMALL:
            break
        if turn == 0:
            pivot = F[remaining[np.argmin(worst[remaining])]]
        elif turn == 1:
            pivot = F[remaining[np.argmin(badness[remaining])]]
        else:
            weights = rng.dirichlet(np.ones(F.shape[1])) / width
            some = remaining if len(remaining) < 50_000 else rng.choice(remaining, 50_000)
            pivot = F[some[np.argmin(F[some] @ weights)]]
        outside = np.zeros(len(remaining), dtype=bool)
        for j, column in enumerate(columns):
            outside |= column[remaining] <= pivot[j]
        kept = remaining[outside]
        if turn > 4 and len(kept) > 0.95 * len(remaining):
            return kept
        remaining = kept
    return remaining


def _sweep_three(G: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Sweep over the first objective in lexicographic order with the staircase of the other two."""
    keep = np.zeros(len(G), dtype=bool)
    ys: list[float] = []  # ascending
    zs: list[float] = []  # descending, same positions
    for i, (y, z) in enumerate(zip(G[:, 1].tolist(), G[:, 2].tolist(), strict=True)):
        at = bisect_right(ys, y)
        if at > 0 and zs[at - 1] <= z:
            continue
        keep[i] = True
        start = bisect_left(ys, y)
        end = start
        while end < len(ys) and zs[end] >= z:
            end += 1
        ys[start:end] = [y]
        zs[start:end] = [z]
    return keep


def _filter_blocks(G: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Any number of objectives: blocks in lexicographic order against the archive, then within themselves."""
    keep = np.zeros(len(G), dtype=bool)
    archive = np.empty((0, G.shape[1]))
    for start in range(0, len(G), _BLOCK):
        block = G[start : start + _BLOCK]
        alive = np.ones(len(block), dtype=bool)
        for chunk in range(0, len(archive), _BLOCK):
            rows = np.flatnonzero(alive)
            if len(rows) == 0:
                break
            covered = (archive[None, chunk : chunk + _BLOCK] <= block[rows, None]).all(axis=2)
            alive[rows[np.any(covered, axis=1)]] = False
        rows = np.flatnonzero(alive)
        if len(rows) == 0:
            continue
        # Earlier in lexicographic order and nowhere worse: dominates, or is an equal that came first.
        covered = np.tril((block[rows][None, :] <= block[rows][:, None]).all(axis=2), k=-1)
        rows = rows[~covered.any(axis=1)]
        keep[start + rows] = True
        archive = np.concatenate((archive, block[rows]))
    return keep


def front_ranks(points: ArrayLike) -> NDArray[np.int64]:
    """Rank (N,) by peeling: 0 for the front, 1 for the front of the rest, and so on; equal points share a rank."""
    F = _checked(points)
    if len(F) == 0:
        return np.zeros(0, dtype=np.int64)
    unique, inverse = np.unique(F, axis=0, return_inverse=True)
    ranks = np.empty(len(unique), dtype=np.int64)
    left = np.arange(len(unique))
    rank = 0
    while len(left):
        front = non_dominated(unique[left])
        ranks[left[front]] = rank
        left = left[~front]
        rank += 1
    return ranks[inverse.reshape(-1)]


def crowding(points: ArrayLike) -> NDArray[np.float64]:
    """Crowding distance (N,) of the points of one front: larger is lonelier, the ends are infinite.

    Each objective is scaled by its own range in the front; a constant objective says nothing and adds nothing.
    """
    F = _checked(points)
    if not np.isfinite(F).all():
        raise ValueError("crowding needs finite objectives")
    n, m = F.shape
    if n <= 2:
        return np.full(n, np.inf)
    distance = np.zeros(n)
    for j in range(m):
        order = np.argsort(F[:, j], kind="stable")
        values = F[order, j]
        span = values[-1] - values[0]
        if span == 0:
            continue
        distance[order[0]] = distance[order[-1]] = np.inf
        distance[order[1:-1]] += (values[2:] - values[:-2]) / span
    return distance


def hypervolume(points: ArrayLike, reference: ArrayLike) -> float:
    """Exact volume dominated by the points and bounded by ``reference`` (M,); meant for M <= 4, right for any M."""
    F = _checked(points)
    r = _checked_reference(reference, F.shape[1])
    F = F[(r > F).all(axis=1)]
    if len(F) == 0:
        return 0.0
    return _volume(F[non_dominated(F)], r)


def _volume(F: NDArray[np.float64], r: NDArray[np.float64]) -> float:
    """Hypervolume of points strictly inside the reference; dominated ones may be among them when M <= 3."""
    m = F.shape[1]
    if len(F) == 1:
        return float(np.prod(r - F[0]))
    if m == 1:
        return float(r[0] - F.min())
    if m == 2:
        order = np.lexsort((F[:, 1], F[:, 0]))
        x, y = F[order, 0], np.minimum.accumulate(F[order, 1])
        widths = np.diff(np.append(x, r[0]))
        return float(widths @ (r[1] - y))
    if m == 3:
        return _volume_three(F, r)
    F = F[np.argsort(F[:, -1], kind="stable")]
    base, r_base = F[:, :-1], r[:-1]
    total = 0.0
    for i in range(len(F)):
        total += _gain(base[i], base[:i], r_base) * (r[-1] - F[i, -1])
    return float(total)


def _volume_three(F: NDArray[np.float64], r: NDArray[np.float64]) -> float:
    """Slabs along the third objective over a staircase of the first two, kept sorted."""
    order = np.argsort(F[:, 2], kind="stable")
    rx, ry, rz = (float(value) for value in r)
    xs: list[float] = []
    ys: list[float] = []
    total = 0.0
    for x, y, z in F[order].tolist():
        at = bisect_right(xs, x)
        if at > 0 and ys[at - 1] <= y:
            continue
        start = bisect_left(xs, x)
        end = start
        ceiling = ys[start - 1] if start > 0 else ry
        left, area = x, 0.0
        while end < len(xs) and ys[end] >= y:
            area += (xs[end] - left) * (ceiling - y)
            left, ceiling = xs[end], ys[end]
            end += 1
        right = xs[end] if end < len(xs) else rx
        area += (right - left) * (ceiling - y)
        xs[start:end] = [x]
        ys[start:end] = [y]
        total += area * (rz - z)
    return total


def _gain(point: NDArray[np.float64], others: NDArray[np.float64], r: NDArray[np.float64]) -> float:
    """Volume that ``point`` (M,) adds to ``others`` (K, M); all strictly inside the reference."""
    box = float(np.prod(r - point))
    if len(others) == 0:
        return box
    limited = np.maximum(others, point)
    if (limited == point).all(axis=1).any():
        return 0.0
    if len(point) > 3:
        limited = limited[non_dominated(limited)]
    return max(0.0, box - _volume(limited, r))


class IncrementalHypervolume:
    """Hypervolume of a growing set: ``add`` costs one pass over the current front, not over all points."""

    def __init__(self, reference: ArrayLike) -> None:
        r = np.asarray(reference, dtype=np.float64)
        self._reference = _checked_reference(r, r.size)
        self._front = np.empty((0, r.size))
        self.value = 0.0

    def add(self, point: ArrayLike) -> float:
        """Take in one point (M,) and return the hypervolume of everything seen so far."""
        p = _checked(np.atleast_2d(np.asarray(point, dtype=np.float64)))[0]
        if p.shape != self._reference.shape:
            raise ValueError(f"expected {self._reference.size} objectives, got {p.size}")
        if not (p < self._reference).all() or (self._front <= p).all(axis=1).any():
            return self.value
        self.value += _gain(p, self._front, self._reference)
        survivors = self._front[~(self._front >= p).all(axis=1)]
        self._front = np.concatenate((survivors, p[None]))
        return self.value


def hypervolume_sequence(points: ArrayLike, reference: ArrayLike) -> NDArray[np.float64]:
    """Hypervolume (N,) after the first 1, 2, ..., N points."""
    F = _checked(points)
    _checked_reference(reference, F.shape[1])
    running = IncrementalHypervolume(reference)
    return np.array([running.add(point) for point in F])


def hypervolume_contributions(points: ArrayLike, reference: ArrayLike) -> NDArray[np.float64]:
    """Volume (N,) that would be lost without each point; 0 for dominated, equal and out-of-reference points."""
    F = _checked(points)
    r = _checked_reference(reference, F.shape[1])
    result = np.zeros(len(F))
    inside = np.flatnonzero((r > F).all(axis=1))
    front = inside[non_dominated(F[inside])]
    for i in front:
        # Parts of its box are covered by the rest of the front, and by what it dominates or equals once it leaves.
        behind = inside[(F[inside] >= F[i]).all(axis=1) & (inside != i)]
        result[i] = _gain(F[i], F[np.concatenate((front[front != i], behind))], r)
    return result


def select_best_k(points: ArrayLike, reference: ArrayLike, k: int) -> NDArray[np.int64]:
    """Indices of at most ``k`` front points by greedy hypervolume gain, best first; ties go to the lower index.

    Points outside the reference add no volume; they fill what is left, loneliest first, so that a front is never
    shortened by a narrow reference. Greedy gains only shrink, which allows re-evaluating the top of a heap alone.
    """
    F = _checked(points)
    r = _checked_reference(reference, F.shape[1])
    if k < 0:
        raise ValueError("k must not be negative")
    front = np.flatnonzero(non_dominated(F))
    inside = front[(r > F[front]).all(axis=1)]
    heap = [(-float(np.prod(r - F[i])), int(i), 0) for i in inside]
    heapq.heapify(heap)
    chosen: list[int] = []
    while heap and len(chosen) < k:
        _, i, computed_at = heapq.heappop(heap)
        if computed_at == len(chosen):
            chosen.append(i)
        else:
            heapq.heappush(heap, (-_gain(F[i], F[chosen], r), i, len(chosen)))
    rest = np.setdiff1d(front, chosen)
    if len(chosen) < k and len(rest):
        finite = np.isfinite(F[rest]).all(axis=1)
        rest = rest[finite]
        order = np.argsort(-crowding(F[rest]), kind="stable")
        chosen.extend(int(i) for i in rest[order][: k - len(chosen)])
    return np.array(chosen, dtype=np.int64)
