"""Tables of values that read more choices than one table can hold, by way of partial results.

A sum over twenty layers takes few different values, though it reads far too many combinations to list. Such a value is
computed operand by operand: what is known so far becomes a variable of its own, whose states are the different partial
results and which follows from the variables read so far. So a condition on the whole is a table over the last partial
result, and counting over these variables (`counter.py`) stays exact.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from search_spaces.language.tables import value_table
from search_spaces.language.values import Value

DIRECT = 2**12
"""Up to so many combinations a value is tabulated as a whole."""
MAX_TABLE = 2**18
"""Combinations of choices and partial results that one table holds at most."""

MAX_WORK = 2**22
"""Entries of all tables of a program together, so that it is counted, or refused, within a second or two."""


class TooLargeError(Exception):
    """A value that has more combinations than a table holds, however it is computed."""


@dataclass(frozen=True)
class Tabulated:
    """A value's results over the states of some variables, one axis each."""

    variables: tuple[int, ...]
    results: np.ndarray

    def by_state(self, variable: int) -> np.ndarray:
        """(states of the variable, all else): its results."""
        moved = np.moveaxis(self.results, self.variables.index(variable), 0)
        return moved.reshape(len(moved), -1)

    def only(self, variable: int, states: np.ndarray) -> Tabulated:
        """The same for some states of a variable."""
        return Tabulated(self.variables, np.take(self.results, states, axis=self.variables.index(variable)))


class Stepwise:
    """Tabulates values of one program; genes are the first variables, partial results those after them.

    A partial result is a table too: of its own state, over the variables that it follows from.
    """

    def __init__(self, sizes: Sequence[int], conditional: Sequence[bool]) -> None:
        self.sizes, self.conditional = sizes, conditional
        self.num_states = [size + more for size, more in zip(sizes, conditional, strict=True)]
        self.partials: list[Tabulated] = []
        self._known: dict[int, tuple[Value, Tabulated]] = {}  # by the value's identity; kept alive with it
        self._work = 0

    @property
    def num_genes(self) -> int:
        return len(self.sizes)

    @property
    def numbered(self) -> dict[int, Tabulated]:
        """The partial results by the numbers of their variables."""
        return dict(enumerate(self.partials, self.num_genes))

    def table(self, value: Value) -> Tabulated:
        """All results of a value that reads no shapes. Raises TooLargeError."""
        if id(value) not in self._known:
            self._known[id(value)] = (value, self._table(value))
        return self._known[id(value)][1]

    def partials_of(self, variables: Sequence[int]) -> tuple[int, ...]:
        """The partial results that some variables are or follow from, parents first."""
        found: set[int] = set()
        waiting = [variable for variable in variables if variable >= self.num_genes]
        while waiting:
            number = waiting.pop()
            if number not in found:
                found.add(number)
                parents = self.partials[number - self.num_genes].variables
                waiting.extend(parent for parent in parents if parent >= self.num_genes)
        return tuple(sorted(found))

    def merge_states(self, tables: Sequence[Tabulated]) -> list[Tabulated]:
        """The tables with partial results in which states are one where that changes no entry of any table.

        Of totals that must be at most 300, all above it are one. Nothing can be tabulated after this.
        """
        every = [*tables, *self.partials]
        readers: dict[int, list[int]] = {}
        for place, table in enumerate(every):
            for variable in table.variables:
                readers.setdefault(variable, []).append(place)
        for number in reversed(range(self.num_genes, len(self.num_states))):
            if number not in readers:
                continue
            rows = np.concatenate([every[place].by_state(number) for place in readers[number]], axis=1)
            _, kept, merged = np.unique(rows, axis=0, return_index=True, return_inverse=True)
            for place in readers[number]:
                every[place] = every[place].only(number, kept)
            own = len(tables) + number - self.num_genes
            every[own] = Tabulated(every[own].variables, merged.ravel()[every[own].results])
            self.num_states[number] = len(kept)
        self.partials = every[len(tables) :]
        self._known.clear()
        return every[: len(tables)]

    def _table(self, value: Value) -> Tabulated:
        if value.is_constant:
            return _fixed(value.constant)
        genes = tuple(sorted(value.genes))
        size = math.prod(self.num_states[gene] for gene in genes)
        if size <= DIRECT or (value.apply is None and size <= MAX_TABLE):
            return Tabulated(genes, value_table(value, genes, self.sizes, self.conditional))
        if value.apply is None:
            raise TooLargeError
        parts = [self.table(operand) for operand in value.operands]
        if not value.folds or len(parts) == 1:
            return self._joined(value.apply, [self._as_partial(part) for part in parts])
        total = parts[0]
        for part in parts[1:]:
            total = self._joined(value.apply, [self._as_partial(total), part])
        return total

    def _joined(self, apply: Callable[..., Any], parts: list[Tabulated]) -> Tabulated:
        variables = self._together(parts)
        if self._size(variables) > MAX_TABLE:
            parts = [self._as_partial(part) for part in parts]
            variables = self._together(parts)
        size = self._size(variables)
        self._work += size
        if size > MAX_TABLE or self._work > MAX_WORK:
            raise TooLargeError
        shape = tuple(self.num_states[variable] for variable in variables)
        columns = [
            np.broadcast_to(aligned(part.variables, part.results, variables), shape).ravel()
            if part.variables
            else part.results.item()
            for part in parts
        ]
        with np.errstate(all="ignore"):
            results = np.asarray(apply(*columns))
        return Tabulated(variables, np.broadcast_to(results, (size,)).reshape(shape))

    def _as_partial(self, part: Tabulated) -> Tabulated:
        """The same value over one variable of its own, where that has fewer states than what the value reads."""
        if len(part.variables) < 2:
            return part
        if part.results.dtype == object:
            place: dict[Any, int] = {}
            states = np.array([place.setdefault(result, len(place)) for result in part.results.ravel().tolist()])
            different = np.empty(len(place), dtype=object)
            different[:] = list(place)
        else:
            different, states = np.unique(part.results, return_inverse=True)
        if len(different) == 1:
            return _fixed(different.tolist()[0])
        if len(different) >= part.results.size:
            return part
        self.partials.append(Tabulated(part.variables, states.reshape(part.results.shape)))
        self.num_states.append(len(different))
        return Tabulated((len(self.num_states) - 1,), different)

    def _together(self, parts: Sequence[Tabulated]) -> tuple[int, ...]:
        return tuple(sorted({variable for part in parts for variable in part.variables}))

    def _size(self, variables: Sequence[int]) -> int:
        return math.prod(self.num_states[variable] for variable in variables)


def _fixed(result: Any) -> Tabulated:
    return Tabulated((), np.array(result, dtype=None if isinstance(result, bool | int | float) else object))


def aligned(variables: Sequence[int], table: np.ndarray, axes: Sequence[int]) -> np.ndarray:
    """A table with one axis for each of `axes`, of size one where it does not depend on that variable."""
    present = [variable for variable in axes if variable in variables]
    ordered = np.transpose(table, [variables.index(variable) for variable in present])
    shape = iter(ordered.shape)
    return ordered.reshape([next(shape) if variable in variables else 1 for variable in axes])
