"""The Python builder: it makes the documents of the language and nothing else."""

from __future__ import annotations

import pytest

from search_spaces.build import (
    Draft,
    adapt,
    alternatives,
    block,
    choose,
    floats,
    for_each,
    graph,
    ints,
    many_of,
    one_of,
    one_of_list,
    repeat,
    residual,
    sequence,
    use,
)
from search_spaces.errors import SpaceError
from search_spaces.library_index import load_library


def test_a_library_family_built_in_python_is_the_same_space() -> None:
    family = load_library("mobilenetv3-ofa")
    raw = family.document.to_json()
    stages = [
        {"out": 24, "stride": 2, "se": 0.0, "act": "relu"},
        {"out": 40, "stride": 2, "se": 0.25, "act": "relu"},
        {"out": 80, "stride": 2, "se": 0.0, "act": "hswish"},
        {"out": 112, "stride": 1, "se": 0.25, "act": "hswish"},
        {"out": 160, "stride": 2, "se": 0.25, "act": "hswish"},
    ]
    layer = block(
        "mbconv",
        let={"kernel": one_of(3, 5, 7), "expansion": one_of(3, 4, 6)},
        out="=stage.out",
        mid="=round8(in * expansion)",
        kernel="=kernel",
        kernel_transform=True,
        stride="=i == 0 ? stage.stride : 1",
        se_ratio="=stage.se",
        activation="=stage.act",
    )
    built = (
        Draft(family.name, "image_classification", classes={"data": 1000}, source=raw["source"])
        .image(channels={"data": 3}, resolution=ints(128, 224, step=4))
        .add(block("conv_bn_act", name="stem", out=16, kernel=3, stride=2, activation="hswish"))
        .add(block("mbconv", name="first", out=16, mid=16, kernel=3, activation="relu"))
        .add(for_each("stage", stages, repeat(one_of(2, 3, 4, name="depth"), layer, index="i")))
        .add(block("conv_bn_act", name="last", out=960, kernel=1, activation="hswish"))
        .add(block("image_head", name="head", out="=classes", hidden=1280, hidden_bias=False, dropout=0.1))
    )
    assert built.document().to_json() == raw
    assert built.space().id == family.id


def test_every_kind_of_node_and_choice() -> None:
    cell = graph(
        ["x"],
        block("conv_bn_act", name="a", out="=width", kernel=3),
        block("conv_bn_act", name="b", out="=width", kernel="=picks[0]", inputs=[choose("x", "a", name="edge")]),
        block("identity", inputs=[choose(k="any", merge="add", name="ends")]),
    )
    draft = (
        Draft("everything", "image_classification", classes=5)
        .image(channels=3, height=8, width=8)
        .let(picks=many_of(2, 1, 3, 5), m=floats(0.5, 1.0, 2), widths=[8, 16], w=one_of_list("=widths"))
        .template("cell", cell, parameters=["width"])
        .scale("search", N=1)
        .scale("final", N=3)
        .add(block("conv_bn_act", name="stem", out="=round8(8 * m)", kernel=3))
        .add(adapt("stem", block("conv_bn_act", out=8, kernel=1), inputs=["stem"]))
        .add(block("conv_bn_act", out=8, kernel=1), repeat("=N", use("cell", {"width": 8}, share="cell")))
        .add(residual(sequence(block("conv_bn_act", out=8, kernel=3))))
        .add(graph(["x"], block("add", inputs=[choose(k=2, distinct=False)]), inputs=["stem"]))
        .add(block("conv_bn_act", out="=w", kernel=1), block("conv_bn_act", out=8, kernel=1))
        .add(alternatives({"none": block("identity"), "conv": block("conv_bn_act", out=8, kernel=3)}, name="op"))
        .add(block("image_head", out="=classes"))
        .require("=picks[0] + picks[1] >= 4")
    )
    space = draft.space()
    # picks 1+3, 1+5, 3+5; the float; a width of the list; two sources of b; any of x, a, b; the alternative
    assert space.cardinality == 3 * 2 * 2 * 2 * 7 * 2
    assert space.resolve(space.largest(), "final") != space.resolve(space.largest())


def test_a_draft_is_checked_like_a_file_and_stays_apart_from_its_documents() -> None:
    draft = Draft("wrong", "image_classification", classes=5).image(channels=3, resolution=8)
    draft.add(block("conv_bn_akt", out=8, kernel=3))
    with pytest.raises(SpaceError) as caught:
        draft.space()
    assert caught.value.suggestion == "did you mean 'conv_bn_act'? (all blocks: nas space blocks)"
    document = draft.document()
    draft.add(block("image_head", out="=classes"))
    assert len(document.to_json()["network"]) == 1
