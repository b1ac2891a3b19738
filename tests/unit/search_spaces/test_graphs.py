"""Graphs: conditional nodes, edge choices in branches, sets of edges, adapters, weights by chosen source."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from search_spaces.errors import SpaceError
from search_spaces.library_index import load_library
from search_spaces.space import COST_NAMES, SearchSpace
from tests.contracts.space_contract import SpaceContract
from tests.unit.search_spaces.builders import conv, space

EARLIER = {"choose": "earlier", "name": "edge"}


def graph(*body: Any, output: Any = "last") -> dict[str, Any]:
    return {"graph": {"inputs": ["x"], "body": list(body), "output": output}}


def chain(count: Any, output: Any = "last") -> SearchSpace:
    """A graph of nodes that each read one earlier node; how many there are is a choice."""
    loop = {"repeat": {"count": count, "body": [conv(inputs=[EARLIER])]}}
    return space([conv(), graph(loop, output=output)])


def some_edges(count: int, merge: str = "add") -> SearchSpace:
    inputs = [{"choose": "earlier", "k": "any", "merge": merge, "name": "edge"}]
    return space([conv(), graph({"repeat": {"count": count, "body": [conv(inputs=inputs)]}})])


def test_a_drawing_says_who_reads_whom() -> None:
    drawn = chain({"int": [1, 3]}, output={"loose_ends": "concat"}).describe()["nodes"][1]
    nodes = [(node["optional"], [(one["places"], one["gene"]) for one in node["inputs"]]) for node in drawn["nodes"]]
    assert nodes == [
        (False, [((-1,), "layer0.edge")]),
        (True, [((-1, 0), "layer1.edge")]),
        (True, [((-1, 0, 1), "layer2.edge")]),
    ]
    assert drawn["output"]["inputs"] == [{"places": (0, 1, 2), "gene": None}]
    sets = some_edges(2).describe()["nodes"][1]["nodes"]
    assert [node["block"] for node in sets] == ["add", "conv_bn_act"] * 2
    assert [len(node["inputs"]) for node in sets] == [1, 1, 2, 1]
    assert len({one["gene"] for one in sets[2]["inputs"]}) == 2


def test_the_drawing_of_a_cell_has_the_edges_of_its_networks() -> None:
    cells = load_library("nasbench201-cell")
    drawn = cells.describe()["nodes"][2]["iterations"][0][0]["nodes"]
    edges = {(place, node) for node, one in enumerate(drawn) for source in one["inputs"] for place in source["places"]}
    network = cells.resolve(cells.smallest())
    built = [node for node in network.nodes if node.key.startswith("stage0.cell0.")]
    first = network.nodes.index(built[0]) + 1
    assert edges == {(max(-1, value - first), place) for place, node in enumerate(built) for value in node.inputs}
    assert not any(node["optional"] for node in drawn)


def test_nodes_of_a_searched_count_are_candidates_where_they_exist() -> None:
    found = chain({"int": [1, 4]})
    assert found.cardinality == sum(1 * 2 * 3 * 4 // np.prod(range(n + 1, 5), dtype=int) for n in range(1, 5))
    for row in found.enumerate():
        network = found.resolve(row)
        assert all(len(node.inputs) == 1 for node in network.nodes)


def test_a_node_behind_a_conditional_one_cannot_read_it_where_it_is_absent() -> None:
    found = space(
        [
            conv(),
            graph(
                {"name": "extra", "repeat": {"count": {"one_of": [0, 1], "name": "has"}, "body": [conv(name="e")]}},
                conv(name="last", inputs=[EARLIER]),
            ),
        ]
    )
    picks = [(row["has"], row["edge"]) for row in map(choices(found), found.enumerate())]
    assert sorted(picks) == [(0, "x"), (1, "e"), (1, "x")]


def choices(found: SearchSpace) -> Any:
    return lambda row: found.architecture(row).choices


def test_loose_ends_hold_the_conditional_nodes_that_exist() -> None:
    found = chain({"one_of": [1, 3]}, output={"loose_ends": "concat"})
    for row in found.enumerate():
        network = found.resolve(row)
        concat = next(node for node in network.nodes if node.block == "concat")
        read = {value for node in network.nodes for value in node.inputs if node is not concat}
        made = {i + 1 for i, node in enumerate(network.nodes) if node.block == "conv_bn_act" and i > 0}
        assert set(concat.inputs) == made - read


def test_loose_ends_need_one_node_that_always_exists() -> None:
    with pytest.raises(SpaceError) as caught:
        chain({"int": [0, 2]}, output={"loose_ends": "concat"})
    assert (caught.value.rule, caught.value.pointer) == ("output", "/network/1/graph/output")


def test_edges_may_be_chosen_inside_an_alternative() -> None:
    branches = {
        "conv": conv(inputs=[{"choose": "earlier", "name": "from"}]),
        "two": {"sequence": [conv(name="inner"), conv(inputs=[{"choose": "earlier", "name": "from"}])]},
    }
    found = space([conv(), graph(conv(name="a"), {"name": "op", "one_of": branches}, conv(inputs=["a"]))])
    # conv reads x or a; the second reads x, a or its own inner node, which nobody outside the branch can read
    assert found.cardinality == 2 + 3
    labels = {gene.name: gene.options for gene in found.genes}
    assert labels["op.from"] == ("x", "a")


@pytest.mark.parametrize("merge", ["add", "concat"])
def test_any_non_empty_set_of_edges(merge: str) -> None:
    found = some_edges(3, merge)
    assert found.cardinality == (2**1 - 1) * (2**2 - 1) * (2**3 - 1)
    seen = set()
    for row in found.enumerate():
        joins = [node for node in found.resolve(row).nodes if node.block == merge]
        assert len(joins) == 3
        seen.add(tuple(len(node.inputs) for node in joins))
    assert seen == set(itertools.product([1], [1, 2], [1, 2, 3]))


def test_sets_of_edges_must_say_how_they_join() -> None:
    with pytest.raises(SpaceError) as caught:
        space([conv(), graph(conv(inputs=[{"choose": "earlier", "k": "any"}]))])
    assert "merge: add" in caught.value.suggestion


def test_two_picked_edges_may_join_as_one_input() -> None:
    inputs = [{"choose": "earlier", "k": 2, "merge": "concat", "name": "edge"}]
    found = space([conv(), graph(conv(name="a"), conv(inputs=inputs, out=4))])
    network = found.resolve(found.largest())
    assert next(node for node in network.nodes if node.block == "concat").out_shape.channels == 16


def test_weights_per_source_follow_the_edge() -> None:
    def of(**changes: Any) -> SearchSpace:
        return space([conv(), graph(conv(name="a"), conv(name="b", inputs=[EARLIER], **changes))])

    one, apart = of(), of(weights_per="source")
    assert one.cardinality == apart.cardinality == 2
    keys = [{node.key for node in apart.resolve(row).nodes} for row in apart.enumerate()]
    assert {key for found in keys for key in found if key.startswith("graph") or ".b" in key or key[0] == "b"} == {
        "b.x",
        "b.a",
    }
    assert set(apart.envelopes()) - set(one.envelopes()) == {"b.x", "b.a"}
    for name in COST_NAMES:
        assert (one.costs(one.enumerate())[name] == apart.costs(apart.enumerate())[name]).all()


def test_weights_per_source_reach_into_a_cell_node() -> None:
    node = {
        "name": "node",
        "inputs": [{"choose": "earlier", "k": 2, "name": "edge"}],
        "graph": {
            "inputs": ["a", "b"],
            "body": [
                conv(name="first", inputs=["a"], weights_per="source"),
                conv(name="second", inputs=["b"], weights_per="source"),
                {"block": "add", "inputs": ["first", "second"]},
            ],
        },
    }
    found = space([conv(), graph(conv(name="p"), conv(name="q"), node)])
    keys = {node.key for row in found.enumerate() for node in found.resolve(row).nodes}
    assert {"node.first.x", "node.first.p", "node.second.p", "node.second.q"} <= keys


def test_weights_per_source_needs_a_choice() -> None:
    with pytest.raises(SpaceError) as caught:
        space([conv(weights_per="source")])
    assert caught.value.pointer == "/network/0/weights_per"


def test_an_adapter_is_used_only_where_shapes_differ() -> None:
    found = space(
        [
            conv(name="a", out={"one_of": [8, 16]}),
            conv(name="b", out=8),
            {"name": "fit", "inputs": ["b"], "adapt": [conv(out="=a.channels", kernel=1)], "like": "a"},
            {"block": "add", "inputs": ["a", -1]},
        ]
    )
    counts = {found.architecture(row).choices["out"]: len(found.resolve(row).nodes) for row in found.enumerate()}
    assert counts == {8: 4, 16: 5}


def test_a_residual_without_a_shortcut_adds_only_where_shapes_agree() -> None:
    found = space([conv(), {"residual": [conv(out={"one_of": [8, 16]})], "shortcut": "none"}])
    kinds = [[node.block for node in found.resolve(row).nodes[2:]] for row in found.enumerate()]
    assert kinds == [["add", "image_head"], ["image_head"]]
    columns = found.costs(found.enumerate())
    for number, row in enumerate(found.enumerate()):
        cost = found.resolve(row).cost()
        assert [columns[name][number] for name in COST_NAMES] == [getattr(cost, name) for name in COST_NAMES]


def test_pretrained_parts_are_reserved() -> None:
    with pytest.raises(SpaceError) as caught:
        space([conv(source="checkpoint")])
    assert (caught.value.pointer, caught.value.rule) == ("/network/0/source", "reserved")


CONDITIONAL: dict[str, Any] = {
    "chain": lambda: chain({"int": [1, 4]}, output={"loose_ends": "concat"}),
    "sets": lambda: some_edges(3, "concat"),
    "conditional_sets": lambda: space(
        [
            conv(),
            graph(
                {
                    "repeat": {
                        "count": {"int": [1, 3]},
                        "body": [conv(inputs=[{"choose": "earlier", "k": "any", "merge": "add", "name": "edge"}])],
                    }
                },
                conv(name="last", inputs=[{"choose": "earlier", "k": "any", "merge": "concat", "name": "edge"}]),
                output={"loose_ends": "add"},
            ),
        ]
    ),
    "branches": lambda: space(
        [
            conv(),
            graph(
                conv(name="a", stride={"one_of": [1, 2]}),
                {
                    "name": "op",
                    "one_of": {
                        "near": conv(inputs=["a"], out={"one_of": [4, 8]}),
                        "pair": {"sequence": [conv(inputs=[EARLIER]), conv(kernel=5)]},
                        "none": {"block": "identity"},
                    },
                },
                conv(inputs=[EARLIER], weights_per="source"),
            ),
        ]
    ),
}


@pytest.mark.parametrize("name", list(CONDITIONAL))
class TestGraphs(SpaceContract):
    @pytest.fixture
    def space(self, name: str) -> SearchSpace:
        made: SearchSpace = CONDITIONAL[name]()
        return made
