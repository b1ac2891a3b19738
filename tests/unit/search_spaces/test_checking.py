"""What is impossible is found when a document is compiled, however rarely it would be drawn."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import yaml

from search_spaces.counting.operators import Operators
from search_spaces.errors import Problem, SpaceError
from search_spaces.interpreting.checking import cause, doubts_about, varied
from search_spaces.library_index import LIBRARY, library_text
from search_spaces.space import SearchSpace
from tests.contracts.space_contract import compiled
from tests.unit.search_spaces.builders import conv, document, space

WIDTHS = [8 * step for step in range(1, 17)]


def told(nodes: list[Any], **parts: Any) -> Problem:
    with pytest.raises(SpaceError) as caught:
        space(nodes, **parts)
    return caught.value.problems[0]


GROUPED, PARTS = conv(out=12, group_size=5), {"block": "channel_part", "part": 0, "parts": 5}
ATTENTION = {"block": "map_attention", "heads": 2, "value_dim": 4, "window": 5}
BRANCHES = [conv(name="a", inputs=["x"], group_size=5), conv(name="b", inputs=["x"], out=9), PARTS]
JOINED = [{"block": "add", "name": "sum", "inputs": ["a", "b"]}, {"block": "concat", "inputs": ["sum", -2]}]
LOOSE = {"loose_ends": "concat"}


@pytest.mark.parametrize(
    ("nodes", "places"),
    [
        # What a block makes is known although its groups do not divide what it reads.
        ([GROUPED, conv(), {"block": "channel_shuffle", "groups": 5}, GROUPED], ["0", "2", "3"]),
        # A linear layer needs a vector, of unknown size; what it makes is known, and no second fault.
        ([{"block": "linear", "out": 8}, {"block": "linear", "out": 8}, {"block": "image_head", "out": 9}], ["0", "2"]),
        # Nobody knows how many channels a fifth of 8 or the sum of 8 and 9 are, so what they make may be a tenth.
        (
            [conv(), {"graph": {"body": [*BRANCHES, *JOINED]}}, PARTS | {"parts": 10}],
            [f"1/graph/body/{n}" for n in (0, 2, 3)],
        ),
        # A graph whose only node is not known, nor what is inside that: its loose ends are not none.
        (
            [{"graph": {"body": [{"repeat": {"count": {}, "body": [conv(kernel=99)]}}], "output": LOOSE}}],
            ["0/graph/body/0/repeat/count", "0/graph/body/0/repeat/body/0/kernel"],
        ),
        # Height and width are one fault; behind a sum of different maps channels are known.
        ([ATTENTION, {"residual": [conv(out=3, stride=2)]}, conv(group_size=2)], ["0", "1", "2"]),
        # Parameters that follow shapes: behind 4.5 channels, nothing about their number.
        ([conv(out=18), conv(out="=in / 4"), conv(out="=in - 9"), conv(out="=in.length")], ["1/out", "3/out"]),
        # The fourth layer adapts itself to what is unknown; faults that depend on that are none.
        ([conv(name="a"), PARTS, {"adapt": [GROUPED], "like": "a"}, conv(group_size=3, out=9)], ["1"]),
    ],
)
def test_faults_that_do_not_follow_from_one_another_are_told_together(nodes: list[Any], places: list[str]) -> None:
    with pytest.raises(SpaceError) as caught:
        space(nodes)
    pointers = [problem.pointer for problem in caught.value.problems]
    assert [pointer for pointer in pointers if pointer != "/network"] == [f"/network/{place}" for place in places]


def test_wrong_values_and_wrong_shapes_are_told_together() -> None:
    """Where one node is wrong by itself, others are looked at as far as they do not hang on it."""
    lets = {"let": {"width": "=wdth"}}
    nodes = [
        conv(kernel=6),
        conv(name="a", out=9),
        GROUPED,
        {"name": "op", "one_of": {"typo": {"block": "convolution"}, "part": PARTS | {"parts": 7}}},
        conv(group_size=3, out="=width") | lets,
        {"block": "add", "inputs": ["a", -1]},
        {"block": "image_head", "out": 11},
    ]
    with pytest.raises(SpaceError) as caught:
        SearchSpace.from_document(document([]) | {"network": nodes})
    assert [problem.pointer for problem in caught.value.problems] == [
        *("/network/0/kernel", "/network/2", "/network/3/one_of/part", "/network/3/one_of/typo/block"),
        *("/network/4/let/width", "/network"),
    ]


def test_behind_a_wrong_constraint_nothing_is_looked_at() -> None:
    """What it forbids would seem wrong."""
    nodes = [conv(out={"one_of": [8, 12]}, name="a"), conv(group_size=8)]
    for constraint, places in (("=out == 8", None), ("=uot == 8", ["/constraints/0"])):
        text = document(nodes, let={"out": {"one_of": [8, 12]}}, constraints=[constraint])
        text["network"][0]["out"] = "=out"
        if places is None:
            SearchSpace.from_document(text)
            continue
        with pytest.raises(SpaceError) as caught:
            SearchSpace.from_document(text)
        assert [problem.pointer for problem in caught.value.problems] == places


def _blocks(part: Any) -> Iterator[dict[str, Any]]:
    """The blocks of a document's part."""
    if isinstance(part, dict) and "block" in part:
        yield part
    for item in part.values() if isinstance(part, dict) else part if isinstance(part, list) else ():
        yield from _blocks(item)


