"""Checks a value against a block's declared parameter: type, allowed values, bounds."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from search_spaces.blocks.base import Param
from search_spaces.errors import did_you_mean

MAX_SIZE = 10_000_000

KIND_TYPES: dict[str, tuple[type, ...]] = {"int": (int,), "float": (int, float), "bool": (bool,), "str": (str,)}


def whole(param: Param, value: Any) -> Any:
    """The value; a whole float as an int where the parameter is one (an expression may divide)."""
    return int(value) if param.kind == "int" and isinstance(value, float) and value.is_integer() else value


def param_problem(param: Param, value: Any) -> str:
    """What is wrong with a parameter's value; empty when nothing is."""
    item = whole(param, value)
    if type(item) not in KIND_TYPES[param.kind]:
        return f"needs {'a whole number' if param.kind == 'int' else 'a ' + param.kind}"
    if isinstance(item, int) and abs(item) > MAX_SIZE:
        return f"at most {MAX_SIZE:,}"
    if param.allowed is not None and item not in param.allowed:
        return "allowed are " + ", ".join(map(str, param.allowed))
    if param.minimum is not None and item < param.minimum:
        return f"at least {param.minimum:g}"
    if param.maximum is not None and item > param.maximum:
        return f"at most {param.maximum:g}"
    return ""


def within(param: Param, values: np.ndarray) -> Any:
    """Where a column of values is one that the parameter may have (bool (n,), or True)."""
    if param.allowed is not None:
        return np.isin(values, param.allowed)
    if values.dtype.kind not in "iuf":  # options of several types
        return np.array([not param_problem(param, value) for value in values.tolist()])
    if param.kind not in ("int", "float"):
        return False
    inside: np.ndarray = np.abs(values) <= MAX_SIZE
    if param.minimum is not None:
        inside &= values >= param.minimum
    if param.maximum is not None:
        inside &= values <= param.maximum
    return inside


def parameter_advice(param: Param, value: Any = None) -> str:
    """What to write instead of a value that does not fit."""
    if isinstance(value, str) and param.kind == "bool":
        return "write true or false"
    if isinstance(value, str) and param.kind != "str" and re.fullmatch(r"\s*[-+]?[0-9]*\.?[0-9]+\s*", value):
        return f"a number stands without quotes: {param.name}: {value.strip()[:60]}"
    if isinstance(value, str) and param.kind != "str":
        return f'an expression begins with =: "={value[:60]}"'
    if isinstance(value, str) and param.allowed:
        close = did_you_mean(value, param.allowed)
        if "did you mean" in close:
            return close
    return f"{param.name}: {param.help}" if param.help else ""
