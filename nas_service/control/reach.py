"""Can any architecture keep the hard constraints of a search? Asked before anything is trained for it.

What a table holds, and a small space, is looked through whole. In a larger space the best of many drawn architectures
go downhill, one choice at a time, until no single choice brings them nearer. A search moves about its space in the
same steps, so bounds that are out of reach here would end it with nothing. What takes too long to decide is accepted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np

from nas_service.control.objectives import cost_function
from nas_service.domain.search import Constraint, SearchSpec
from nas_service.errors import Problem
from nas_service.methods.strategies.base import Genes
from search_spaces.counting.feasible import Bounds, violation
from search_spaces.space import COST_NAMES, SearchSpace

Values = Mapping[str, np.ndarray]
Costs = Callable[[Genes], Values]

_LOOKED_THROUGH = 20_000
_DRAWN = 1_000
_STARTS = 8
_MAX_EVALUATED = 30_000


class _Undecided(Exception):
    """The way downhill is too long."""


def check_reachable(
    spec: SearchSpec, space: SearchSpace, estimator: dict[str, Any] | None, problems: list[Problem]
) -> bool:
    """Whether an architecture is known that keeps every bound on a cost, or on the latency of a fitted ``estimator``.

    Adds a problem for each bound that nothing keeps, or one for all together when each can be kept alone.
    """
    known = (*COST_NAMES, *(("latency_ms",) if estimator is not None else ()))
    bounds = _bounds(spec, known)
    if not bounds:
        return True
    fitted = estimator if "latency_ms" in bounds else None
    costs = cost_function(space, fitted, [name for name in bounds if name in COST_NAMES])
    if space.cardinality <= _LOOKED_THROUGH:
        return not refuse_unreachable(spec, costs(space.enumerate(_LOOKED_THROUGH)), "", problems)
    landmarks = np.concatenate((space.smallest()[None], space.largest()[None], space.uniform_scaling(8)))
    pool = np.concatenate((landmarks, space.sample(_DRAWN, np.random.default_rng(0))))
    values = costs(pool)
    if (violation(values, bounds) == 0.0).any():
        return True
    try:
        seen: list[Values] = [values]
        for name, (low, high) in bounds.items():
            if high is not None and values[name].min() > high:
                seen.append(_downhill(space, costs, pool, partial(_signed, name, 1.0)))
            if low is not None and values[name].max() < low:
                seen.append(_downhill(space, costs, pool, partial(_signed, name, -1.0)))
        seen.append(_downhill(space, costs, pool, partial(violation, bounds=bounds), enough=0.0))
    except _Undecided:
        return False
    every = {name: np.concatenate([part[name] for part in seen]) for name in bounds}
    return not refuse_unreachable(spec, every, " found", problems)


def refuse_unreachable(spec: SearchSpec, values: Values, found: str, problems: list[Problem]) -> bool:
    """Adds what is wrong with the bounds on the metrics of ``values`` (n,) where no entry keeps all; whether it did.

    ``found`` is put behind "largest" and "smallest": nothing where ``values`` are of everything there is.
    """
    bounds = _bounds(spec, tuple(values))
    if not bounds or (violation(values, bounds) == 0.0).any():
        return False
    before = len(problems)
    for i, objective in enumerate(spec.objectives):
        name = objective.metric
        low, high = bounds.get(name, (None, None))
        least, most = (float(np.nanmin(values[name])), float(np.nanmax(values[name]))) if name in bounds else (0.0, 0.0)
        where = f"/objectives/{i}/constraint"
        if high is not None and least > high:
            message = f"nothing has {name} of at most {high:.12g}: the smallest{found} has {least:.6g}"
            problems.append(Problem(f"{where}/maximum", "unreachable", message, f"at least {least:.12g}"))
        if low is not None and most < low:
            message = f"nothing has {name} of at least {low:.12g}: the largest{found} has {most:.6g}"
            problems.append(Problem(f"{where}/minimum", "unreachable", message, f"at most {most:.12g}"))
    if len(problems) == before:
        names = ", ".join(bounds)
        message = f"each of the constraints on {names} can be kept, but nothing{found} keeps all together"
        problems.append(Problem("/objectives", "unreachable", message, "widen one of them"))
    return True


def _bounds(spec: SearchSpec, known: tuple[str, ...]) -> Bounds:
    given: dict[str, Constraint | None] = {o.metric: o.constraint for o in spec.objectives if o.metric in known}
    return {name: (bound.minimum, bound.maximum) for name, bound in given.items() if bound is not None}


def _signed(name: str, sign: float, values: Values) -> np.ndarray:
    return sign * values[name]


def _downhill(
    space: SearchSpace,
    costs: Costs,
    pool: Genes,
    badness: Callable[[Values], np.ndarray],
    enough: float = -np.inf,
) -> Values:
    """The costs of where steepest descents from the best of ``pool`` end, the first with ``enough`` the last of them.

    Raises _Undecided when too many architectures would have to be looked at.
    """
    ends = []
    num_evaluated = 0
    for start in pool[np.argsort(badness(costs(pool)), kind="stable")[:_STARTS]]:
        here, now = start, float(badness(costs(start[None]))[0])
        while now > enough and len(around := space.neighbours(here)):
            num_evaluated += len(around)
            if num_evaluated > _MAX_EVALUATED:
                raise _Undecided
            steps = badness(costs(around))
            best = int(steps.argmin())
            if steps[best] >= now:
                break
            here, now = around[best], float(steps[best])
        ends.append(here)
        if now <= enough:
            break
    return costs(np.stack(ends))
