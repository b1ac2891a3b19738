"""What variation does to architectures beyond keeping them valid, and which computations have one key."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from search_spaces.library_index import load_library
from search_spaces.network import Network, Node
from search_spaces.shapes import ImageShape
from search_spaces.space import SearchSpace
from search_spaces.views.equivalence import Rule, equivalence_key
from tests.unit.search_spaces.builders import conv, space

RULES: tuple[Rule, ...] = ("structure", "skip", "zero", "algebra", "graph")


def widths(number: int) -> SearchSpace:
    """8 ** number members: convolutions one after the other, each of 1 to 8 channels."""
    names = "abcdef"[:number]
    return space([conv(out=f"={name}") for name in names], let={name: {"int": [1, 8]} for name in names})


def one_or_two_layers() -> tuple[SearchSpace, int, int]:
    """A space, and the places of its depth and of the kernel that only deep members have."""
    found = space([{"repeat": {"count": {"int": [1, 2]}, "body": [conv(kernel={"one_of": [1, 3, 5, 7]})]}}])
    conditional = found.sample(50, np.random.default_rng(0)).min(axis=0) < 0
    depth = [gene.name for gene in found.genes].index("depth")
    return found, depth, int(np.flatnonzero(conditional)[0])


def test_several_mutations_change_several_choices() -> None:
    found, rng = widths(6), np.random.default_rng(0)
    parents = found.sample(400, rng)
    for count, share in ((1, 0.0), (3, 0.9)):
        changed = (found.mutate(parents, rng, count) != parents).sum(axis=1)
        assert changed.max() == count
        assert (changed > 1).mean() >= share
        assert share or (changed == 1).all()


def test_crossover_takes_each_choice_from_either_parent() -> None:
    found, rng = widths(6), np.random.default_rng(0)
    a, b = np.zeros((400, 6), dtype=np.int16), np.full((400, 6), 7, dtype=np.int16)
    children = found.crossover(a, b, rng)
    assert set(np.unique(children)) == {0, 7}
    assert children.mean(axis=0) / 7 == pytest.approx(0.5, abs=0.1)
    assert len(np.unique(children, axis=0)) > 50  # of 64: choices are mixed one by one


def test_a_choice_that_one_parent_has_comes_from_it() -> None:
    found, depth, kernel = one_or_two_layers()
    rows = found.enumerate()
    deep = rows[(rows[:, depth] == 1) & (rows[:, kernel] == 3)]
    shallow = rows[rows[:, depth] == 0][: len(deep)]
    for a, b in ((deep[:4], shallow), (shallow, deep[:4])):
        children = found.crossover(np.repeat(a, 50, axis=0), np.repeat(b, 50, axis=0), np.random.default_rng(0))
        assert set(children[children[:, depth] == 1][:, kernel]) == {3}
        assert (children[:, depth] == 0).any()


def test_choices_that_appear_by_mutation_take_any_option() -> None:
    found, depth, kernel = one_or_two_layers()
    rows = found.enumerate()
    shallow = np.repeat(rows[rows[:, depth] == 0][:1], 400, axis=0)
    children = found.mutate(shallow, np.random.default_rng(0))
    assert set(children[children[:, depth] == 1][:, kernel]) == {0, 1, 2, 3}


def test_neighbours_are_all_members_that_differ_in_one_choice() -> None:
    found = space([conv(out="=a"), conv(out="=b")], let={"a": {"int": [1, 6]}, "b": {"int": [1, 6]}},
                  constraints=["=a + b <= 8"])  # fmt: skip
    everything = found.enumerate()
    for row in everything[::5]:
        expected = everything[(everything != row).sum(axis=1) == 1]
        assert sorted(found.neighbours(row).tolist()) == sorted(expected.tolist())


@pytest.mark.parametrize("number", [4, 5])
def test_rare_members_above_a_bound_are_found_too(number: int) -> None:
    found = widths(number)
    bound = float(np.sort(found.costs(found.enumerate())["macs"])[-40])
    rows = found.sample_feasible(64, np.random.default_rng(0), {"macs": (bound, None)})
    assert len(rows) == 64
    assert (found.costs(rows)["macs"] >= bound).all()


def test_walks_favour_neither_deep_nor_shallow_members() -> None:
    """Members with more choices have more ways in and out; without correction walks would stay among them."""
    body = [conv(out=4, kernel={"one_of": [1, 3, 5, 7]})]
    found = space([{"repeat": {"count": {"int": [1, 9]}, "body": body}}])
    every = found.sample(200_000, np.random.default_rng(0))
    macs = found.costs(every, names=("macs",))["macs"]
    bound = float(np.quantile(macs, 0.01))
    few = every[macs <= bound]
    rows = found.sample_feasible(4_000, np.random.default_rng(1), {"macs": (None, bound)})
    depth = [gene.name for gene in found.genes].index("depth")
    assert rows[:, depth].mean() == pytest.approx(few[:, depth].mean(), abs=0.15)


@pytest.mark.parametrize(("number", "distinct"), [(100, 0.99), (2_000, 0.6)], ids=["draws", "walks"])
def test_narrow_bands_give_many_members_too(number: int, distinct: float) -> None:
    """One in a hundred of 10^16 members, which single changes do not connect."""
    found = load_library("resnet-cifar")
    drawn = found.costs(found.sample(3_000, np.random.default_rng(1)), names=("macs", "params"))
    macs, params = np.median(drawn["macs"]), np.median(drawn["params"])
    bounds = {"macs": (macs, macs * 1.002), "params": (None, params)}
    rows = found.sample_feasible(number, np.random.default_rng(2), bounds)
    assert len(rows) == number
    assert len(np.unique(rows, axis=0)) >= distinct * number


MAP = ImageShape(4, 8, 8)


def graph(*nodes: tuple[str, tuple[int, ...], int]) -> Network:
    """A network of nodes (block, inputs, kernel) on maps of one shape."""
    made = [
        Node(f"n{i}", block, {"kernel": kernel} if kernel else {}, inputs, (MAP,) * len(inputs), MAP)
        for i, (block, inputs, kernel) in enumerate(nodes)
    ]
    return Network("image_classification", None, MAP, tuple(made))


@pytest.mark.parametrize("rule", RULES)
def test_other_parameters_are_another_computation(rule: Rule) -> None:
    keys = [equivalence_key(graph(("conv_bn_act", (0,), kernel)), rule) for kernel in (1, 3)]
    assert keys[0] != keys[1]


@pytest.mark.parametrize("rule", RULES)
def test_the_order_of_summands_makes_no_difference(rule: Rule) -> None:
    keys = {
        equivalence_key(graph(("conv_bn_act", (0,), 1), ("conv_bn_act", (0,), 3), ("add", order, 0)), rule)
        for order in itertools.permutations((1, 2))
    }
    assert len(keys) == 1


@pytest.mark.parametrize("rule", ["zero", "algebra"])
def test_a_concatenation_is_zero_only_where_all_of_it_is(rule: Rule) -> None:
    whole = graph(("zero", (0,), 0), ("concat", (1, 1), 0))
    half = graph(("zero", (0,), 0), ("concat", (0, 1), 0))
    assert equivalence_key(whole, rule) == equivalence_key(graph(("zero", (0,), 0)), rule)
    assert equivalence_key(half, rule) != equivalence_key(whole, rule)
