"""Exact counting and exactly uniform sampling of canonical assignments, by eliminating one gene after another.

Every gene is a variable whose states are its options and, for conditional genes, "inactive" (last). Factors are
truth tables: a gene is active exactly where its guards hold, and every constraint holds. Eliminating the genes in an
order that keeps tables small sums the product of all factors exactly in Python integers. Going back through the
same tables draws each gene from its exact conditional distribution; these conditionals are rounded once to float64,
so an assignment's probability is off by a relative 2**-52 or less per gene.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from search_spaces.errors import SpaceError
from search_spaces.program import Program
from search_spaces.tables import truth_table
from search_spaces.values import conjunction, safe_guard

MAX_TABLE = 2**18


@dataclass(frozen=True)
class Factor:
    """A truth table over the states of some genes, one axis each."""

    genes: tuple[int, ...]
    table: np.ndarray
    pointer: str = ""  # of the constraint that it comes from

    def rows(self, columns: np.ndarray) -> np.ndarray:
        """The table's entry for each row of a gene matrix (transposed: (G, n)). -1 is the last entry."""
        return self.table[tuple(columns[gene] for gene in self.genes)]


@dataclass(frozen=True)
class Elimination:
    """One eliminated gene: its conditional distribution given genes eliminated later (last axis = its states).

    `ways` counts the assignments below each state exactly: those of the genes eliminated before that hang on this
    one, directly (`children`) or through them.
    """

    gene: int
    given: tuple[int, ...]
    cumulative: np.ndarray
    allowed: np.ndarray
    ways: np.ndarray
    children: tuple[int, ...]