@pytest.mark.parametrize("name", ["digits-mobile", "digits-vit", "digits-cell"])
def test_one_fault_in_a_built_in_family_is_told_once(name: str) -> None:
    """Nothing that follows from it is told beside it, wherever it is."""
    wrong = {
        "value": lambda node: node.update(kenrel=3),
        "kind": lambda node: node.update(block="convolutoin"),
        "name": lambda node: node.update(let={**(node.get("let") or {}), "unread": "=undefined"}),
        "shape": lambda node: node.update(weird(node)),
    }

    def weird(node: dict[str, Any]) -> dict[str, Any]:
        """The node, then one whose parts divide nothing, as one node."""
        kept = {key: node.pop(key) for key in ("name", "inputs", "let") if key in node}
        inner = dict(node)
        node.clear()
        return kept | {"sequence": [inner, PARTS | {"parts": 7_919}]}

    for place in range(sum(1 for _ in _blocks(yaml.safe_load(library_text(name))))):
        for breaks in wrong.values():
            text = yaml.safe_load(library_text(name))
            breaks(list(_blocks(text))[place])
            with pytest.raises(SpaceError) as caught:
                SearchSpace.from_document(text)
            assert len({problem.pointer for problem in caught.value.problems}) == 1


def test_a_fault_behind_another_is_explained_by_choices_that_make_it() -> None:
    """Each layer's fault by itself, though the first is one of all architectures and the second of a part of them."""
    with pytest.raises(SpaceError) as caught:
        space(
            [
                GROUPED,
                {"name": "op", "one_of": {"part": PARTS, "conv": conv(out=12)}},
                conv(out={"one_of": [8, 12, 16]}, name="last"),
                ATTENTION | {"window": {"one_of": [4, 5]}},
            ]
        )
    first, second, third = caught.value.problems
    assert [problem.pointer.rpartition("/")[2] for problem in (first, second, third)] == ["0", "part", "3"]
    assert "wherever" not in first.message
    assert second.message.endswith("so it is wherever op is part")
    assert third.message.endswith("so it is wherever window is 5")


def test_a_division_by_zero_names_the_option_that_makes_it() -> None:
    chosen = {"let": {"g": {"one_of": [0, 2, 4], "name": "groups"}}}
    with pytest.raises(SpaceError, match="division by zero; so it is wherever groups is 0"):
        space([conv(out="=32 // g")], **chosen)
    space([conv(out="=g == 0 ? 8 : 32 // g")], **chosen)


