"""What documents mean: scopes, conditions, sharing, references, derived values, scales."""

from __future__ import annotations

import numpy as np
import pytest

from search_spaces.errors import SpaceError
from search_spaces.library_index import load_library
from search_spaces.shapes import ImageShape
from search_spaces.space import SearchSpace
from tests.unit.search_spaces.builders import conv, document, space

THREE = {"one_of": {"a": conv(), "b": conv(kernel=5), "c": conv(kernel=1)}}


def test_repeat_around_a_choice_makes_it_per_layer() -> None:
    assert space([{"repeat": {"count": {"one_of": [1, 2, 4]}, "body": [THREE]}}]).cardinality == 3 + 9 + 81


def test_a_choice_outside_the_repeat_is_shared() -> None:
    body = [conv(kernel="=k")]
    found = space([{"repeat": {"count": {"one_of": [1, 2, 4]}, "body": body}}], let={"k": {"one_of": [1, 3, 5]}})
    assert found.cardinality == 9
    network = found.resolve(found.largest())
    assert {node.params["kernel"] for node in network.nodes if node.block == "conv_bn_act"} == {5}
    assert len({node.key for node in network.nodes}) == 5  # one set of weights per layer


def test_weights_are_shared_by_name_and_counted_once() -> None:
    shared = space([{"repeat": {"count": 3, "body": [conv(out=3, weights="w")]}}])
    apart = space([{"repeat": {"count": 3, "body": [conv(out=3)]}}])
    genes = shared.largest()[None]
    assert shared.costs(genes)["macs"] == apart.costs(genes)["macs"]
    head = space([]).costs(genes[:, :0])["params"]
    assert 3 * (shared.costs(genes)["params"] - head) == apart.costs(genes)["params"] - head
    assert [node.key for node in shared.resolve(genes[0]).nodes][:3] == ["shared.w"] * 3


def language_model(**head: object) -> dict[str, object]:
    embedding = {"block": "token_embedding", "name": "words", "features": {"one_of": [8, 12]}, "vocabulary": 40}
    norm = {"block": "token_norm", "name": "norm"}
    return document([]) | {
        "task": {"kind": "causal_lm"},
        "input": {"length": 6, "vocabulary": 40},
        "network": [embedding, norm, {"block": "language_head", **head}],
    }


def test_a_tied_head_uses_the_weights_of_the_embedding_and_counts_them_once() -> None:
    tied = SearchSpace.from_document(language_model(tied="words"))
    apart = SearchSpace.from_document(language_model(vocabulary=40))
    genes = tied.enumerate()
    assert (tied.costs(genes)["params"] + [8 * 40, 12 * 40] == apart.costs(genes)["params"]).all()
    assert (tied.costs(genes)["macs"] == apart.costs(genes)["macs"]).all()
    network = tied.resolve(genes[0])
    assert network.nodes[0].key == network.nodes[2].key == "words"


@pytest.mark.parametrize(
    ("head", "pointer", "advice"),
    [
        ({"tied": "norm"}, "/network/2/tied", "reads the token ids"),
        ({"tied": "wrods"}, "/network/2/tied", "did you mean 'words'"),
        ({"tied": "words", "bias": True}, "/network/2/bias", "{block: bias} behind the head"),
        ({"tied": "words", "weights": "w"}, "/network/2/weights", "leave 'weights' out"),
        ({"block": "token_projection", "tied": "words", "features": 4}, "/network/2/tied", "weights: NAME"),
        ({"block": "language_head", "vocabulary": 40, "weights": "w"}, "/network/2/weights", "another name"),
    ],
)
def test_weights_that_cannot_be_shared(head: dict[str, object], pointer: str, advice: str) -> None:
    raw = language_model(**head)
    raw["network"][1]["weights"] = "w"  # type: ignore[index]
    with pytest.raises(SpaceError) as caught:
        SearchSpace.from_document(raw)
    problem = caught.value.problems[0]
    assert problem.pointer == pointer
    assert advice in problem.suggestion


