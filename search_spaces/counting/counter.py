"""Exact counting and exactly uniform sampling of canonical assignments, by eliminating one gene after another.

Every gene is a variable whose states are its options and, for conditional genes, "inactive" (last). Factors are
truth tables: a gene is active exactly where its guards hold, and every constraint holds. Eliminating the genes in an
order that keeps tables small sums the product of all factors exactly in Python integers. Going back through the
same tables draws each gene from its exact conditional distribution; these conditionals are rounded to float64,
so an assignment's probability is off by a relative 2**-51 or less per gene.

Conditions over many genes are tables over partial results (`stepwise.py`). These follow from the genes, so they are not
summed over: a factor that reads one is read by way of the variables that it follows from, before any of these is gone.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from search_spaces.compiling.program import Program
from search_spaces.counting.elimination_order import Factor, elimination_order
from search_spaces.counting.stepwise import MAX_TABLE, Stepwise, Tabulated, TooLargeError, aligned
from search_spaces.errors import SpaceError
from search_spaces.language.values import Value, all_hold


@dataclass(frozen=True)
class Elimination:
    """One eliminated gene: its conditional distribution given variables known before it (last axis = its states).

    `ways` counts the assignments below each state exactly: those of the genes eliminated before that hang on this
    one, directly (`children`) or through them. `partials` are the partial results known once this gene is.
    """

    gene: int
    given: tuple[int, ...]
    cumulative: np.ndarray
    allowed: np.ndarray
    ways: np.ndarray
    children: tuple[int, ...]
    partials: tuple[int, ...] = ()


class Counter:
    """Counting, sampling, activity and validity of one program's gene assignments."""

    def __init__(self, program: Program) -> None:
        self.sizes = [len(gene.options) for gene in program.genes]
        self._stepwise = Stepwise(self.sizes, [bool(guards) for guards in program.guards])
        self.activity: list[Factor | None] = []
        for gene, guards in enumerate(program.guards):
            if guards:
                what = f"the condition of '{program.genes[gene].name}'"
                self.activity.append(self._factor(all_hold(guards), "/network", what))
            else:
                self.activity.append(None)
        self.constraints: list[Factor] = []
        excluding: dict[tuple[str, str], bool] = {}
        for constraint in program.constraints:
            factor = self._factor(constraint.holds, constraint.pointer, constraint.text[:80])
            if not factor.table.all():
                self.constraints.append(factor)
            place = (constraint.pointer, constraint.text)
            excluding[place] = excluding.get(place, False) or not factor.table.all()
        self.idle = [place for place, excludes in excluding.items() if not excludes]
        self._merge_states()
        self._order = elimination_order(self._factors(), self._stepwise)
        self._partials = sorted(set(self._order) & set(self._stepwise.numbered))
        self.eliminations: list[Elimination] = []
        self.cardinality = self._eliminate()
        if self.cardinality == 0:
            pointer = program.constraints[0].pointer if program.constraints else ""
            raise SpaceError(pointer, "constraint", "the constraints leave no architecture", "loosen them")

    def given(self, gene: int, option: int) -> Counter | None:
        """A counter of the assignments that have this option; None where there is none."""
        other = copy.copy(self)
        only = np.arange(self._stepwise.num_states[gene]) == option
        other.constraints = [*self.constraints, Factor((gene,), only)]
        other.cardinality = other._eliminate()
        return other if other.cardinality else None

    def _factor(self, holds: Value, pointer: str, what: str) -> Factor:
        try:
            found = self._stepwise.table(holds)
        except TooLargeError:
            raise SpaceError(
                pointer,
                "limits",
                f"{what} reads {len(holds.genes)} choices at once, more than {MAX_TABLE} combinations of them "
                "or of partial results",
                "split it into conditions over few choices, such as neighbouring layers, or total fewer different "
                "numbers; for the size of all bound macs or params in the search's objectives",
            ) from None
        table = np.asarray(found.results, dtype=bool)
        return Factor(found.variables, table, pointer, self._stepwise.partials_of(found.variables))

    def _merge_states(self) -> None:
        factors = [factor for factor in (*self.activity, *self.constraints) if factor is not None]
        tables = iter(self._stepwise.merge_states([Tabulated(item.variables, item.table) for item in factors]))
        self.activity = [item and replace(item, table=next(tables).results) for item in self.activity]
        self.constraints = [replace(item, table=next(tables).results) for item in self.constraints]

    def _factors(self) -> list[Factor]:
        """Those of activity, which bind a gene's last state to its condition, and the constraints."""
        found = []
        for gene, activity in enumerate(self.activity):
            if activity is not None:
                active = np.arange(self._stepwise.num_states[gene]) < self.sizes[gene]
                found.append(Factor((*activity.variables, gene), activity.table[..., None] == active))
        return [*found, *self.constraints]

    def _eliminate(self) -> int:
        """The number of assignments; fills `eliminations`."""
        num_states, partials = self._stepwise.num_states, self._stepwise.numbered
        factors = dict(enumerate(self._factors()))
        touching: list[set[int]] = [set() for _ in num_states]
        for number, factor in factors.items():
            for variable in factor.variables:
                touching[variable].add(number)
        found: list[Elimination] = []
        scalar, added = 1, len(factors)
        for variable in self._order:
            numbers = sorted(touching[variable])
            bucket = [factors.pop(number) for number in numbers]
            for other in {other for factor in bucket for other in factor.variables}:
                touching[other].difference_update(numbers)
            product = _product(bucket, variable, num_states)
            below = tuple(gene for factor in bucket for gene in factor.below)
            if variable in partials:
                rest = _substituted(product, partials[variable], num_states)
            else:
                rest = Tabulated(product.variables[:-1], np.asarray(product.results.sum(axis=-1)))
                found.append(_elimination(product, rest.results, below))
                below = (variable,)
            if rest.variables:
                factors[added] = Factor(rest.variables, rest.results, below=below)
                for other in rest.variables:
                    touching[other].add(added)
                added += 1
            else:
                scalar *= int(rest.results[()])
        self.eliminations = self._with_partials(found)
        return scalar

    def _with_partials(self, eliminations: list[Elimination]) -> list[Elimination]:
        """Each with the partial results that are known once its gene and those after it are."""
        known: set[int] = set()
        waiting = [(number, self._stepwise.numbered[number]) for number in self._partials]
        result = []
        for step in reversed(eliminations):
            known.add(step.gene)
            follow = []
            for number, partial in waiting:
                if known.issuperset(partial.variables):
                    known.add(number)
                    follow.append(number)
            waiting = [item for item in waiting if item[0] not in known]
            result.append(replace(step, partials=tuple(follow)))
        return result[::-1]

    def blank(self, n: int) -> list[np.ndarray]:
        """A column for every variable, of n assignments: all genes inactive, no partial result known."""
        return [np.full(n, -1, dtype=np.int16) for _ in self.sizes] + [np.zeros(0)] * len(self._stepwise.partials)

    def set_state(self, columns: list[np.ndarray], step: Elimination, state: np.ndarray) -> None:
        """Gives a step's gene its states (n,), and the partial results that are known then theirs."""
        columns[step.gene] = np.where(state == self.sizes[step.gene], -1, state).astype(np.int16)
        self._follow(columns, step.partials)

    def columns_of(self, genes: np.ndarray) -> list[np.ndarray]:
        """The states of all variables of canonical rows of genes (n, G)."""
        columns = self._columns(genes)
        self._follow(columns, self._partials)
        return columns

    def _columns(self, genes: np.ndarray) -> list[np.ndarray]:
        """A column for every variable, no partial result known."""
        return [*np.ascontiguousarray(genes.T), *self.blank(0)[len(self.sizes) :]]

    def genes_of(self, columns: Sequence[np.ndarray], n: int) -> np.ndarray:
        """int16 (n, G) of columns of all variables."""
        return np.stack(columns[: len(self.sizes)], axis=1) if self.sizes else np.zeros((n, 0), dtype=np.int16)

    def _follow(self, columns: list[np.ndarray], numbers: Sequence[int]) -> None:
        for number in numbers:
            partial = self._stepwise.partials[number - len(self.sizes)]
            columns[number] = partial.results[tuple(columns[parent] for parent in partial.variables)]

    def _rows(self, factor: Factor, columns: list[np.ndarray]) -> np.ndarray:
        """A factor's entry for each row of columns of all variables, of which only the genes need be known."""
        self._follow(columns, factor.partials)
        return factor.table[tuple(columns[variable] for variable in factor.variables)]

    def sample(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """int16 (n, G), uniform over canonical assignments."""
        columns = self.blank(n)
        draws = rng.random((len(self.sizes), n))
        for step in reversed(self.eliminations):
            given = tuple(columns[variable] for variable in step.given)
            if step.given:
                state = (draws[step.gene][:, None] >= step.cumulative[given]).sum(axis=1)
            else:
                state = np.searchsorted(step.cumulative, draws[step.gene], side="right")
            # A draw above a total that rounded to just below one belongs to the last possible state.
            allowed = step.allowed[given]
            last = step.allowed.shape[-1] - 1 - np.argmax(allowed[..., ::-1], axis=-1)
            self.set_state(columns, step, np.minimum(state, last))
        return self.genes_of(columns, n)

    def repair(self, wanted: np.ndarray) -> np.ndarray:
        """The valid assignment that keeps each wanted option where it still can, else the nearest possible one."""
        columns = self.blank(len(wanted))
        for step in reversed(self.eliminations):
            allowed = step.allowed[tuple(columns[variable] for variable in step.given)]
            allowed = np.broadcast_to(allowed, (len(wanted), allowed.shape[-1]))
            target = np.maximum(wanted[:, step.gene].astype(np.int64), 0)
            distance = np.abs(np.arange(allowed.shape[1])[None, :] - target[:, None]).astype(np.float64)
            distance[:, self.sizes[step.gene] :] = 1e6
            self.set_state(columns, step, np.argmin(np.where(allowed, distance, np.inf), axis=1))
        return self.genes_of(columns, len(wanted))

    def canonical(self, genes: np.ndarray, fill: np.ndarray | None = None) -> np.ndarray:
        """Inactive genes become -1; active ones that are -1 take `fill` (option 0 without it)."""
        columns = self._columns(np.asarray(genes, dtype=np.int16))
        for gene, holds in enumerate(self.activity):
            empty = columns[gene] < 0
            filled = 0 if fill is None else fill[:, gene]
            current = np.where(empty, filled, columns[gene]) if empty.any() else columns[gene]
            columns[gene] = current if holds is None else np.where(self._rows(holds, columns), current, -1)
        return self.genes_of(columns, len(genes))

    def satisfied(self, genes: np.ndarray) -> np.ndarray:
        """Bool (n,): all constraints hold. `genes` must be canonical."""
        columns = self._columns(genes)
        good = np.ones(len(genes), dtype=bool)
        for constraint in self.constraints:
            good &= self._rows(constraint, columns)
        return good


def _product(bucket: Sequence[Factor], variable: int, num_states: Sequence[int]) -> Tabulated:
    """The product of factors, exact, over all variables that they read: `variable` is the last axis."""
    variables = (*sorted({other for factor in bucket for other in factor.variables} - {variable}), variable)
    shape = tuple(num_states[other] for other in variables)
    counts = [factor for factor in bucket if factor.table.dtype != bool]
    bound = math.prod(int(factor.table.max()) for factor in counts) * num_states[variable]
    number_type: Any = np.int64 if bound < 2**62 else object
    product: Any = np.ones((), dtype=number_type)
    for factor in counts:
        table = aligned(factor.variables, factor.table, variables).astype(number_type)
        product = table if factor is counts[0] else product * table
    product = np.broadcast_to(product, shape)
    for factor in bucket:
        if factor.table.dtype == bool:
            product = np.where(aligned(factor.variables, factor.table, variables), product, 0)
    return Tabulated(variables, product)


def _substituted(product: Tabulated, partial: Tabulated, num_states: Sequence[int]) -> Tabulated:
    """A product over a partial result (its last axis) as one over what that follows from."""
    *others, _ = product.variables
    variables = tuple(sorted({*others, *partial.variables}))
    places = [aligned((other,), np.arange(num_states[other]), variables) for other in others]
    return Tabulated(variables, product.results[(*places, aligned(partial.variables, partial.results, variables))])


def _elimination(product: Tabulated, total: np.ndarray, children: tuple[int, ...]) -> Elimination:
    """The last variable of a product, eliminated."""
    ways, all_ways = product.results, np.where(total == 0, 1, total)
    if total.dtype == object and int(total.max()).bit_length() < 1_000:
        ways, all_ways = ways.astype(np.float64), all_ways.astype(np.float64)  # dividing Python's integers is slow
    chance = np.asarray(ways / all_ways[..., None], dtype=np.float64)
    return Elimination(
        product.variables[-1],
        product.variables[:-1],
        np.cumsum(chance, axis=-1),
        np.asarray(ways > 0, dtype=bool),
        product.results,
        children,
    )
