"""The operations of expressions, elementwise over scalars and NumPy columns alike."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from search_spaces.blocks.arithmetic import require
from search_spaces.errors import SpaceError

MAX_NUMBER = 2**53


ARITHMETIC_ERRORS = (TypeError, ValueError, OverflowError, ZeroDivisionError)


def not_computable(error: Exception) -> SpaceError:
    """The finding for an operation on values that do not go together."""
    return SpaceError("", "type", f"cannot be computed: {error}", "check the types and sizes of the options")


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


def _is_array(*values: Any) -> bool:
    return any(isinstance(value, np.ndarray) for value in values)


def _number(value: Any) -> Any:
    if isinstance(value, str) or value is None or isinstance(value, list):
        raise SpaceError("", "type", f"{value!r} is not a number")
    return value


def _divide(op: str, a: Any, b: Any) -> Any:
    if not _is_array(a, b):
        if b == 0:
            raise SpaceError("", "number", "division by zero", "leave that case out: b == 0 ? 1 : a // b")
        return a / b if op == "/" else (a // b if op == "//" else a % b)
    divisible = np.asarray(b) != 0
    require(divisible, "division by zero")
    safe = np.where(divisible, b, 1)
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