def test_the_resolution_may_follow_a_let_and_a_let_the_input() -> None:
    sizes = {"one_of": [{"name": "s", "pixels": 8}, {"name": "l", "pixels": 12}]}
    found = space(
        [conv(out="=wide")],
        input={"channels": 3, "resolution": "=size.pixels"},
        let={"size": sizes, "wide": "=input.resolution + input.channels"},
    )
    assert [found.resolve(row).nodes[0].out_shape for row in found.enumerate()] == [
        ImageShape(11, 8, 8),
        ImageShape(15, 12, 12),
    ]
    with pytest.raises(SpaceError, match="defined by itself"):
        space([conv()], input={"channels": 3, "resolution": "=size"}, let={"size": "=input.resolution"})


def test_a_scale_may_meet_the_choices_in_another_order() -> None:
    def cell(share: str, options: list[int]) -> dict[str, object]:
        return {"sequence": [conv(out=8, kernel={"one_of": options})], "share": share}

    found = space(
        [
            {"repeat": {"count": "=before", "body": [cell("second", [1, 3])]}},
            cell("first", [3, 5, 7]),
            cell("second", [1, 3]),
        ],
        scale={"search": {"before": 0}, "final": {"before": 1}},
    )
    genes = found.genes_of({"first.kernel": 7, "second.kernel": 1})
    kernels = [node.params["kernel"] for node in found.resolve(genes, "final").nodes[:3]]
    assert kernels == [1, 7, 1]
    assert found.costs(genes[None], "final")["macs"] == found.resolve(genes, "final").cost().macs


def test_gene_names_are_paths() -> None:
    found = space(
        [
            {
                "for_each": {
                    "as": "stage",
                    "in": [{"out": 8, "depth": {"one_of": [1, 2]}}, {"out": 16, "depth": {"one_of": [1, 3]}}],
                    "body": [
                        {
                            "repeat": {
                                "count": "=stage.depth",
                                "body": [
                                    {"let": {"kernel": {"one_of": [3, 5]}}} | conv(kernel="=kernel", out="=stage.out")
                                ],
                            }
                        }
                    ],
                }
            }
        ]
    )
    assert {gene.name for gene in found.genes} >= {"stage0.depth", "stage0.layer1.kernel", "stage1.layer2.kernel"}
    assert "stage1.layer2.conv_bn_act" in found.envelopes()
    assert found.cardinality == (2 + 4) * (2 + 8)


def test_choices_below_a_branch_exist_only_there() -> None:
    found = space([{"name": "op", "one_of": {"plain": conv(), "wide": conv(out={"one_of": [4, 8, 16]})}}])
    assert found.cardinality == 4
    genes = {gene.name: position for position, gene in enumerate(found.genes)}
    rows = found.enumerate()
    plain = rows[:, genes["op"]] == 0
    assert (rows[plain][:, genes["op.out"]] == -1).all()
    assert (rows[~plain][:, genes["op.out"]] >= 0).all()


def test_mapping_order_changes_nothing() -> None:
    first = document([conv(out={"one_of": [4, 8]}, kernel={"one_of": [1, 3]})], let={"b": 1, "a": {"one_of": [1, 2]}})
    second = dict(reversed(list(first.items())))
    second["let"] = {"a": {"one_of": [1, 2]}, "b": 1}
    one, two = (SearchSpace.from_document(raw) for raw in (first, second))
    assert one.id == two.id
    assert one.genes == two.genes


def test_derived_values_follow_the_input() -> None:
    found = space([conv(out={"one_of": [8, 12]}), conv(out="=round8(in * 1.5)", stride="=in.height > 8 ? 2 : 1")])
    shapes = {
        node.out_shape for row in found.enumerate() for node in found.resolve(row).nodes if node.key.endswith("_2")
    }
    assert shapes == {ImageShape(16, 8, 8), ImageShape(24, 8, 8)}