def test_ways_that_end_with_different_kinds_are_told_though_each_would_do() -> None:
    patches = {"block": "patch_embedding", "features": 8, "patch": 4}
    way = {"name": "way", "one_of": {"map": conv(), "tokens": patches}}
    network = [way, {"block": "flatten"}, {"block": "vector_head", "out": 10}]
    with pytest.raises(SpaceError, match="one way gives tokens 17x8, another image 8x16x16") as caught:
        SearchSpace.from_document(document([]) | {"network": network})
    assert caught.value.pointer == "/network/0"


def test_one_pair_of_options_in_a_thousand_draws_is_found_and_named() -> None:
    """20 channels in 8 groups, in the fourth of layers that mostly do something else."""
    grouped = conv(out={"one_of": [8, 20, 24, 32]}, kernel=1)
    shuffled = {"sequence": [grouped, {"block": "channel_shuffle", "groups": {"one_of": [1, 2, 4, 8]}}]}
    others = {f"other{number}": conv(out=16, kernel=number) for number in (1, 3, 5, 7)}
    problem = told(
        [
            conv(),
            {"repeat": {"count": {"int": [1, 4]}, "body": [{"name": "op", "one_of": {"mix": shuffled, **others}}]}},
        ]
    )
    assert problem.pointer == "/network/1/repeat/body/0/one_of/mix/sequence/1"
    assert "groups 8 must divide the 20 channels" in problem.message
    assert problem.message.endswith("so it is wherever layer0.op.mix.groups is 8 and layer0.op.mix.out is 20")


def test_every_branch_is_looked_at() -> None:
    """A branch without choices of its own beside one that has a million architectures."""
    big = {"repeat": {"count": 6, "body": [conv(out={"one_of": WIDTHS[:8]}, kernel={"one_of": [1, 3, 5]})]}}
    problem = told(
        [conv(), {"name": "way", "one_of": {"big": big, "small": {"block": "channel_part", "part": 0, "parts": 7}}}]
    )
    assert "parts 7 must divide the 8 channels" in problem.message
    assert "wherever way is small" in problem.message


def test_a_parameter_that_follows_a_shape_is_within_its_bounds_everywhere() -> None:
    problem = told([conv(out={"one_of": WIDTHS}), conv(out="=in - 16", kernel=1)])
    assert "at least 1" in problem.message
    problem = told([conv(), conv(out="=w == 8 ? in : w")], let={"w": {"one_of": [8, "wide"]}})
    assert "needs a whole number" in problem.message
    problem = told([conv(out={"one_of": WIDTHS}), conv(out="=in / 16", kernel=1)])
    assert "is not a whole number" in problem.message


def test_classes_are_looked_at_in_every_architecture() -> None:
    heads = {f"h{number}": {"block": "image_head", "out": 10} for number in range(40)}
    heads["last"] = {"block": "image_head", "out": 11}
    with pytest.raises(SpaceError) as caught:
        SearchSpace.from_document(document([]) | {"network": [conv(), {"name": "head", "one_of": heads}]})
    (problem,) = caught.value.problems
    assert problem.rule == "output"
    assert problem.message.endswith("so it is wherever head is last")
    assert problem.suggestion == 'write out: "=classes" in the last block'


@pytest.mark.parametrize("width", [8, {"one_of": [8, 16]}])
@pytest.mark.parametrize("merge", ["add", "concat"])
def test_joins_of_any_number_of_nodes_are_looked_at(merge: str, width: Any) -> None:
    """Of the sets of nodes that a node may read, and of the loose ends, a few hold maps of different sizes."""

    def graph(stride: Any) -> dict[str, Any]:
        some = {"choose": ["a", "b"], "k": "any", "merge": merge}
        body = [
            conv(name="a", inputs=["x"], stride=stride),
            conv(name="b", inputs=[{"choose": ["x", "a"]}]),
            conv(name="c", inputs=[some], out=width),
        ]
        return {"graph": {"inputs": ["x"], "body": body, "output": {"loose_ends": "concat"}}}

    assert space([conv(), graph(1)]).cardinality >= 6
    for stride in (2, {"one_of": [1, 2]}):
        with pytest.raises(SpaceError, match=r"(add|concat) needs .* height"):
            space([conv(), graph(stride)])


