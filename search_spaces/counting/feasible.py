"""Sampling under hard cost bounds where feasible architectures are rare.

Exactly uniform and independent wherever that is cheap: uniform draws are kept when they meet the bounds, and drawn on
where about a hundred thousand give all that are asked for (a second's costs; walks would take as long and return some
members often); a small space is enumerated instead. Where feasible members are rarer, walks continue from the draws
inside, or from those nearest to the bounds when hardly any is inside. They change one to four genes at once: single
changes do not leave a narrow band, where one has to take away what another adds. While a walk violates the bounds it
accepts only what does not violate more; once inside it is a Metropolis-Hastings walk whose stationary distribution is
uniform over the feasible region (the acceptance ratio corrects for architectures with different numbers of active genes
and for the options of genes that appear). Its members are spread over the region, but neither exactly uniform nor
independent after so few steps. Every returned architecture is checked against the bounds, so none is wasted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from search_spaces.counting import ranking
from search_spaces.counting.counter import Counter
from search_spaces.counting.operators import Operators

Bounds = Mapping[str, tuple[float | None, float | None]]
Costs = Callable[[np.ndarray], Mapping[str, np.ndarray]]
Wrong = Callable[[np.ndarray], np.ndarray]  # `violation` of genes (n, G)
MAX_STEPS = 400
MAX_STALLED = 60  # steps without progress of the best walk before bounds that no walk has met are given up
THINNING = 24
ENUMERATED = 16_384  # members of a space that is looked through as a whole
BATCH = 65_536
MAX_DRAWN = 131_072  # uniform draws, about a second's costs
CHANGES = (0.25, 0.4, 0.2, 0.15)  # how often a walk proposes one to four changes at once


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

    def wrong(genes: np.ndarray) -> np.ndarray:
        return violation(costs(genes), bounds)

    drawn = counter.sample(max(1_024, 2 * n), rng)
    drawn_wrong = wrong(drawn)
    found = drawn[drawn_wrong == 0.0]
    if len(found) < n and counter.cardinality <= ENUMERATED:
        members = ranking.unrank(counter, range(counter.cardinality))
        inside = members[wrong(members) == 0.0]
        return inside[rng.integers(len(inside), size=n)] if len(inside) else inside
    found = _drawn_on(found, len(drawn), n, counter, wrong, rng)
    if len(found) < n:
        outer = drawn_wrong > 0.0
        pool = np.concatenate([found, drawn[outer], anchors])
        pool_wrong = np.concatenate([np.zeros(len(found)), drawn_wrong[outer], wrong(anchors)])
        num_walks = max((n - len(found)) * 5 // 4 + 1, 32)  # some walks find no way in
        found = np.concatenate([found, _walked(pool, pool_wrong, num_walks, operators, wrong, rng)])
    return found[:n]


def _drawn_on(
    found: np.ndarray, num_drawn: int, n: int, counter: Counter, wrong: Wrong, rng: np.random.Generator
) -> np.ndarray:
    """Those found among `num_drawn` uniform draws, and those of more draws where that promises n of them cheaply."""
    affordable = max(MAX_DRAWN, THINNING * n)
    while 0 < len(found) < n:
        expected = (n - len(found)) * num_drawn // len(found) + 1
        if num_drawn + expected > affordable:
            break
        more = counter.sample(min(BATCH, expected + 1_024), rng)
        found = np.concatenate([found, more[wrong(more) == 0.0]])
        num_drawn += len(more)
    return found


def _walked(
    pool: np.ndarray,
    pool_wrong: np.ndarray,
    num_walks: int,
    operators: Operators,
    wrong: Wrong,
    rng: np.random.Generator,
) -> np.ndarray:
    """Where walks from the best of a pool (n, G), which violates the bounds by `pool_wrong` (n,), end inside."""
    inside = np.flatnonzero(pool_wrong == 0.0)
    nearest = inside if len(inside) >= 4 else np.argsort(pool_wrong, kind="stable")[: max(8, num_walks // 4)]
    chosen = nearest[rng.integers(len(nearest), size=num_walks)]
    state, outside = pool[chosen], pool_wrong[chosen]
    inside_steps = np.zeros(num_walks, dtype=np.int64)
    nearest_so_far, stalled = np.inf, 0
    for _ in range(MAX_STEPS):
        if (inside_steps >= THINNING).mean() >= 0.9 or stalled >= MAX_STALLED:
            break
        proposed, log_ratio = _changed(operators, state, rng)
        proposed_wrong = np.full(num_walks, np.inf)
        member = operators.counter.satisfied(proposed)
        if member.any():
            proposed_wrong[member] = wrong(proposed[member])
        fair = np.log(np.maximum(rng.random(num_walks), 1e-300)) < log_ratio
        accept = np.where(outside > 0.0, proposed_wrong <= outside, (proposed_wrong == 0.0) & fair)
        state = np.where(accept[:, None], proposed, state)
        outside = np.where(accept, proposed_wrong, outside)
        inside_steps += outside == 0.0
        stalled = 0 if outside.min() < nearest_so_far or outside.min() == 0.0 else stalled + 1
        nearest_so_far = min(nearest_so_far, float(outside.min()))
    return state[outside == 0.0]


def _changed(operators: Operators, state: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Each row after one to four changes, and the log of the chance of the way back over that of the way there."""
    sizes = operators.sizes
    log_sizes = np.log(np.maximum(sizes, 1))
    changes = rng.choice(4, size=len(state), p=CHANGES)
    log_ratio = np.zeros(len(state))
    for change in range(4):
        moving = np.flatnonzero(changes >= change)
        before = state[moving]
        after = operators.step(before, rng)
        # The chances differ by active-gene counts and by the options of appearing genes.
        num_before, num_after = (((genes >= 0) & (sizes > 1)).sum(axis=1) for genes in (before, after))
        log_ratio[moving] += np.log(np.maximum(num_before, 1)) - np.log(np.maximum(num_after, 1))
        log_ratio[moving] += (((after >= 0) & (before < 0)).astype(int) - ((after < 0) & (before >= 0))) @ log_sizes
        state = state.copy()
        state[moving] = after
    return state, log_ratio
