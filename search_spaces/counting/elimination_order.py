"""In which order variables are eliminated, so that the tables on the way stay small; found before any is made."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from search_spaces.counting.stepwise import MAX_TABLE, MAX_WORK, Stepwise
from search_spaces.errors import SpaceError


@dataclass(frozen=True)
class Factor:
    """A table over the states of some variables, one axis each."""

    variables: tuple[int, ...]
    table: np.ndarray
    pointer: str = ""  # of the constraint that it comes from
    partials: tuple[int, ...] = ()  # what it reads directly or indirectly, parents first
    below: tuple[int, ...] = ()  # eliminated genes whose assignments it counts


@dataclass(frozen=True)
class _Plan:
    order: list[int]
    sizes: list[int]  # of the largest table at each step

    @property
    def fits(self) -> bool:
        return max(self.sizes, default=0) <= MAX_TABLE and sum(self.sizes) <= MAX_WORK


def elimination_order(factors: Sequence[Factor], stepwise: Stepwise) -> list[int]:
    """All genes and the partial results that are read, each before what it follows from.

    Raises SpaceError where every order tried makes tables too large.
    """
    read = sorted({number for factor in factors for number in stepwise.partials_of(factor.variables)})
    last_gene = list(range(stepwise.num_genes))
    for partial in stepwise.partials:
        last_gene.append(max(last_gene[parent] for parent in partial.variables))
    # What is smallest next is best where conditions are local; where totals run along layers, going back along them.
    smallest = _plan(factors, stepwise, read, lambda variable, size: (size, -variable))
    if smallest.fits:
        return smallest.order
    backwards = _plan(factors, stepwise, read, lambda variable, size: (-last_gene[variable], -variable))
    if backwards.fits:
        return backwards.order
    worst = smallest.order[int(np.argmax(smallest.sizes))]
    pointers = [
        factor.pointer
        for factor in factors
        if factor.pointer and worst in (*factor.variables, *stepwise.partials_of(factor.variables))
    ]
    raise SpaceError(
        min(pointers, default="/constraints"),
        "limits",
        "the conditions tie too many choices together to count the space",
        "state conditions over fewer choices, such as neighbouring layers, or share choices",
    )


def _plan(
    factors: Sequence[Factor],
    stepwise: Stepwise,
    read: Sequence[int],
    preferred: Callable[[int, int], tuple[int, int]],
) -> _Plan:
    """The order by which the least `preferred` (variable, size of its table) goes first, among those that may."""
    num_states, partials = stepwise.num_states, stepwise.numbered
    remaining = {*range(stepwise.num_genes), *read}
    followers = dict.fromkeys(remaining, 0)  # partial results still there that follow from a variable
    for number in read:
        for parent in partials[number].variables:
            followers[parent] += 1
    scopes: dict[int, set[int]] = {variable: set() for variable in remaining}  # what shares a table with a variable
    for factor in factors:
        for variable in factor.variables:
            scopes[variable] |= set(factor.variables)

    def size_of(variable: int) -> int:
        scope = scopes[variable] | {variable}
        size = math.prod(num_states[other] for other in scope)
        if variable in partials:
            scope = scope - {variable} | set(partials[variable].variables)
            size = max(size, math.prod(num_states[other] for other in scope))
        return size

    sizes = {variable: size_of(variable) for variable in remaining}
    plan = _Plan([], [])
    while remaining:
        free = (variable for variable in remaining if not followers[variable])
        chosen = min(free, key=lambda variable: preferred(variable, sizes[variable]))
        remaining.discard(chosen)
        plan.order.append(chosen)
        plan.sizes.append(sizes[chosen])
        scope = scopes.pop(chosen) - {chosen}
        if chosen in partials:
            for parent in partials[chosen].variables:
                followers[parent] -= 1
            scope |= set(partials[chosen].variables)
        for other in scope:
            scopes[other] = (scopes[other] | scope) - {chosen}
        for other in scope:
            sizes[other] = size_of(other)
        if sizes[chosen] > MAX_TABLE:
            break  # no order, whatever follows
    return plan
