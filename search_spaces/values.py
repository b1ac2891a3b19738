"""Compiled values: constants, and closures over genes and captured shapes that NumPy evaluates a batch at a time."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from search_spaces.errors import SpaceError, did_you_mean
from search_spaces.expressions import Term
from search_spaces.network import ImageShape, Shape, TokensShape, VectorShape

MAX_NUMBER = 2**53


ARITHMETIC_ERRORS = (TypeError, ValueError, OverflowError, ZeroDivisionError)


def not_computable(error: Exception) -> SpaceError:
    """The finding for an operation on values that do not go together."""
    return SpaceError("", "type", f"cannot be computed: {error}", "check the types and sizes of the options")


class Env(Protocol):
    """What a closure may ask for: option indices (int or int array, -1 inactive) and captured input shapes."""

    def index(self, gene: int) -> Any: ...

    def shape(self, capture: int) -> Shape: ...


@dataclass(frozen=True)
class Value:
    """`constant` when `run` is None; else `run(env)`. `genes` and `captures` are everything it depends on."""

    constant: Any = None
    run: Callable[[Env], Any] | None = None
    genes: frozenset[int] = frozenset()
    captures: frozenset[int] = frozenset()

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
    """Named bindings: an element of a `for_each`, an iteration of a `repeat`. Resolved on first reading."""

    entries: dict[str, Any] = field(default_factory=dict)
    guards: tuple[Value, ...] = ()

    def read(self, name: str) -> Any:
        if name not in self.entries:
            raise SpaceError("", "name", f"no entry '{name}'", did_you_mean(name, self.entries))
        return force(self.entries[name])


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
            self._result = self._compute()
            self._state = "done"
        return self._result


def force(binding: Any) -> Any:
    return binding.force() if isinstance(binding, Lazy) else binding


def constant(value: Any) -> Value:
    return Value(constant=value)


def combine(function: Callable[..., Any], *operands: Value) -> Value:
    """The value of `function` over operands; folded when all are constant."""
    if all(operand.is_constant for operand in operands):
        try:
            return constant(check_number(function(*(operand.constant for operand in operands))))
        except SpaceError:
            raise
        except ARITHMETIC_ERRORS as error:
            raise not_computable(error) from None
    genes = frozenset().union(*(operand.genes for operand in operands))
    captures = frozenset().union(*(operand.captures for operand in operands))
    if len(operands) == 2:
        left, right = operands
        return Value(run=lambda env: function(left(env), right(env)), genes=genes, captures=captures)
    return Value(run=lambda env: function(*[operand(env) for operand in operands]), genes=genes, captures=captures)


def check_number(value: Any) -> Any:
    if isinstance(value, int | float) and not abs(value) <= MAX_NUMBER:
        raise SpaceError("", "number", "a number grows beyond 2**53")
    return value


def where(condition: Any, yes: Any, no: Any) -> Any:
    """Elementwise choice that keeps scalars scalar."""
    if isinstance(condition, bool | int | np.bool_):
        return yes if condition else no
    if not isinstance(yes, np.ndarray) and not isinstance(no, np.ndarray) and yes == no:
        return yes
    if isinstance(yes, str) or isinstance(no, str) or yes is None or no is None:
        return np.where(condition, np.asarray(yes, dtype=object), np.asarray(no, dtype=object))
    return np.where(condition, yes, no)


def option_table(options: Sequence[Any]) -> np.ndarray:
    """Options as an array to index by a gene column."""
    if all(isinstance(option, bool) for option in options):
        return np.array(options, dtype=bool)
    if all(isinstance(option, int) and not isinstance(option, bool) for option in options):
        return np.array(options, dtype=np.int64)
    if all(isinstance(option, int | float) and not isinstance(option, bool) for option in options):
        return np.array(options, dtype=np.float64)
    table = np.empty(len(options), dtype=object)
    table[:] = list(options)
    return table


def lookup(index: Value, options: Sequence[Value]) -> Value:
    """options[index]: a table when the options are constant, else a selection among computed values."""
    genes = index.genes.union(*(option.genes for option in options))
    captures = index.captures.union(*(option.captures for option in options))
    if index.is_constant:
        return options[index.constant]
    if all(option.is_constant for option in options):
        plain = tuple(option.constant for option in options)
        table = option_table(plain)

        def read(env: Env) -> Any:
            at = index(env)
            return table[at] if isinstance(at, np.ndarray) else plain[at]

        return Value(run=read, genes=genes, captures=captures)

    def select(env: Env) -> Any:
        at = index(env)
        if not isinstance(at, np.ndarray):
            return options[at](env)
        result = options[-1](env)
        for position in range(len(options) - 2, -1, -1):
            result = where(at == position, options[position](env), result)
        return result

    return Value(run=select, genes=genes, captures=captures)


def gene_index(gene: int) -> Value:
    return Value(run=lambda env: env.index(gene), genes=frozenset((gene,)))


def _is_array(*values: Any) -> bool:
    return any(isinstance(value, np.ndarray) for value in values)


def _number(value: Any) -> Any:
    if isinstance(value, str) or value is None or isinstance(value, list):
        raise SpaceError("", "type", f"{value!r} is not a number")
    return value


def _divide(op: str, a: Any, b: Any) -> Any:
    if not _is_array(a, b):
        if b == 0:
            raise SpaceError("", "number", "division by zero")
        return a / b if op == "/" else (a // b if op == "//" else a % b)
    safe = np.where(np.asarray(b) == 0, 1, b)
    return a / safe if op == "/" else (a // safe if op == "//" else a % safe)


def _power(a: Any, b: Any) -> Any:
    if not _is_array(a, b):
        if abs(b) > 64 or (a == 0 and b < 0) or (abs(a) > 1 and abs(b) * math.log2(abs(a)) > 53):
            raise SpaceError("", "number", "a power grows beyond 2**53")
        result = a**b
        if isinstance(result, complex):
            raise SpaceError("", "number", "a root of a negative number")
        return result
    with np.errstate(all="ignore"):
        exact = np.asarray(b).dtype.kind in "ib" and np.asarray(a).dtype.kind in "ib" and np.min(b) >= 0
        return np.power(a, np.minimum(b, 64)) if exact else np.power(np.asarray(a, dtype=float), b)


def arithmetic(op: str, a: Any, b: Any) -> Any:
    _number(a), _number(b)
    if op == "+":
        return a + b if not isinstance(a, np.ndarray) or a.dtype != bool else a.astype(np.int64) + b
    if op == "-":
        return a - b if not isinstance(a, np.ndarray) or a.dtype != bool else a.astype(np.int64) - b
    if op == "*":
        return a * b
    return _power(a, b) if op == "**" else _divide(op, a, b)


def compare(op: str, a: Any, b: Any) -> Any:
    if op in ("==", "!="):
        if not _is_array(a, b):
            return (a == b) == (op == "==")
        same = np.asarray(a == b, dtype=bool)
        return same if op == "==" else ~same
    _number(a), _number(b)
    if op == "<":
        return a < b
    if op == "<=":
        return a <= b
    return a > b if op == ">" else a >= b


def _truth(value: Any) -> Any:
    return value.astype(bool) if isinstance(value, np.ndarray) else bool(value)


def logical_and(*parts: Any) -> Any:
    result: Any = True
    for part in parts:
        if not isinstance(part, np.ndarray):
            if not part:
                return False
        else:
            result = _truth(part) if result is True else result & _truth(part)
    return result


def logical_or(*parts: Any) -> Any:
    result: Any = False
    for part in parts:
        if not isinstance(part, np.ndarray):
            if part:
                return True
        else:
            result = _truth(part) if result is False else result | _truth(part)
    return result


def logical_not(value: Any) -> Any:
    return ~_truth(value) if isinstance(value, np.ndarray) else not value


def round_divisible(value: Any, divisor: Any) -> Any:
    """Nearest multiple of `divisor`, at least `divisor`, one step up when below 90 % of the value."""
    if not _is_array(value, divisor):
        rounded = max(divisor, int(value + divisor / 2) // divisor * divisor)
        return rounded + divisor if rounded < 0.9 * value else rounded
    rounded = np.maximum(divisor, np.floor(value + np.asarray(divisor) / 2).astype(np.int64) // divisor * divisor)
    return np.where(rounded < 0.9 * value, rounded + divisor, rounded)


def _extreme(scalar: Callable[..., Any], array: Callable[..., Any]) -> Callable[..., Any]:
    def apply(*values: Any) -> Any:
        return functools.reduce(array, values) if _is_array(*values) else scalar(*values, *values[:1])

    return apply


def _whole(scalar: Callable[[Any], Any], array: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda value: array(value).astype(np.int64) if _is_array(value) else scalar(value)


def _half_even(value: Any) -> Any:
    return round(value)


def _log2(value: Any) -> Any:
    if _is_array(value):
        return np.log2(np.maximum(value, 1e-300))
    if value <= 0:
        raise SpaceError("", "number", "log2 needs a positive number")
    return math.log2(value)


FUNCTIONS: Mapping[str, tuple[int, int, Callable[..., Any]]] = {
    "min": (1, 64, _extreme(min, np.minimum)),
    "max": (1, 64, _extreme(max, np.maximum)),
    "abs": (1, 1, abs),
    "ceil": (1, 1, _whole(math.ceil, np.ceil)),
    "floor": (1, 1, _whole(math.floor, np.floor)),
    "int": (1, 1, _whole(int, np.trunc)),
    "round": (1, 1, _whole(_half_even, np.round)),
    "round8": (1, 1, lambda value: round_divisible(value, 8)),
    "divisible": (2, 2, round_divisible),
    "log2": (1, 1, _log2),
}

_FIELDS = {
    "channels": (ImageShape, "channels"),
    "height": (ImageShape, "height"),
    "width": (ImageShape, "width"),
    "length": (TokensShape, "length"),
}


def place_field(place: Place, name: str) -> Value:
    """A number of a place's shape. `features` (and the bare name) is channels, token features or vector length."""
    if name != "features" and name not in _FIELDS:
        raise SpaceError("", "name", f"a shape has no '{name}'", did_you_mean(name, [*_FIELDS, "features"]))

    def read(env: Env) -> Any:
        shape = env.shape(place.capture)
        if name == "features":
            return shape.channels if isinstance(shape, ImageShape) else shape.features
        if name == "channels" and isinstance(shape, TokensShape | VectorShape):
            return shape.features
        expected, attribute = _FIELDS[name]
        if not isinstance(shape, expected):
            kind = type(shape).__name__.removesuffix("Shape").lower()
            raise SpaceError("", "shape", f"'{name}' of an input that is a {kind}", "use 'in' for its features")
        return getattr(shape, attribute)

    return Value(run=read, captures=frozenset((place.capture,)))


