"""Compiles syntax trees of expressions to values, given what names mean."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from search_spaces.errors import SpaceError, did_you_mean
from search_spaces.language.expressions import Term
from search_spaces.language.operations import (
    FUNCTIONS,
    arithmetic,
    compare,
    logical_and,
    logical_not,
    logical_or,
    where,
)
from search_spaces.language.values import (
    Collection,
    Edge,
    Env,
    ListValue,
    Place,
    Record,
    Value,
    combine,
    conjunction,
    constant,
    depends,
    force,
    implied,
    lookup,
    safe_guard,
)
from search_spaces.shapes import ImageShape, TokensShape, VectorShape

Resolver = Callable[[str], Any]

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
            raise SpaceError(
                "", "shape", f"there is no '{name}' where the input is of kind {kind}", "use 'in' for its features"
            )
        return getattr(shape, attribute)

    return Value(run=read, captures=frozenset((place.capture,)))


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
            raise SpaceError(
                "", "type", "only lists are indexed", "the first elements of repeats: all(x in xs: x.index > 0 || ...)"
            )
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

        return depends(choose, [test, yes, no], where)
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
    return combine(functions[op], *operands, folds=op != "not")


def compile_value(term: Term, resolve: Resolver) -> Value:
    return to_value(compile_term(term, resolve))


def to_value(binding: Any) -> Value:
    """A binding as a single value; `in` alone means its features."""
    binding = force(binding)
    if isinstance(binding, Value):
        return binding
    if isinstance(binding, Place):
        return place_field(binding, "features")
    kind = {ListValue: "a list", Record: "a mapping", Collection: "a collection", Edge: "a node"}
    advice = {
        ListValue: "for one of these write {one_of: [...]}, for all whole numbers between two {int: [lo, hi]}; index a "
        "list in an expression: =name[0]",
        Record: "for a choice write {one_of: [...]}, {int: [lo, hi]}, {float: [lo, hi], levels: k} or many_of; read an "
        "entry in an expression: =name.entry",
        Collection: "ask for all, any, sum or count: =count(l in layers: true)",
    }
    suggestion = advice.get(type(binding), "")
    if isinstance(binding, Record):
        hints = [did_you_mean(key, ("one_of", "int", "float", "many_of")) for key in binding.entries]
        suggestion = next((hint for hint in hints if "did you mean" in hint), suggestion)
    raise SpaceError("", "type", f"{kind.get(type(binding), 'this')} is not a single value", suggestion)


def _call(name: str, args: tuple[Term, ...], resolve: Resolver) -> Any:
    if name in ("consecutive", "len"):
        target = compile_term(args[0], resolve) if len(args) == 1 else None
        if name == "len" and isinstance(target, ListValue):
            return constant(len(target.items))
        if name == "len" and isinstance(target, Collection):
            present = [_present(record) for record in target.records]
            return _total(present)
        if name == "consecutive" and isinstance(target, Collection):
            pairs = zip(target.records, target.records[1:], strict=False)
            return ListValue(tuple(ListValue(pair) for pair in pairs))
        raise SpaceError("", "type", f"{name}(...) needs one collection, such as the layers of a repeat")
    if name not in FUNCTIONS:
        raise SpaceError("", "function", f"the function '{name}' is unknown", did_you_mean(name, FUNCTIONS))
    least, most, function = FUNCTIONS[name]
    if not least <= len(args) <= most:
        raise SpaceError("", "function", f"{name} takes {least} to {most} arguments, not {len(args)}")
    return combine(function, *(compile_value(arg, resolve) for arg in args), folds=name in ("min", "max"))


def _present(record: Record) -> Value:
    """True where all guards of a record hold (false where a gene that they read is itself inactive)."""
    return conjunction([safe_guard(guard) for guard in record.guards])


def quantified(args: tuple[Any, ...], resolve: Resolver) -> list[tuple[Value, Resolver]]:
    """The (presence, name resolver) of each element that a quantifier ranges over."""
    _kind, names, collection_term, _body = args
    collection = compile_term(collection_term, resolve)
    if isinstance(collection, Collection):
        items: Sequence[Any] = collection.records
    elif isinstance(collection, ListValue):
        items = collection.items
    else:
        raise SpaceError(
            "",
            "type",
            "a quantifier ranges over the elements of a repeat or for_each, or over a list; this is a single value",
            "a choice or let of the same name hides them: rename it",
        )
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
            parts.append(implied(present, value))
        elif kind in ("any", "count"):
            parts.append(combine(logical_and, present, value))
        elif kind == "sum":
            parts.append(combine(lambda here, number: where(here, number, 0), present, value))
        else:
            raise SpaceError("", "function", f"'{kind}' is no quantifier", "use all, any, sum or count")
    if kind == "all":
        return conjunction(parts)
    if kind == "any":
        return combine(logical_or, *parts, folds=True) if parts else constant(False)
    return _total(parts)


def _total(parts: Sequence[Value]) -> Value:
    """The sum of numbers; of truths, how many there are."""
    if not parts:
        return constant(0)
    return combine(lambda *numbers: sum(number * 1 for number in numbers), *parts, folds=True)
