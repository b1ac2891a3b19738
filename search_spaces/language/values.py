"""Compiled values: constants, and closures over genes and captured shapes that NumPy evaluates a batch at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from search_spaces.errors import SpaceError, did_you_mean
from search_spaces.language.operations import (
    ARITHMETIC_ERRORS,
    check_number,
    logical_and,
    logical_not,
    logical_or,
    not_computable,
    option_table,
    where,
)
from search_spaces.shapes import Shape

MAX_WEIGHT = 100_000


class Env(Protocol):
    """What a closure may ask for: option indices (int or int array, -1 inactive) and captured input shapes."""

    def index(self, gene: int) -> Any: ...

    def shape(self, capture: int) -> Shape: ...


@dataclass(frozen=True)
class Value:
    """`constant` when `run` is None; else `run(env)`. `genes` and `captures` are everything it depends on.

    `weight` is the number of steps of one evaluation: names are expanded where they are used. With `apply`, the result
    is `apply` of arrays of the operands' results; where it `folds`, of the first two, then of that and the next one.
    """

    constant: Any = None
    run: Callable[[Env], Any] | None = None
    genes: frozenset[int] = frozenset()
    captures: frozenset[int] = frozenset()
    weight: int = 1
    operands: tuple[Value, ...] = ()
    apply: Callable[..., Any] | None = None
    folds: bool = False

    def __call__(self, env: Env) -> Any:
        if self.run is None:
            return self.constant
        try:
            return self.run(env)
        except SpaceError:
            raise
        except ARITHMETIC_ERRORS as error:
            raise not_computable(error) from None

    @property
    def is_constant(self) -> bool:
        return self.run is None

    @property
    def is_pure(self) -> bool:
        """Depends on genes alone, not on shapes."""
        return not self.captures


@dataclass(frozen=True)
class ListValue:
    """A list of bindings, indexed by constants in expressions."""

    items: tuple[Any, ...]


@dataclass
class Record:
    """Named bindings: an element of a `for_each`, an iteration of a `repeat`. Resolved on first reading.

    `path` is an iteration's name, `repeat` what made it; both are told where it lacks an entry.
    """

    entries: dict[str, Any] = field(default_factory=dict)
    guards: tuple[Value, ...] = ()
    path: str = ""
    repeat: str = ""

    @property
    def is_of_unnamed(self) -> bool:
        """Whether a repeat without a name makes it."""
        return "without a name" in self.repeat

    def read(self, name: str) -> Any:
        if name not in self.entries:
            where = f" in {self.path}, which the {self.repeat} makes" if self.path else ""
            raise SpaceError("", "name", f"no entry '{name}'{where}", self._advice(name))
        return force(self.entries[name])

    def _advice(self, name: str) -> str:
        hint = did_you_mean(name, self.entries)
        if "did you mean" in hint:
            return hint
        for plural, inner in self.entries.items():
            if (
                plural != "layers"
                and isinstance(inner, Collection)
                and any(name in item.entries for item in inner.records)
            ):
                return f"'{name}' is inside '{plural}': range over {plural}, which are those of all places"
        if self.is_of_unnamed:
            return (
                f"{hint}; `layers` are the elements of all repeats without a name: write name: block "
                f"beside the repeat whose elements have '{name}', and range over blocks"
            )
        return f"{hint}; every element of a list needs the entries read"


@dataclass(frozen=True)
class Collection:
    """The records of all iterations: what quantifiers range over. Iterations absent from a network do not count."""

    records: tuple[Record, ...]


@dataclass(frozen=True)
class Place:
    """`in` or a named node's output: its shape is known only while a network is being resolved."""

    capture: int


@dataclass(frozen=True)
class Edge:
    """A reference to one of several registers: the one at `index`."""

    registers: tuple[int, ...]
    index: Value
    labels: tuple[str, ...]


class Lazy:
    """A binding compiled when first read; reading it while it is being compiled is a cycle."""

    def __init__(self, compute: Callable[[], Any], label: str) -> None:
        self._compute, self._label = compute, label
        self._state, self._result = "new", None

    def force(self) -> Any:
        if self._state == "busy":
            raise SpaceError("", "cycle", f"'{self._label}' is defined by itself")
        if self._state == "new":
            self._state = "busy"
            try:
                self._result = self._compute()
            except SpaceError:
                self._state = "new"  # who reads it again meets the same problem, not a cycle
                raise
            self._state = "done"
        return self._result