def test_references_reach_over_loops_and_by_name() -> None:
    found = space(
        [
            conv(name="stem"),
            {"repeat": {"count": {"one_of": [0, 1, 2]}, "body": [conv()]}},
            {"block": "add", "inputs": [-1, "stem"]},
        ]
    )
    for row in found.enumerate():
        network = found.resolve(row)
        depth = found.architecture(row).choices["depth"]
        assert network.nodes[-2].inputs == (1 + depth, 1)


def test_minus_two_is_the_output_before_the_last_one() -> None:
    found = space(
        [conv(), {"repeat": {"count": {"one_of": [1, 2]}, "body": [conv()]}}, {"block": "add", "inputs": [-1, -2]}]
    )
    adds = [found.resolve(row).nodes[-2].inputs for row in found.enumerate()]
    assert adds == [(2, 1), (3, 2)]


def test_edge_choices_have_growing_domains() -> None:
    found = space(
        [
            conv(),
            {
                "graph": {
                    "inputs": ["x"],
                    "body": [{"repeat": {"count": 3, "body": [conv(inputs=[{"choose": "earlier"}])]}}],
                    "output": {"loose_ends": "concat"},
                }
            },
        ]
    )
    assert [len(gene.options) for gene in found.genes] == [1, 2, 3]
    chain = found.resolve(found.genes_of({g.name: g.options[-1] for g in found.genes}))
    star = found.resolve(found.genes_of({g.name: "x" for g in found.genes}))
    assert chain.nodes[-2].out_shape.channels == 8
    assert star.nodes[-2].out_shape.channels == 24


def test_shared_cells_share_choices_and_not_weights() -> None:
    cell = {
        "parameters": ["width"],
        "body": [{"name": "op", "one_of": {"a": conv(out="=width"), "b": conv(out="=width", kernel=5)}}],
    }
    found = space(
        [{"repeat": {"count": 3, "body": [{"use": "cell", "share": "cell", "with": {"width": 8}}]}}],
        templates={"cell": cell},
    )
    assert [gene.name for gene in found.genes] == ["cell.op"]
    keys = [node.key for node in found.resolve(found.largest()).nodes]
    assert len(set(keys)) == 4


def test_residual_takes_its_shortcut_only_where_shapes_differ() -> None:
    found = space([conv(), {"residual": [conv(out={"one_of": [8, 16]})], "shortcut": conv(out=16, kernel=1)}])
    counts = [len(found.resolve(row).nodes) for row in found.enumerate()]
    assert counts == [4, 5]
    assert found.costs(found.enumerate())["macs"].tolist() == [
        found.resolve(row).cost().macs for row in found.enumerate()
    ]


def test_what_a_shortcut_reads_by_number_is_the_same_for_the_supernet() -> None:
    body = {"residual": [conv(out=32)], "shortcut": conv(inputs=[-2], out=32, kernel=1)}
    found = space([conv(out=8), conv(out=16), body])
    (shortcut,) = [node for node in found.resolve(found.largest()).nodes if node.key == "shortcut"]
    assert shortcut.in_shapes[0].channels == 16
    assert found.envelopes()["shortcut"].in_shapes == (shortcut.in_shapes,)


def test_a_parameter_may_have_the_name_of_a_node_kind() -> None:
    """`residual` is a node, and a parameter of mbconv: a mapping with `block` is that block."""
    choice = {"one_of": [True, False]}
    plain = {"block": "mbconv", "out": 8, "mid": 16}
    found = space([conv(), {"let": {"r": choice}, "residual": "=r", **plain}, plain | {"residual": choice}])
    assert [gene.name for gene in found.genes] == ["r", "residual"]
    networks = [found.resolve(genes) for genes in found.unrank([0, 1, 2, 3])]
    assert len({tuple(node.params["residual"] for node in network.nodes[1:3]) for network in networks}) == 4
    with pytest.raises(SpaceError, match="put one inside the other"):
        space([conv(residual=[conv()])])


