"""Random documents with every construct: a batch of architectures costs what each network alone costs."""

from __future__ import annotations

from random import Random
from typing import Any

import numpy as np
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from search_spaces.compiling.compiler import compile_document
from search_spaces.counting.counter import Counter
from search_spaces.counting.ranking import members
from search_spaces.errors import SpaceError
from search_spaces.interpreting.resolve import resolve_network
from search_spaces.language.document import parse_document
from search_spaces.space import COST_NAMES, SearchSpace
from tests.unit.search_spaces.builders import conv, document, space

WIDTH = 8


def edges(draw: st.DrawFn, inside: bool) -> dict[str, Any]:
    """What a node reads: the one before it, or a choice among the earlier nodes of its graph."""
    if not inside or draw(st.booleans()):
        return {}
    pick: dict[str, Any] = {"choose": "earlier", "name": "edge"}
    how = draw(st.sampled_from(("one", "any", "two")))
    if how != "one":
        pick |= {"k": "any" if how == "any" else 2, "merge": draw(st.sampled_from(("add", "mean")))} | (
            {"distinct": False} if how == "two" else {}
        )
    apart = {"weights_per": "source"} if how == "one" and draw(st.booleans()) else {}
    return {"inputs": [pick]} | apart


def plain(draw: st.DrawFn, inside: bool) -> dict[str, Any]:
    """A block that keeps the shape, its kernel possibly searched, its weights possibly shared."""
    kernel = draw(st.sampled_from((1, 3, {"one_of": [1, 3]})))
    kind = draw(st.sampled_from(("conv", "conv", "wide", "pool", "identity")))
    if kind == "conv":
        shared = {"weights": "all"} if kernel == 3 and draw(st.integers(0, 4)) == 0 else {}
        return conv(out=WIDTH, kernel=kernel) | shared | edges(draw, inside)
    if kind == "wide":
        middle = {"one_of": [4, 8, 16]}
        return {"block": "mbconv", "out": WIDTH, "mid": middle, "kernel": 3, "activation": "relu"} | edges(draw, inside)
    return ({"block": "pool", "kernel": 3} if kind == "pool" else {"block": "identity"}) | edges(draw, inside)


@st.composite
def nodes(draw: st.DrawFn, depth: int = 3, inside: bool = False) -> dict[str, Any]:
    """A node that keeps the shape of its input."""
    kind = draw(st.sampled_from(("block", "block", "repeat", "one_of", "graph", "residual", "adapt", "sequence")))
    if depth == 0 or kind == "block":
        return plain(draw, inside)
    below = st.lists(nodes(depth - 1, inside), min_size=1, max_size=2)
    if kind == "repeat":
        least = draw(st.integers(0, 1))
        count = draw(st.sampled_from((2, {"int": [least, 2]}, {"int": [1, 3]})))
        return {"repeat": {"count": count, "body": draw(below)}}
    if kind == "one_of":
        branches = draw(st.lists(nodes(depth - 1, inside), min_size=2, max_size=3))
        return {"one_of": {f"b{number}": node for number, node in enumerate(branches)}}
    if kind == "graph":
        body = [conv(out=WIDTH, kernel=1), *draw(st.lists(nodes(depth - 1, True), min_size=1, max_size=3))]
        output = draw(st.sampled_from(("last", {"loose_ends": "add"}, {"loose_ends": "mean"})))
        return {"graph": {"inputs": ["x"], "body": body, "output": output}} | edges(draw, inside)
    if kind == "residual":
        return {"residual": draw(below)} | edges(draw, inside)
    if kind == "adapt":
        return {"adapt": draw(below), "like": -1}
    return {"sequence": draw(below)}


@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(nodes(), min_size=1, max_size=3), st.integers(0, 2**31))
def test_batches_cost_what_single_networks_cost(network: list[Any], seed: int) -> None:
    found = compiled(network)
    assume(found is not None)
    assert found is not None
    rng = np.random.default_rng(seed)
    genes = found.sample(24, rng)
    check_costs(found, genes)
    check_costs(found, found.mutate(genes[:6], rng))
    assert (found.unrank(found.rank(genes)) == genes).all()
    if found.cardinality <= 400:
        everything = found.enumerate()
        assert len(np.unique(everything, axis=0)) == found.cardinality
        assert sorted(found.rank(everything)) == list(range(found.cardinality))


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(nodes(2), min_size=1, max_size=2), st.randoms(use_true_random=False))
def test_a_document_is_refused_where_one_of_its_architectures_cannot_be(network: list[Any], random: Random) -> None:
    """Against resolving every architecture, with convolutions that change the shape here and there."""
    for block in blocks_in(network):
        change = random.choice(({}, {}, {"stride": 2}, {"stride": {"one_of": [1, 2]}}, {"out": {"one_of": [4, 8]}}))
        block.update(change)
    raw = document([conv(out=WIDTH), *network])
    try:
        program = compile_document(parse_document(raw), "search")
        everything = members(Counter(program), 400)
    except SpaceError:
        assume(False)
    wrong = 0
    for row in everything:
        try:
            resolve_network(program, row)
        except SpaceError:
            wrong += 1
    refused = ""
    try:
        SearchSpace.from_document(raw)
    except SpaceError as error:
        refused = " ".join(problem.rule for problem in error.problems)
    assert bool(refused) == bool(wrong) or set(refused.split()) == {"limits"}


def blocks_in(value: Any) -> list[dict[str, Any]]:
    """All convolutions of a part of a document."""
    if isinstance(value, dict):
        inside = [block for part in value.values() for block in blocks_in(part)]
        return [value, *inside] if value.get("block") == "conv_bn_act" else inside
    return [block for part in value for block in blocks_in(part)] if isinstance(value, list) else []


def test_shared_weights_that_are_apart_by_source_count_once_for_each() -> None:
    reader = conv(out=WIDTH, kernel=3) | {
        "weights": "all",
        "inputs": [{"choose": "earlier", "name": "edge"}],
        "weights_per": "source",
    }
    body = [conv(out=WIDTH, kernel=1), dict(reader), dict(reader)]
    found = space([conv(out=WIDTH), {"graph": {"inputs": ["x"], "body": body, "output": "last"}}])
    check_costs(found, found.enumerate())


def compiled(network: list[Any]) -> SearchSpace | None:
    """The space; None where a random document asks for more than the language allows, with nothing else wrong."""
    try:
        return space([conv(out=WIDTH), *network])
    except SpaceError as error:
        if {problem.rule for problem in error.problems} <= {"limits", "output", "options"}:
            return None
        raise


def check_costs(found: SearchSpace, genes: np.ndarray) -> None:
    costs, envelopes = found.costs(genes), found.envelopes()
    for position, row in enumerate(genes):
        resolved = found.resolve(row)
        alone = resolved.cost()
        assert {name: int(costs[name][position]) for name in COST_NAMES} == {
            name: getattr(alone, name) for name in COST_NAMES
        }
        for node in resolved.nodes:
            assert all(value in envelopes[node.key].params[name] for name, value in node.params.items())
            assert all(
                shape in possible
                for shape, possible in zip(node.in_shapes, envelopes[node.key].in_shapes, strict=False)
            )