def test_a_network_without_a_node_is_refused() -> None:
    with pytest.raises(SpaceError, match="ends with 10 features, not with image 3x16x16"):
        SearchSpace.from_document(document([]) | {"network": [{"repeat": {"count": 0, "body": [conv()]}}]})


def test_options_that_constraints_make_rare_are_forced() -> None:
    """Each of twelve choices is 0 wherever the first is 7, whose own chance is one in 2^36."""
    names = [f"c{number}" for number in range(12)]
    found = space(
        [conv(out="=8 + " + " + ".join(names))],
        let={name: {"one_of": list(range(8))} for name in names},
        constraints=[f"=c0 != 7 || {name} == 0" for name in names[1:]],
    )
    pool = varied(Operators(found._counter), 512)
    place = next(number for number, gene in enumerate(found.genes) if gene.name == "c0")
    assert (pool[:, place] == 7).any()
    assert found.valid(pool).all()


@pytest.mark.parametrize("name", LIBRARY)
def test_nothing_about_a_built_in_family_is_doubtful(name: str) -> None:
    found = compiled(library_text(name))
    pool = varied(Operators(found._counter), 256)
    assert doubts_about(found.program, pool).wrong == {}
    assert found.valid(pool).all()


@pytest.mark.parametrize(
    ("node", "cause", "advice"),
    [
        ({"block": "self_attention", "heads": 2}, "", "write causal: true"),
        ({"block": "conv_mixer", "causal": {"one_of": [True, False]}}, "causal is False", "write causal: true"),
        ({"block": "position_mixer"}, "", "sequence_conv with causal: true"),
        ({"sequence": [{"block": "token_map", "height": 4}, {"block": "map_tokens"}]}, "", "or task: masked_lm"),
        (
            {"name": "op", "one_of": {"norm": {"block": "token_norm"}, "mix": {"block": "transform_mixer"}}},
            "op is mix",
            "or task: masked_lm",
        ),
    ],
)
def test_a_causal_language_model_has_no_block_that_sees_later_tokens(
    node: dict[str, Any], cause: str, advice: str
) -> None:
    """What it would have learned is to read the answer: the document is refused, not the trained supernet."""
    text = {"language_version": 1, "name": "lm", "input": {"length": 12, "vocabulary": 20}}
    embedding = {"block": "token_embedding", "features": 8, "vocabulary": 20}
    network = [embedding, node, {"block": "language_head", "vocabulary": 20}]
    assert SearchSpace.from_document(text | {"task": {"kind": "masked_lm"}, "network": network}).cardinality > 0
    with pytest.raises(SpaceError) as caught:
        SearchSpace.from_document(text | {"task": {"kind": "causal_lm"}, "network": network})
    (problem,) = caught.value.problems
    assert problem.rule == "causal"
    assert problem.pointer.startswith("/network/1")
    assert problem.message.endswith(f"so it is wherever {cause}" if cause else ")")
    assert advice in problem.suggestion


def test_a_cause_is_the_smallest_that_explains_most() -> None:
    genes = np.array([[a, b, c] for a in range(3) for b in range(3) for c in range(4)], dtype=np.int16)
    assert cause(genes[:, 1] == 2, genes) == ((1, 2),)
    assert cause((genes[:, 0] == 1) & (genes[:, 1] == 2), genes) == ((0, 1), (1, 2))
    assert cause(np.ones(len(genes), dtype=bool), genes) == ()
    assert cause((genes.sum(axis=1) % 2) == 0, genes) == ()
