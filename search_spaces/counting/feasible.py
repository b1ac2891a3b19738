"""Sampling under hard cost bounds where feasible architectures are rare.

Exactly uniform and independent wherever that is cheap: uniform draws are kept when they meet the bounds, and drawn on
for as long as that costs less than walking; a small space is enumerated instead. Where feasible members are rarer,
walks continue from the draws inside, or from those nearest to the bounds when hardly any is inside: while a walk
violates the bounds it accepts only mutations that do not violate more; once inside it is a Metropolis-Hastings walk
whose stationary distribution is uniform over the feasible region (the acceptance ratio corrects for architectures with
different numbers of active genes and for the options of genes that appear). Its members are spread over the region,
but neither exactly uniform nor independent after so few steps. Every returned architecture is checked against the
bounds, so none is wasted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from search_spaces.counting import ranking
from search_spaces.counting.operators import Operators

Bounds = Mapping[str, tuple[float | None, float | None]]
Costs = Callable[[np.ndarray], Mapping[str, np.ndarray]]
MAX_STEPS = 400
MAX_STALLED = 60  # steps without progress of the best walk before bounds that no walk has met are given up
THINNING = 24
ENUMERATED = 16_384  # members of a space that is looked through as a whole
BATCH = 65_536


def violation(costs: Mapping[str, np.ndarray], bounds: Bounds) -> np.ndarray:
    """Total relative distance outside the bounds, float64 (n,); 0 means feasible."""
    total = np.zeros(len(next(iter(costs.values()))), dtype=np.float64)
    for name, (low, high) in bounds.items():
        value = np.asarray(costs[name], dtype=np.float64)
        if low is not None:
            total += np.maximum(0.0, low - value) / max(abs(low), 1.0)
        if high is not None:
            total += np.maximum(0.0, value - high) / max(abs(high), 1.0)
    return total


def sample_feasible(
    operators: Operators, costs: Costs, anchors: np.ndarray, n: int, rng: np.random.Generator, bounds: Bounds
) -> np.ndarray:
    """Up to n feasible architectures (m, G); fewer only when the walks find no way into the bounds."""
    counter = operators.counter
    drawn = counter.sample(max(1_024, 2 * n), rng)
    wrong = violation(costs(drawn), bounds)
    found = drawn[wrong == 0.0]
    if len(found) < n and counter.cardinality <= ENUMERATED:
        members = ranking.unrank(counter, range(counter.cardinality))
        inside_of_all = members[violation(costs(members), bounds) == 0.0]
        return inside_of_all[rng.integers(len(inside_of_all), size=n)] if len(inside_of_all) else inside_of_all
    rate = len(found) / len(drawn)
    while len(found) < n and rate * THINNING >= 1.0:
        more = counter.sample(min(BATCH, int((n - len(found)) / rate) + 1_024), rng)
        found = np.concatenate([found, more[violation(costs(more), bounds) == 0.0]])
    if len(found) >= n:
        return found[:n]
    anchor_wrong = violation(costs(anchors), bounds)
    pool, pool_wrong = np.concatenate([drawn, anchors]), np.concatenate([wrong, anchor_wrong])
    walks = max((n - len(found)) * 5 // 4 + 1, 32)  # some walks find no way in
    inside = np.flatnonzero(pool_wrong == 0.0)
    nearest = inside if len(inside) >= 4 else np.argsort(pool_wrong, kind="stable")[: max(8, walks // 4)]
    chosen = nearest[rng.integers(len(nearest), size=walks)]
    state, outside = pool[chosen], pool_wrong[chosen]
    sizes = operators.sizes
    inside_steps = np.zeros(walks, dtype=np.int64)
    nearest_so_far, stalled = np.inf, 0
    for _ in range(MAX_STEPS):
        if (inside_steps >= THINNING).mean() >= 0.9 or stalled >= MAX_STALLED:
            break
        proposed = operators.step(state, rng)
        proposed_wrong = np.full(walks, np.inf)
        member = counter.satisfied(proposed)
        if member.any():
            proposed_wrong[member] = violation(costs(proposed[member]), bounds)
        # Forward and backward chances differ by active-gene counts and by the options of appearing genes.
        before, after = (state >= 0) & (sizes > 1), (proposed >= 0) & (sizes > 1)
        log_sizes = np.log(np.maximum(sizes, 1))
        appeared = ((proposed >= 0) & (state < 0)) @ log_sizes
        vanished = ((state >= 0) & (proposed < 0)) @ log_sizes
        log_ratio = (
            np.log(np.maximum(before.sum(axis=1), 1)) - np.log(np.maximum(after.sum(axis=1), 1)) + appeared - vanished
        )
        fair = np.log(np.maximum(rng.random(walks), 1e-300)) < log_ratio
        accept = np.where(outside > 0.0, proposed_wrong <= outside, (proposed_wrong == 0.0) & fair)
        state = np.where(accept[:, None], proposed, state)
        outside = np.where(accept, proposed_wrong, outside)
        inside_steps += outside == 0.0
        stalled = 0 if outside.min() < nearest_so_far or outside.min() == 0.0 else stalled + 1
        nearest_so_far = min(nearest_so_far, float(outside.min()))
    candidates = np.concatenate([found, state[outside == 0.0]])[:n]
    return candidates[violation(costs(candidates), bounds) == 0.0] if len(candidates) else candidates