class Counter:
    """Counting, sampling, activity and validity of one program's gene assignments."""

    def __init__(self, program: Program) -> None:
        self.sizes = [len(gene.options) for gene in program.genes]
        self.conditional = [bool(guards) for guards in program.guards]
        self.activity: list[Factor | None] = []
        for gene, guards in enumerate(program.guards):
            if not guards:
                self.activity.append(None)
                continue
            support = tuple(sorted(frozenset().union(*(guard.genes for guard in guards))))
            here = conjunction([safe_guard(guard) for guard in guards])
            name = program.genes[gene].name
            table = self._table(here, support, "/network", f"the condition of '{name}'")
            self.activity.append(Factor(support, table))
        self.constraints: list[Factor] = []
        for constraint in program.constraints:
            support = tuple(sorted(constraint.holds.genes))
            table = self._table(constraint.holds, support, constraint.pointer, constraint.text[:80])
            if not table.all():
                self.constraints.append(Factor(support, table, constraint.pointer))
        self.eliminations: list[Elimination] = []
        self.cardinality = self._eliminate()
        if self.cardinality == 0:
            pointer = program.constraints[0].pointer if program.constraints else ""
            raise SpaceError(pointer, "constraint", "the constraints leave no architecture", "loosen them")

    def given(self, gene: int, option: int) -> Counter | None:
        """A counter of the assignments that have this option; None where there is none."""
        other = copy.copy(self)
        only = np.arange(self._states(gene)) == option
        other.constraints = [*self.constraints, Factor((gene,), only)]
        other.eliminations = []
        other.cardinality = other._eliminate()
        return other if other.cardinality else None

    def _table(self, holds: Any, support: Sequence[int], pointer: str, what: str) -> np.ndarray:
        table = truth_table(holds, support, self.sizes, self.conditional, MAX_TABLE)
        if table is None:
            raise SpaceError(
                pointer,
                "limits",
                f"{what} reads {len(support)} choices at once, more than {MAX_TABLE} combinations",
                "split it into conditions over few choices, such as neighbouring layers; for the "
                "size of all bound macs or params in the search's objectives",
            )
        return table

    def _states(self, gene: int) -> int:
        return self.sizes[gene] + self.conditional[gene]

    def _eliminate(self) -> int:
        factors: dict[int, Factor] = {}
        touching: list[set[int]] = [set() for _ in self.sizes]

        def add(factor: Factor) -> None:
            number = len(touched)
            touched.append(number)
            factors[number] = factor
            for gene in factor.genes:
                touching[gene].add(number)

        touched: list[int] = []
        origin: dict[int, int] = {}
        for gene, activity in enumerate(self.activity):
            if activity is not None:
                active = np.arange(self._states(gene)) < self.sizes[gene]
                add(Factor((*activity.genes, gene), activity.table[..., None] == active))
        for constraint in self.constraints:
            add(constraint)
        scalar = 1
        remaining = set(range(len(self.sizes)))
        weight: dict[int, int] = {}

        def table_size(gene: int) -> int:
            union = {gene}.union(*(factors[number].genes for number in touching[gene]))
            return math.prod(self._states(other) for other in union)

        for gene in remaining:
            weight[gene] = table_size(gene)
        while remaining:
            gene = min(remaining, key=lambda other: (weight[other], -other))
            if weight[gene] > MAX_TABLE:
                pointers = sorted({factors[number].pointer for number in touching[gene]} - {""})
                raise SpaceError(
                    pointers[0] if pointers else "/constraints",
                    "limits",
                    "the conditions tie too many choices together to count the space",
                    "state conditions over fewer choices, such as neighbouring layers, or share choices",
                )
            numbers = sorted(touching[gene])
            bucket = [factors.pop(number) for number in numbers]
            for other in {other for factor in bucket for other in factor.genes}:
                touching[other].difference_update(numbers)
            given = tuple(sorted({other for factor in bucket for other in factor.genes} - {gene}))
            axes = (*given, gene)
            bound = math.prod(int(factor.table.max()) for factor in bucket) * self._states(gene)
            number_type: Any = np.int64 if bound < 2**62 else object
            product: Any = np.ones(tuple(self._states(other) for other in axes), dtype=number_type)
            for factor in bucket:
                product = product * _aligned(factor, axes, number_type)
            total = np.asarray(product.sum(axis=-1))
            safe = total.copy()
            safe[total == 0] = 1
            chance = np.asarray(product / safe[..., None], dtype=np.float64)
            self.eliminations.append(
                Elimination(
                    gene,
                    given,
                    np.cumsum(chance, axis=-1),
                    np.asarray(product > 0, dtype=bool),
                    product,
                    tuple(origin[number] for number in numbers if number in origin),
                )
            )
            remaining.discard(gene)
            if given:
                origin[len(touched)] = gene
                add(Factor(given, total, next((factor.pointer for factor in bucket if factor.pointer), "")))
                for other in given:
                    weight[other] = table_size(other)
            else:
                scalar *= int(total[()])
        return scalar

    def sample(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """int16 (n, G), uniform over canonical assignments."""
        columns = np.full((len(self.sizes), n), -1, dtype=np.int16)
        draws = rng.random((len(self.sizes), n))
        for step in reversed(self.eliminations):
            rows = step.cumulative[tuple(columns[gene] for gene in step.given)]
            if step.given:
                state = (draws[step.gene][:, None] >= rows).sum(axis=1)
            else:
                state = np.searchsorted(step.cumulative, draws[step.gene], side="right")
            # A draw above a total that rounded to just below one belongs to the last possible state.
            allowed = step.allowed[tuple(columns[gene] for gene in step.given)]
            last = step.allowed.shape[-1] - 1 - np.argmax(allowed[..., ::-1], axis=-1)
            state = np.minimum(state, last)
            columns[step.gene] = np.where(state == self.sizes[step.gene], -1, state)
        return np.ascontiguousarray(columns.T)

    def repair(self, wanted: np.ndarray) -> np.ndarray:
        """The valid assignment that keeps each wanted option where it still can, else the nearest possible one."""
        columns = np.full((len(self.sizes), len(wanted)), -1, dtype=np.int16)
        for step in reversed(self.eliminations):
            allowed = step.allowed[tuple(columns[gene] for gene in step.given)]
            allowed = np.broadcast_to(allowed, (len(wanted), allowed.shape[-1]))
            target = np.maximum(wanted[:, step.gene].astype(np.int64), 0)
            distance = np.abs(np.arange(allowed.shape[1])[None, :] - target[:, None]).astype(np.float64)
            distance[:, self.sizes[step.gene] :] = 1e6
            state = np.argmin(np.where(allowed, distance, np.inf), axis=1)
            columns[step.gene] = np.where(state == self.sizes[step.gene], -1, state)
        return np.ascontiguousarray(columns.T)

    def canonical(self, genes: np.ndarray, fill: np.ndarray | None = None) -> np.ndarray:
        """Inactive genes become -1; active ones that are -1 take `fill` (option 0 without it)."""
        columns = np.ascontiguousarray(genes.T).astype(np.int16)
        for gene, activity in enumerate(self.activity):
            empty = columns[gene] < 0
            filled = 0 if fill is None else fill[:, gene]
            current = np.where(empty, filled, columns[gene]) if empty.any() else columns[gene]
            columns[gene] = current if activity is None else np.where(activity.rows(columns), current, -1)
        return np.ascontiguousarray(columns.T)

    def satisfied(self, genes: np.ndarray) -> np.ndarray:
        """Bool (n,): all constraints hold. `genes` must be canonical."""
        columns = np.ascontiguousarray(genes.T)
        good = np.ones(len(genes), dtype=bool)
        for constraint in self.constraints:
            good &= constraint.rows(columns)
        return good

    def enumerate(self, limit: int) -> np.ndarray:
        """All canonical assignments, sorted. Raises SpaceError above `limit`."""
        if self.cardinality > limit:
            raise SpaceError("", "limits", f"{self.cardinality} architectures are more than {limit}", "sample instead")
        rows = np.full((len(self.sizes), 1), -1, dtype=np.int16)
        waiting = list(self.constraints)
        for gene, size in enumerate(self.sizes):
            activity = self.activity[gene]
            active = np.ones(rows.shape[1], dtype=bool) if activity is None else activity.rows(rows)
            copies = np.where(active, size, 1)
            source = np.repeat(np.arange(rows.shape[1]), copies)
            option = np.arange(len(source)) - np.repeat(np.cumsum(copies) - copies, copies)
            rows = rows[:, source]
            rows[gene] = np.where(active[source], option, -1)
            ready = [factor for factor in waiting if max(factor.genes) <= gene]
            waiting = [factor for factor in waiting if max(factor.genes) > gene]
            for factor in ready:
                rows = rows[:, factor.rows(rows)]
            if rows.shape[1] > 40 * limit + 100_000:
                raise SpaceError("", "limits", "constraints prune too late to enumerate the space", "sample instead")
        return np.ascontiguousarray(rows.T)


def _aligned(factor: Factor, axes: tuple[int, ...], number_type: Any) -> np.ndarray:
    """The factor's table with one axis per gene of `axes` (size one where it does not depend on it)."""
    present = [gene for gene in axes if gene in factor.genes]
    table = np.transpose(factor.table, [factor.genes.index(gene) for gene in present])
    shape = iter(table.shape)
    full = table.reshape([next(shape) if gene in factor.genes else 1 for gene in axes])
    return full.astype(np.int64).astype(number_type) if full.dtype == bool else full.astype(number_type)