Resolver = Callable[[str], Any]


def compile_term(term: Term, resolve: Resolver) -> Any:
    """The binding of a syntax tree; names come from `resolve` (raising SpaceError for unknown ones)."""
    op, args = term.op, term.args
    if op == "literal":
        return constant(args[0])
    if op == "name":
        return force(resolve(args[0]))
    if op == "field":
        base = compile_term(args[0], resolve)
        if isinstance(base, Record):
            return base.read(args[1])
        if isinstance(base, Place):
            return place_field(base, args[1])
        raise SpaceError("", "name", f"'.{args[1]}' of something without entries")
    if op == "index":
        base, index = compile_term(args[0], resolve), compile_value(args[1], resolve)
        if not isinstance(base, ListValue):
            raise SpaceError("", "type", "only lists are indexed", "range over collections with all(x in xs: ...)")
        if index.is_constant:
            if not isinstance(index.constant, int) or not -len(base.items) <= index.constant < len(base.items):
                raise SpaceError("", "index", f"index {index.constant!r} of a list of {len(base.items)}")
            return force(base.items[index.constant])
        size = len(base.items)
        clipped = combine(lambda at: at % size, index)
        return lookup(clipped, [to_value(force(item)) for item in base.items])
    if op in ("list", "tuple"):
        return ListValue(tuple(compile_term(arg, resolve) for arg in args))
    if op == "conditional":
        test = compile_value(args[0], resolve)
        if test.is_constant:
            return compile_term(args[1] if test.constant else args[2], resolve)
        yes, no = (compile_value(arg, resolve) for arg in args[1:])

        def choose(env: Env) -> Any:
            condition = test(env)
            if not isinstance(condition, np.ndarray):
                return yes(env) if condition else no(env)
            return where(condition, yes(env), no(env))

        return Value(
            run=choose,
            genes=test.genes | yes.genes | no.genes,
            captures=test.captures | yes.captures | no.captures,
        )
    if op == "member":
        needle, hay = compile_value(args[0], resolve), compile_term(args[1], resolve)
        if not isinstance(hay, ListValue):
            raise SpaceError("", "type", "'in' needs a list on its right")
        items = [to_value(force(item)) for item in hay.items]
        return combine(
            lambda value, *items: logical_or(*[compare("==", value, item) for item in items]), needle, *items
        )
    if op == "call":
        return _call(args[0], args[1:], resolve)
    if op == "quantifier":
        return _quantifier(args, resolve)
    operands = [compile_value(arg, resolve) for arg in (args[1:] if op in ("arith", "compare") else args)]
    if op == "arith":
        return combine(functools.partial(arithmetic, args[0]), *operands)
    if op == "compare":
        return combine(functools.partial(compare, args[0]), *operands)
    functions = {"and": logical_and, "or": logical_or, "not": logical_not}
    return combine(functions[op], *operands)