def test_many_of_picks() -> None:
    picks = {"many_of": {"k": 2, "from": [1, 3, 5, 7], "distinct": True, "sorted": True}}
    found = space([conv(kernel="=ks[0]"), conv(kernel="=ks[1]")], let={"ks": picks})
    assert found.cardinality == 6
    for sorted_, distinct, size in ((True, False, 10), (False, True, 12), (False, False, 16)):
        let = {"ks": {"many_of": {"k": 2, "from": [1, 3, 5, 7], "distinct": distinct, "sorted": sorted_}}}
        assert space([conv(kernel="=ks[0]")], let=let).cardinality == size


def test_constraints_over_layers() -> None:
    body = [conv(out="=w", let={"w": {"one_of": [8, 16, 24]}})]
    loop = {"repeat": {"count": {"one_of": [1, 3]}, "body": body}}
    monotone = space([loop], constraints=["=all((a, b) in consecutive(layers): a.w <= b.w)"])
    assert monotone.cardinality == 3 + 10
    some = space([loop], constraints=["=any(l in layers: l.w == 24)"])
    assert some.cardinality == 1 + (27 - 8)
    total = space([loop], constraints=["=sum(l in layers: l.w) <= 40"])
    assert total.cardinality == 3 + sum(a + b + c <= 40 for a in (8, 16, 24) for b in (8, 16, 24) for c in (8, 16, 24))


def test_layers_are_those_of_repeats_so_named_where_there_are_some() -> None:
    sometimes = {"repeat": {"count": "=w > 8 ? 1 : 0", "body": [conv(out="=w")]}}
    node = {"let": {"w": {"one_of": [8, 16]}}, "sequence": [conv(out="=w"), sometimes]}
    loop = {"name": "layer", "repeat": {"count": 3, "body": [node]}}
    found = space([loop], constraints=["=count(l in layers: l.w > 8) <= 1"])
    assert found.cardinality == 1 + 3


def test_local_constraints_hold_only_where_the_node_exists() -> None:
    body = [conv(out="=w", let={"w": {"one_of": [8, 12]}, "g": {"one_of": [4, 8]}}, constraints=["=w % g == 0"])]
    assert space([{"repeat": {"count": {"one_of": [0, 1, 2]}, "body": body}}]).cardinality == 1 + 3 + 9


def test_choice_between_records() -> None:
    let = {"size": {"one_of": [{"name": "small", "k": 3, "w": 8}, {"name": "large", "k": 5, "w": 16}]}}
    found = space([conv(kernel="=size.k", out="=size.w")], let=let)
    assert found.genes[0].options == ("small", "large")
    nodes = [found.resolve(row).nodes[0].params for row in found.enumerate()]
    assert [(node["kernel"], node["out"]) for node in nodes] == [(3, 8), (5, 16)]


def test_quantised_floats_are_ordered() -> None:
    found = space([conv(out="=round8(16 * m)")], let={"m": {"float": [0.5, 2.0], "levels": 3, "log": True}})
    assert found.genes[0].options == (0.5, 1.0, 2.0)
    assert found.genes[0].ordered


