"""Exact counting, enumeration, uniform sampling and repair, against brute force on random documents."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from search_spaces.counting import stepwise
from search_spaces.errors import SpaceError
from search_spaces.interpreting.machine import Machine
from search_spaces.space import SearchSpace
from tests.unit.search_spaces.builders import conv, document, space

FAST = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)

kernels = st.sampled_from([[1, 3], [3, 5, 7], [3]]).map(lambda options: {"one_of": options})
leaf = st.builds(lambda kernel: conv(kernel=kernel), kernels)


def structures(children: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    bodies = st.lists(children, min_size=1, max_size=2)
    counts = st.sampled_from([{"one_of": [0, 1, 2]}, {"int": [1, 2]}, 2])
    return st.one_of(
        st.builds(lambda body, count: {"repeat": {"count": count, "body": body}}, bodies, counts),
        st.builds(lambda body: {"one_of": [{"sequence": [node]} for node in body]}, bodies),
        st.builds(lambda body: {"sequence": body}, bodies),
    )


nodes = st.recursive(leaf, structures, max_leaves=4)
constraints = st.lists(
    st.sampled_from(
        [
            "=a + b <= 4",
            "=a != b",
            "=a == 1 || b > 1",
            "=all(l in layers: l.index < a + b)",
            "=sum(l in layers: l.kernel * a) + b <= 14",
            "=count(l in layers: l.kernel >= a) * 2 >= len(layers) || b == 2",
            "=max(a, b, 2) < 3 ? any(l in layers: l.kernel > 1) : a + b + len(layers) > 3.5",
        ]
    ),
    max_size=2,
)
tables = st.sampled_from((1, 2, 6, stepwise.DIRECT))
"""So many combinations are tabulated as a whole: above it conditions are taken step by step."""


def build(network: list[Any], rules: list[str]) -> SearchSpace:
    let = {"a": {"int": [1, 3]}, "b": {"int": [1, 3]}}
    try:
        found = SearchSpace.from_document(document(network, let=let, constraints=rules))
    except SpaceError as error:
        assume(error.rule not in ("constraint", "name"))
        raise
    assume(np.prod([float(len(gene.options)) for gene in found.genes]) <= 30_000)
    return found


@FAST
@given(st.lists(nodes, min_size=1, max_size=2), constraints, tables)
def test_count_equals_enumeration_equals_brute_force(network: list[Any], rules: list[str], direct: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stepwise, "DIRECT", direct)
        found = build(network, rules)
    rows = found.enumerate()
    product = np.array(list(itertools.product(*(range(len(gene.options)) for gene in found.genes))), dtype=np.int16)
    canonical = np.unique(found.canonical(product), axis=0)
    members = canonical[found.valid(canonical)]
    assert found.cardinality == len(rows) == len(members)
    assert (rows == members).all()
    some = canonical[:: 1 + len(canonical) // 200]
    machines = [Machine(found.program, row, with_cost=False) for row in some]
    held = [all(rule.holds(machine) for rule in found.program.constraints) for machine in machines]
    assert found.valid(some).tolist() == held
    assert sorted(found.rank(rows)) == list(range(len(rows)))


@FAST
@given(st.lists(nodes, min_size=1, max_size=2), constraints, st.integers(0, 2**32), tables)
def test_operators_stay_inside(network: list[Any], rules: list[str], seed: int, direct: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stepwise, "DIRECT", direct)
        found, rng = build(network, rules), np.random.default_rng(seed)
    rows = found.sample(20, rng)
    assert found.valid(rows).all()
    children = found.mutate(rows, rng)
    assert found.valid(children).all()
    assert (children != rows).any(axis=1).all() or found.cardinality == 1
    assert found.valid(found.crossover(rows, children, rng)).all()
    assert found.valid(np.stack([found.largest(), found.smallest()])).all()
    around = found.neighbours(rows[0])
    assert found.valid(around).all()


def chi_square(rows: np.ndarray, cardinality: int) -> float:
    _, counts = np.unique(rows, axis=0, return_counts=True)
    expected = len(rows) / cardinality
    missing = cardinality - len(counts)
    return float(((counts - expected) ** 2 / expected).sum() + missing * expected)


def test_sampling_is_uniform_over_architectures_not_over_genes() -> None:
    loop = {"repeat": {"count": {"one_of": [1, 2, 4]}, "body": [conv(kernel={"one_of": [1, 3, 5]})]}}
    found = space([loop])
    rows = found.sample(93_000, np.random.default_rng(5))
    # 92 degrees of freedom: the 99.9 % quantile is 137.
    assert chi_square(rows, 93) < 137
    depth = [gene.name for gene in found.genes].index("depth")
    assert abs((rows[:, depth] == 2).mean() - 81 / 93) < 0.01


def test_sampling_is_uniform_under_constraints() -> None:
    body = [conv(out="=w", let={"w": {"one_of": [8, 16, 24]}})]
    found = space(
        [{"repeat": {"count": {"one_of": [1, 3]}, "body": body}}],
        constraints=["=all((a, b) in consecutive(layers): a.w <= b.w)"],
    )
    rows = found.sample(26_000, np.random.default_rng(6))
    assert chi_square(rows, 13) < 33  # 12 degrees of freedom, 99.9 %


WIDTHS = (8, 16, 24, 40)


def totals(depth: int) -> np.ndarray:
    """How many ways `depth` layers have each total width, as Python integers."""
    ways = np.zeros(1, dtype=object) + 1
    for _ in range(depth):
        ways = np.convolve(ways, np.bincount(WIDTHS).astype(object))
    return ways


def test_a_total_over_all_layers_is_counted_and_drawn_exactly() -> None:
    """Against the coefficients of a polynomial's powers."""
    body = [conv(out="=w", let={"w": {"one_of": list(WIDTHS)}})]
    found = space(
        [{"repeat": {"count": {"one_of": [6, 20]}, "body": body}}],
        constraints=["=sum(l in layers: l.w) <= 300", "=count(l in layers: l.w == 40) >= 1"],
    )

    def allowed(depth: int) -> np.ndarray:
        every, without = totals(depth)[:301], np.zeros(1, dtype=object) + 1
        for _ in range(depth):
            without = np.convolve(without, np.bincount(WIDTHS[:3]).astype(object))
        every[: len(without)] -= without[: len(every)]
        return every

    few, many = allowed(6), allowed(20)
    assert found.cardinality == few.sum() + many.sum()
    rows = found.sample(20_000, np.random.default_rng(8))
    assert found.valid(rows).all()
    deep = rows[rows[:, [gene.name for gene in found.genes].index("depth")] == 1]
    total = np.where(deep >= 0, np.array(WIDTHS)[deep], 0)[:, 1:].sum(axis=1)
    expected = (many / many.sum()).astype(float) * len(deep)
    common = expected >= 20
    counts = np.bincount(total, minlength=301)
    chi = ((counts[common] - expected[common]) ** 2 / expected[common]).sum()
    assert common.sum() > 5
    assert chi < common.sum() + 5 * np.sqrt(2 * common.sum())
    rank = found.rank(rows[:100])
    assert (found.unrank(rank) == rows[:100]).all()


