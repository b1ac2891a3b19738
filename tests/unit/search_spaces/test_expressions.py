"""The expression grammar: values, precedence, errors, and agreement of scalar and vectorised evaluation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search_spaces.errors import SpaceError
from search_spaces.language.expressions import parse_expression
from search_spaces.language.terms import compile_value
from search_spaces.language.values import constant, gene_index

NAMES = {"x": 7, "y": 2, "act": "relu", "flag": True}


def value(text: str) -> Any:
    return compile_value(parse_expression(text), lambda name: constant(NAMES[name])).constant


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("=1 + 2 * 3", 7),
        ("=(1 + 2) * 3", 9),
        ("=2 ** 3 ** 2", 512),
        ("=-2 ** 2", -4),
        ("=7 // 2 + 7 % 2", 4),
        ("=7 / 2", 3.5),
        ("=10 - 3 - 2", 5),
        ("=x > 3 ? 'big' : 'small'", "big"),
        ("=x == 0 ? 1 : y == 2 ? 5 : 6", 5),
        ("=x in [1, 7] && act == 'relu'", True),
        ("=not flag or x != 7", False),
        ("=!flag || x >= 7", True),
        ("=min(x, y, 5) + max(1, y)", 4),
        ("=round8(100)", 104),
        ("=round8(19)", 24),
        ("=round8(1)", 8),
        ("=divisible(100, 16)", 96),
        ("=ceil(2.1) + floor(2.9) + round(2.6) + int(2.9)", 10),
        ("=log2(8)", 3.0),
        ("=abs(y - x)", 5),
        ("=[3, 5, 7][1]", 5),
        ("=all(a in [1, 2, 3]: a <= y + 1)", True),
        ("=any(a in [1, 2, 3]: a == x)", False),
        ("=sum(a in [1, 2, 3]: a * y)", 12),
    ],
)
def test_values(text: str, expected: Any) -> None:
    found = value(text)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    "text",
    ["=", "=1 +", "=1 2", "=f(1)", "=min()", "=x.y", "=x[0]", "=9 ** 9 ** 9", "=1 / 0", "=10 ** 15 * 10 ** 15",
     "=__import__('os')", "=x; y", "=lambda: 1", "='a' + 1", "=" + "(" * 150 + "1" + ")" * 150,
     "=" + "1+" * 1500 + "1"],
)  # fmt: skip
def test_refused(text: str) -> None:
    with pytest.raises(SpaceError):
        value(text)


class Column:
    def __init__(self, at: Any) -> None:
        self.at = at

    def index(self, gene: int) -> Any:
        return self.at

    def shape(self, capture: int) -> Any:
        raise AssertionError


numbers = st.sampled_from(["g", "1", "3", "2.5", "x", "y"])
expressions = st.recursive(
    numbers,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["+", "-", "*", "//", "%", "/"]), inner).map(
            lambda t: f"({t[0]} {t[1]} {t[2]})"
        ),
        st.tuples(inner, st.sampled_from(["<", "<=", "==", "!="]), inner, inner, inner).map(
            lambda t: f"({t[0]} {t[1]} {t[2]} ? {t[3]} : {t[4]})"
        ),
        st.tuples(st.sampled_from(["round8", "ceil", "floor", "abs"]), inner).map(lambda t: f"{t[0]}({t[1]})"),
        st.tuples(inner, inner).map(lambda t: f"max({t[0]}, {t[1]})"),
    ),
    max_leaves=6,
)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(expressions)
def test_vectorised_evaluation_equals_scalar_evaluation(text: str) -> None:
    def look(name: str) -> Any:
        return gene_index(0) if name == "g" else constant(NAMES[name])

    try:
        compiled = compile_value(parse_expression(text), look)
        scalars = [compiled(Column(at)) for at in range(4)]  # type: ignore[arg-type]
    except SpaceError:  # division by zero and the like are refused for scalars, filled in for batches
        return
    batch = compiled(Column(np.arange(4)))  # type: ignore[arg-type]
    assert np.allclose(np.broadcast_to(batch, (4,)), scalars, rtol=1e-9)