@pytest.mark.parametrize(
    ("network", "changes", "rule", "pointer"),
    [
        ([conv(block="conv_bn_akt")], {}, "block", "/network/0/block"),
        ([{"block": "conv_bn_act", "ot": 8}], {}, "parameter", "/network/0/ot"),
        ([{"block": "conv_bn_act", "kernel": 3}], {}, "parameter", "/network/0"),
        ([conv(kernel={"one_of": [3, 6]})], {}, "parameter", "/network/0/kernel"),
        ([conv(out="=widht")], {"let": {"width": 8}}, "name", "/network/0/out"),
        ([conv(out="=in +")], {}, "expression", "/network/0/out"),
        ([conv(out="=in * 0.5")], {}, "type", "/network/0/out"),
        ([conv(out="=8 // (in - 3)")], {}, "number", "/network/0/out"),
        ([conv(out={"one_of": [8, 8]})], {}, "options", "/network/0/out/one_of"),
        ([conv(inputs=["stm"])], {}, "reference", "/network/0/inputs/0"),
        ([conv(inputs=[-3])], {}, "reference", "/network/0"),
        ([conv(inputs=[{"choose": "earlier"}])], {}, "choose", "/network/0/inputs/0"),
        ([{"repeat": {"count": "=in", "body": [conv()]}}], {}, "count", "/network/0/repeat/count"),
        ([{"repeat": {"count": 1.5, "body": [conv()]}}], {}, "count", "/network/0/repeat/count"),
        ([{"use": "cel"}], {"templates": {"cell": {"body": [conv()]}}}, "template", "/network/0/use"),
        ([{"residual": [conv()]}], {}, "block", "/network/0"),
        ([conv()], {"constraints": ["=a > 3"], "let": {"a": {"int": [0, 3]}}}, "constraint", "/constraints/0"),
        ([conv()], {"let": {"a": "=b", "b": "=a"}}, "cycle", "/let/b"),
        ([{"blok": "conv"}], {}, "node", "/network/0"),
        ([conv()], {"task": {"kind": "image_classification"}}, "missing", "/task/classes"),
        ([conv()], {"language_version": 2}, "version", "/language_version"),
    ],
)
def test_errors_name_the_place_and_the_rule(network: list, changes: dict, rule: str, pointer: str) -> None:
    with pytest.raises(SpaceError) as caught:
        space(network, **changes)
    assert (rule, pointer) in {(problem.rule, problem.pointer) for problem in caught.value.problems}


def test_suggestions_name_what_was_meant() -> None:
    with pytest.raises(SpaceError) as caught:
        space([conv(block="conv_bn_akt"), {"block": "conv_bn_act", "ot": 8}, conv(out="=clases")])
    assert [problem.suggestion for problem in caught.value.problems] == [
        "did you mean 'conv_bn_act'? (all blocks: nas space blocks)",
        "did you mean 'out'?",
        "did you mean 'classes'?",
    ]


def test_a_classifier_must_end_with_its_classes() -> None:
    raw = document([conv()])
    raw["network"] = raw["network"][:-1]
    with pytest.raises(SpaceError) as caught:
        SearchSpace.from_document(raw)
    assert caught.value.rule == "output"


def test_binding_follows_the_data_set() -> None:
    found = space(
        [conv()],
        task={"kind": "image_classification", "classes": "data"},
        input={"channels": "data", "resolution": {"data": 8}},
    )
    assert not found.is_bound
    bound = found.bind(classes=7, input={"channels": 1, "height": 28, "width": 28})
    assert bound.is_bound
    assert bound.id != found.id
    network = bound.resolve(bound.largest())
    assert network.input_shape == ImageShape(1, 28, 28)
    assert network.classes == network.nodes[-1].out_shape.features == 7
    assert bound.bind(classes=7, input={"channels": 1, "height": 28, "width": 28}) is bound
    tall = found.bind(classes=7, input={"channels": 1, "height": 28, "width": 14})
    assert tall.resolve(tall.largest()).input_shape == ImageShape(1, 28, 14)


def test_binding_refuses_contradictions_and_keeps_a_searched_resolution() -> None:
    found = space([conv()], input={"channels": 3, "resolution": {"one_of": [8, 16]}})
    with pytest.raises(SpaceError) as caught:
        found.bind(classes=5, input={"channels": 1, "height": 28, "width": 28})
    assert {problem.pointer for problem in caught.value.problems} == {"/task/classes", "/input/channels"}
    assert found.bind(classes=10, input={"channels": 3, "height": 28, "width": 28}) is found


def test_scales_with_different_choices_are_refused() -> None:
    loop = {"repeat": {"count": "=N", "body": [conv(kernel={"one_of": [3, 5]})]}}
    found = space([loop], scale={"search": {"N": 1}, "final": {"N": 2}})
    with pytest.raises(SpaceError) as caught:
        found.resolve(found.largest(), "final")
    assert caught.value.rule == "scale"