def test_totals_that_run_together_along_the_layers() -> None:
    """Three totals of the same sixteen layers: 2**62 combinations, counted against the layers' distribution."""
    body = [conv(out="=w", kernel={"one_of": [1, 3, 5]}, let={"w": {"one_of": [8, 16, 24, 32]}})]
    found = space(
        [{"repeat": {"count": 16, "body": body}}],
        constraints=[
            "=sum(l in layers: l.w) <= 300",
            "=sum(l in layers: l.w * l.kernel) <= 900",
            "=count(l in layers: l.w == 8) >= 3",
        ],
    )
    ways = {(0, 0, 0): 1}
    for _ in range(16):
        more: dict[tuple[int, int, int], int] = {}
        for (total, product, narrow), number in ways.items():
            for width, kernel in itertools.product((8, 16, 24, 32), (1, 3, 5)):
                state = (total + width, product + width * kernel, min(3, narrow + (width == 8)))
                if state[0] <= 300 and state[1] <= 900:
                    more[state] = more.get(state, 0) + number
        ways = more
    assert found.cardinality == sum(number for state, number in ways.items() if state[2] == 3)
    rng = np.random.default_rng(0)
    rows = found.sample(50, rng)
    assert found.valid(found.mutate(rows, rng)).all()
    assert found.valid(np.stack([found.largest(), found.smallest()])).all()


def test_counts_are_exact_beyond_machine_numbers() -> None:
    found = space([{"repeat": {"count": {"int": [1, 120]}, "body": [conv(kernel={"one_of": [1, 3, 5]})]}}])
    assert found.cardinality == sum(3**n for n in range(1, 121))
    rows = found.sample(3_000, np.random.default_rng(0))
    depth = [gene.name for gene in found.genes].index("depth")
    assert abs((rows[:, depth] == 119).mean() - 2 / 3) < 0.04


def test_mutation_leaves_a_tight_constraint() -> None:
    """Where every single change is invalid, a mutant is still another member."""
    found = space([conv(out="=a"), conv(out="=b")], let={"a": {"int": [1, 6]}, "b": {"int": [1, 6]}},
                  constraints=["=a == b"])  # fmt: skip
    rng = np.random.default_rng(0)
    rows = found.sample(50, rng)
    children = found.mutate(rows, rng)
    assert found.cardinality == 6
    assert found.valid(children).all()
    assert (children != rows).any(axis=1).all()


def test_largest_is_repaired_to_the_nearest_member() -> None:
    found = space([conv(out="=a"), conv(out="=b")], let={"a": {"int": [1, 6]}, "b": {"int": [1, 6]}},
                  constraints=["=a + b <= 8"])  # fmt: skip
    choices = found.architecture(found.largest()).choices
    assert choices["a"] + choices["b"] == 8


@pytest.mark.parametrize("limit", [1, 10])
def test_enumeration_refuses_large_spaces(limit: int) -> None:
    with pytest.raises(SpaceError):
        space([conv(out={"int": [1, 20]})]).enumerate(limit)