def compile_value(term: Term, resolve: Resolver) -> Value:
    return to_value(compile_term(term, resolve))


def to_value(binding: Any) -> Value:
    """A binding as a single value; `in` alone means its features."""
    binding = force(binding)
    if isinstance(binding, Value):
        return binding
    if isinstance(binding, Place):
        return place_field(binding, "features")
    kind = {ListValue: "a list", Record: "a record", Collection: "a collection", Edge: "a node"}
    raise SpaceError("", "type", f"{kind.get(type(binding), 'this')} is not a single value")


def _call(name: str, args: tuple[Term, ...], resolve: Resolver) -> Any:
    if name in ("consecutive", "len"):
        target = compile_term(args[0], resolve) if len(args) == 1 else None
        if name == "len" and isinstance(target, ListValue):
            return constant(len(target.items))
        if name == "len" and isinstance(target, Collection):
            present = [_present(record) for record in target.records]
            return combine(lambda *flags: sum(flag * 1 for flag in flags), *present)
        if name == "consecutive" and isinstance(target, Collection):
            pairs = zip(target.records, target.records[1:], strict=False)
            return ListValue(tuple(ListValue(pair) for pair in pairs))
        raise SpaceError("", "type", f"{name}(...) needs one collection, such as the layers of a repeat")
    if name not in FUNCTIONS:
        raise SpaceError("", "function", f"the function '{name}' is unknown", did_you_mean(name, FUNCTIONS))
    least, most, function = FUNCTIONS[name]
    if not least <= len(args) <= most:
        raise SpaceError("", "function", f"{name} takes {least} to {most} arguments, not {len(args)}")
    return combine(function, *(compile_value(arg, resolve) for arg in args))