def force(binding: Any) -> Any:
    return binding.force() if isinstance(binding, Lazy) else binding


def constant(value: Any) -> Value:
    return Value(constant=value)


def depends(
    run: Callable[[Env], Any], operands: Sequence[Value], apply: Callable[..., Any] | None = None, folds: bool = False
) -> Value:
    """A value computed from operands. Raises SpaceError where an evaluation would take too many steps."""
    weight = 1 + sum(operand.weight for operand in operands)
    if weight > MAX_WEIGHT:
        raise SpaceError(
            "", "limits", f"takes more than {MAX_WEIGHT:,} steps with all names expanded", "use each name fewer times"
        )
    genes = frozenset().union(*(operand.genes for operand in operands))
    captures = frozenset().union(*(operand.captures for operand in operands))
    return Value(None, run, genes, captures, weight, tuple(operands), apply, folds)


def combine(function: Callable[..., Any], *operands: Value, folds: bool = False) -> Value:
    """The value of `function` over operands; a constant when all are constant."""
    if all(operand.is_constant for operand in operands):
        try:
            return constant(check_number(function(*(operand.constant for operand in operands))))
        except SpaceError:
            raise
        except ARITHMETIC_ERRORS as error:
            raise not_computable(error) from None
    if len(operands) == 2:
        left, right = operands
        return depends(lambda env: function(left(env), right(env)), operands, function, folds)
    return depends(lambda env: function(*[operand(env) for operand in operands]), operands, function, folds)


def lookup(index: Value, options: Sequence[Value]) -> Value:
    """options[index]: a table when the options are constant, else a selection among computed values."""
    if index.is_constant:
        return options[index.constant]
    if all(option.is_constant for option in options):
        return table_lookup(index, tuple(option.constant for option in options))

    def select(env: Env) -> Any:
        at = index(env)
        if not isinstance(at, np.ndarray):
            return options[at](env)
        result = options[-1](env)
        for position in range(len(options) - 2, -1, -1):
            result = where(at == position, options[position](env), result)
        return result

    return depends(select, [index, *options])


def table_lookup(index: Value, plain: tuple[Any, ...]) -> Value:
    """plain[index] of constants."""
    table = option_table(plain)

    def read(env: Env) -> Any:
        at = index(env)
        return table[at] if isinstance(at, np.ndarray) else plain[at]

    return depends(read, [index])


def gene_index(gene: int) -> Value:
    return Value(run=lambda env: env.index(gene), genes=frozenset((gene,)))


def conjunction(values: Sequence[Value]) -> Value:
    return combine(logical_and, *values, folds=True) if values else constant(True)


def implied(here: Value, holds: Value) -> Value:
    """`holds` where `here` is true; true elsewhere."""
    return combine(lambda present, fine: logical_or(logical_not(present), fine), here, holds)


def gene_active(gene: int) -> Value:
    return Value(run=lambda env: env.index(gene) >= 0, genes=frozenset((gene,)))


def safe_guard(guard: Value) -> Value:
    """The guard, false wherever a gene it reads is inactive."""
    return conjunction([guard, *map(gene_active, sorted(guard.genes))]) if guard.genes else guard


def all_hold(guards: Sequence[Value]) -> Value:
    """True where all guards hold, with all the genes that they read active."""
    return conjunction([safe_guard(guard) for guard in guards])


class _Fixed:
    """An environment in which one gene has one option."""

    def __init__(self, env: Env | None, gene: int, option: int) -> None:
        self.env, self.gene, self.option = env, gene, option

    def index(self, gene: int) -> Any:
        if gene == self.gene:
            return self.option
        assert self.env is not None
        return self.env.index(gene)

    def shape(self, capture: int) -> Shape:
        assert self.env is not None
        return self.env.shape(capture)


def restricted(value: Value, gene: int, option: int) -> Value:
    """The value where a gene has one option."""
    if gene not in value.genes:
        return value
    genes = value.genes - {gene}
    if not genes and value.is_pure:
        return constant(value(_Fixed(None, gene, option)))
    return Value(None, lambda env: value(_Fixed(env, gene, option)), genes, value.captures, value.weight)
