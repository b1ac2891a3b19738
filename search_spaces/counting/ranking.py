"""A bijection between the architectures of a space and the numbers 0 .. cardinality - 1.

Going through the tables of the exact count (`counter.py`) in the order of sampling, a number is divided among the
states of each gene by how many architectures lie below each state, and what is left among the parts that are then
independent. Drawing a number uniformly is drawing an architecture uniformly, exactly and at any size.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from search_spaces.counting.counter import Counter, Elimination
from search_spaces.errors import SpaceError

_WORD = 2**62


def unrank(counter: Counter, indices: Sequence[int] | np.ndarray) -> np.ndarray:
    """int16 (n, G) of n numbers. Raises SpaceError for numbers outside 0 .. cardinality - 1."""
    plain = [int(index) for index in indices]
    for index in plain:
        if not 0 <= index < counter.cardinality:
            raise SpaceError(
                "", "index", f"there is no architecture {index}", f"the numbers are 0 to {counter.cardinality - 1}"
            )
    columns = counter.blank(len(plain))
    steps = {step.gene: step for step in counter.eliminations}
    left: dict[int, Any] = {}
    _share(_numbers(counter, plain), [step for step in counter.eliminations if not step.given], columns, left)
    for step in reversed(counter.eliminations):
        number, below = left.pop(step.gene), _below(step, columns, len(plain))
        state = (number[:, None] >= below[:, 1:]).sum(axis=1).astype(np.int64)
        rest = number - np.take_along_axis(below, state[:, None], axis=1)[:, 0]
        counter.set_state(columns, step, state)
        _share(rest, [steps[gene] for gene in step.children], columns, left)
    return counter.genes_of(columns, len(plain))


def members(counter: Counter, limit: int) -> np.ndarray:
    """All architectures, int16 (N, G), sorted by their genes. Raises SpaceError where there are more than `limit`."""
    if counter.cardinality > limit:
        raise SpaceError("", "limits", f"{counter.cardinality} architectures are more than {limit}", "sample instead")
    genes = unrank(counter, range(counter.cardinality))
    return genes[np.lexsort(genes.T[::-1])] if genes.shape[1] else genes


def rank(counter: Counter, genes: np.ndarray) -> list[int]:
    """The numbers of n valid rows of genes (n, G)."""
    columns = counter.columns_of(np.asarray(genes))
    steps = {step.gene: step for step in counter.eliminations}
    found: dict[int, Any] = {}
    for step in counter.eliminations:
        state = np.where(columns[step.gene] < 0, counter.sizes[step.gene], columns[step.gene]).astype(np.int64)
        before = np.take_along_axis(_below(step, columns, len(genes)), state[:, None], axis=1)[:, 0]
        found[step.gene] = before + _joined(
            [steps[gene] for gene in step.children], columns, found, counter, len(genes)
        )
    total = _joined([step for step in counter.eliminations if not step.given], columns, found, counter, len(genes))
    return [int(number) for number in total]


def _numbers(counter: Counter, plain: Sequence[int]) -> np.ndarray:
    return np.array(plain, dtype=np.int64 if counter.cardinality < _WORD else object)


def _below(step: Elimination, columns: Sequence[np.ndarray], n: int) -> np.ndarray:
    """(n, states): how many architectures lie in the states before each one."""
    ways = step.ways[tuple(columns[variable] for variable in step.given)]
    ways = np.broadcast_to(ways, (n, ways.shape[-1]))
    return np.concatenate([np.zeros_like(ways[:, :1]), np.cumsum(ways, axis=1)[:, :-1]], axis=1)


def _total(step: Elimination, columns: Sequence[np.ndarray], n: int) -> np.ndarray:
    total = np.asarray(step.ways.sum(axis=-1))[tuple(columns[variable] for variable in step.given)]
    return np.broadcast_to(np.asarray(total), (n,))


def _share(number: Any, parts: Sequence[Elimination], columns: Sequence[np.ndarray], left: dict[int, Any]) -> None:
    """Divides a number among independent parts, the first running fastest."""
    for part in parts:
        total = _total(part, columns, len(number))
        left[part.gene] = number % total
        number = number // total


def _joined(
    parts: Sequence[Elimination], columns: Sequence[np.ndarray], found: dict[int, Any], counter: Counter, n: int
) -> Any:
    """The inverse of `_share`."""
    number: Any = _numbers(counter, [0] * n)
    for part in reversed(parts):
        number = number * _total(part, columns, n) + found.pop(part.gene)
    return number