def _present(record: Record) -> Value:
    """True where all guards of a record hold (false where a gene that they read is itself inactive)."""
    return conjunction([safe_guard(guard) for guard in record.guards])


def conjunction(values: Sequence[Value]) -> Value:
    return combine(logical_and, *values) if values else constant(True)


def safe_guard(guard: Value) -> Value:
    """The guard, false wherever a gene it reads is inactive."""
    genes = sorted(guard.genes)
    if not genes:
        return guard

    def run(env: Env) -> Any:
        return logical_and(guard(env), *[env.index(gene) >= 0 for gene in genes])

    return Value(run=run, genes=guard.genes, captures=guard.captures)


def quantified(args: tuple[Any, ...], resolve: Resolver) -> list[tuple[Value, Resolver]]:
    """The (presence, name resolver) of each element that a quantifier ranges over."""
    _kind, names, collection_term, _body = args
    collection = compile_term(collection_term, resolve)
    if isinstance(collection, Collection):
        items: Sequence[Any] = collection.records
    elif isinstance(collection, ListValue):
        items = collection.items
    else:
        raise SpaceError("", "type", "a quantifier ranges over a collection or a list")
    result: list[tuple[Value, Resolver]] = []
    for item in items:
        parts = item.items if len(names) > 1 and isinstance(item, ListValue) else (item,)
        if len(parts) != len(names):
            raise SpaceError("", "type", f"{len(names)} names for elements of {len(parts)}")
        bound = dict(zip(names, parts, strict=True))
        present = [_present(part) for part in parts if isinstance(part, Record)]

        def look(name: str, bound: dict[str, Any] = bound) -> Any:
            return bound[name] if name in bound else resolve(name)

        result.append((conjunction(present), look))
    return result


def _quantifier(args: tuple[Any, ...], resolve: Resolver) -> Value:
    kind, body = args[0], args[3]
    elements = quantified(args, resolve)
    if len(elements) > 2_000:
        raise SpaceError("", "size", "the quantifier ranges over more than 2,000 elements")
    parts: list[Value] = []
    for present, look in elements:
        value = compile_value(body, look)
        if kind == "all":
            parts.append(combine(lambda here, holds: logical_or(logical_not(here), holds), present, value))
        elif kind in ("any", "count"):
            parts.append(combine(logical_and, present, value))
        elif kind == "sum":
            parts.append(combine(lambda here, number: where(here, number, 0), present, value))
        else:
            raise SpaceError("", "function", f"'{kind}' is no quantifier", "use all, any, sum or count")
    if kind == "all":
        return combine(logical_and, *parts) if parts else constant(True)
    if kind == "any":
        return combine(logical_or, *parts) if parts else constant(False)
    return combine(lambda *numbers: sum(number * 1 for number in numbers), *parts) if parts else constant(0)
