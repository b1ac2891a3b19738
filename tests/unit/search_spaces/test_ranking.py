"""Numbering of architectures: a bijection on every kind of space, and uniform sampling by it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search_spaces.errors import SpaceError
from search_spaces.library_index import load_library
from search_spaces.space import SearchSpace
from tests.unit.search_spaces.builders import conv, space


@st.composite
def spaces(draw: st.DrawFn) -> SearchSpace:
    """Small spaces with conditional choices, shared choices, picks and constraints."""
    let: dict[str, Any] = {}
    for name in draw(st.lists(st.sampled_from("abc"), unique=True)):
        let[name] = {"one_of": list(range(1, draw(st.integers(2, 4))))}
    if draw(st.booleans()):
        k, distinct, ordered = draw(st.integers(1, 3)), draw(st.booleans()), draw(st.booleans())
        let["picks"] = {"many_of": {"k": k, "from": [1, 3, 5], "distinct": distinct, "sorted": ordered}}
    body = [conv(out="=w", let={"w": {"one_of": [4, 8, 12]}, "e": {"one_of": [1, 2]}})]
    most = draw(st.integers(1, 3))
    network: list[Any] = [{"repeat": {"count": {"int": [draw(st.integers(0, most)), most]}, "body": body}}]
    if draw(st.booleans()):
        network.append({"name": "op", "one_of": {"plain": conv(), "wide": conv(kernel={"one_of": [1, 3, 5]})}})
    constraints = []
    if draw(st.booleans()):
        constraints.append("=all((x, y) in consecutive(layers): x.w <= y.w)")
    if {"a", "b"} <= set(let) and draw(st.booleans()):
        constraints.append("=a <= b")
    return space([conv(), *network], let=let, constraints=constraints)


@settings(max_examples=40, deadline=None)
@given(spaces())
def test_ranks_number_all_architectures(found: SearchSpace) -> None:
    everything = found.unrank(range(found.cardinality))
    assert (np.unique(everything, axis=0) == np.unique(found.enumerate(found.cardinality), axis=0)).all()
    assert len(np.unique(everything, axis=0)) == found.cardinality
    assert found.rank(everything) == list(range(found.cardinality))


@pytest.mark.parametrize("name", ["nasnet-cell", "mobilenetv3-ofa", "darts-cell", "flexibert", "matformer-gpt"])
def test_ranks_of_large_spaces(name: str) -> None:
    found = load_library(name)
    rows = found.sample(200, np.random.default_rng(0))
    ranks = found.rank(rows)
    assert (found.unrank(ranks) == rows).all()
    ends = [0, found.cardinality - 1, found.cardinality // 3]
    assert found.rank(found.unrank(ends)) == ends


def test_ranks_of_a_conditional_space_beyond_machine_integers() -> None:
    body = [conv(out={"int": [1, 16]}, kernel={"one_of": [1, 3, 5]})]
    found = space([{"repeat": {"count": {"int": [1, 20]}, "body": body}}])
    assert found.cardinality == sum(48**depth for depth in range(1, 21)) > 2**100
    ends = [0, 1, found.cardinality // 7, found.cardinality - 1]
    assert found.rank(found.unrank(ends)) == ends
    rows = found.sample(50, np.random.default_rng(0))
    assert (found.unrank(found.rank(rows)) == rows).all()


def test_sampling_is_uniform_over_ranks() -> None:
    body = [conv(out="=w", let={"w": {"one_of": [4, 8, 12]}})]
    found = space(
        [conv(), {"repeat": {"count": {"one_of": [0, 1, 3]}, "body": body}}],
        constraints=["=all((x, y) in consecutive(layers): x.w <= y.w)"],
    )
    assert found.cardinality == 1 + 3 + 10
    counts = np.bincount(found.rank(found.sample(28_000, np.random.default_rng(5))), minlength=14)
    assert ((counts - 2_000) ** 2 / 2_000).sum() < 34.5  # chi-square, 13 degrees of freedom, 0.1 %


@pytest.mark.parametrize("index", [-1, 14, 10**30])
def test_unknown_ranks_are_refused(index: int) -> None:
    found = space([conv(out={"one_of": [4, 8]})])
    with pytest.raises(SpaceError) as caught:
        found.unrank([index])
    assert "0 to 1" in caught.value.suggestion