def test_rare_regions_are_sampled_without_waste() -> None:
    body = [conv(out={"one_of": [4, 8, 16, 32]}, kernel={"one_of": [1, 3, 5]})]
    found = space([{"repeat": {"count": {"int": [1, 6]}, "body": body}}])
    rng = np.random.default_rng(0)
    bound = float(np.quantile(found.costs(found.sample(20_000, rng))["macs"], 0.002))
    rows = found.sample_feasible(200, rng, {"macs": (None, bound)})
    assert len(rows) == 200
    assert (found.costs(rows)["macs"] <= bound).all()
    assert len(np.unique(rows, axis=0)) > 20


def widths(number: int) -> SearchSpace:
    """8 ** number members: convolutions one after the other, each of 1 to 8 channels."""
    names = "abcdef"[:number]
    return space([conv(out=f"={name}") for name in names], let={name: {"int": [1, 8]} for name in names})


@pytest.mark.parametrize(
    ("number", "num_members", "exactly"),
    [(4, 40, True), (5, 3_000, True), (5, 40, False)],
    ids=["small space, rare", "large space, one in ten", "large space, rare: walks"],
)
def test_feasible_members_are_drawn_uniformly(number: int, num_members: int, exactly: bool) -> None:
    found = widths(number)
    everything = found.enumerate()
    macs = found.costs(everything)["macs"]
    bound = float(np.sort(macs)[num_members])
    members = everything[macs <= bound]
    rng = np.random.default_rng(1)
    rows = np.concatenate([found.sample_feasible(4 * len(members), rng, {"macs": (None, bound)}) for _ in range(5)])
    kinds, counts = np.unique(rows, axis=0, return_counts=True)
    assert len(kinds) == len(members)
    assert counts.max() < 4 * counts.mean()
    if exactly:
        freedom = len(members) - 1
        chi_square = ((counts - 20) ** 2 / 20).sum()
        assert chi_square < freedom + 3.1 * (2 * freedom) ** 0.5 + 5  # beyond the 99.9 % quantile


@pytest.mark.parametrize("name", ["nasnet-cell", "mobilenetv3-ofa", "flexibert", "nasbench201-cell"])
def test_one_percent_regions_of_families_are_sampled_without_waste(name: str) -> None:
    found = load_library(name)
    rng = np.random.default_rng(4)
    drawn = found.costs(found.sample(3_000, rng), names=("macs", "params"))
    few_params = float(np.median(drawn["params"]))
    few_macs = float(np.sort(drawn["macs"][drawn["params"] <= few_params])[30])  # one in a hundred of all draws
    rows = found.sample_feasible(48, rng, {"macs": (None, few_macs), "params": (None, few_params)})
    costs = found.costs(rows, names=("macs", "params"))
    good = (costs["macs"] <= few_macs) & (costs["params"] <= few_params)
    assert len(rows) == 48
    assert good.mean() > 0.95
    assert found.valid(rows).all()
    assert len(np.unique(rows, axis=0)) >= 46


@pytest.mark.parametrize("number", [4, 6])
def test_bounds_that_nothing_meets_are_given_up(number: int) -> None:
    found = widths(number)
    macs = found.costs(found.smallest()[None])["macs"][0]
    assert len(found.sample_feasible(8, np.random.default_rng(0), {"macs": (None, float(macs) - 1)})) == 0


def test_costs_asked_by_name_are_the_same() -> None:
    found = space([conv(out={"int": [1, 64]}), conv()])
    genes = found.sample(10, np.random.default_rng(0))
    everything = found.costs(genes)
    assert {name: found.costs(genes, names=(name,))[name].tolist() for name in everything} == {
        name: values.tolist() for name, values in everything.items()
    }
    with pytest.raises(SpaceError):
        found.costs(genes, names=("mac",))


def test_a_scale_of_the_search_is_required() -> None:
    with pytest.raises(SpaceError) as caught:
        space([conv()], scale={"final": {"N": 1}})
    assert caught.value.pointer == "/scale"
