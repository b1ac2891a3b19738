"""Documents of families outside the library as their authors first wrote them, and what typical mistakes are told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from search_spaces.elastic.supernet import Supernet
from search_spaces.errors import SpaceError
from search_spaces.library_index import load_file
from search_spaces.network import Network
from search_spaces.shapes import ImageShape, TokensShape
from search_spaces.space import SearchSpace
from tests.unit.search_spaces.builders import conv, space
from tests.unit.search_spaces.test_documents import document as stored

FAMILIES = (
    "albert-like",
    "block-and-grid",
    "branched-rows",
    "char-highway",
    "conv-then-attention",
    "convolutional-tokens",
    "convnext-like",
    "densenet-small",
    "dilated-branches",
    "down-and-up",
    "dual-path",
    "efficientnet-compound",
    "encoder-decoder",
    "funnel",
    "gated-mixer",
    "inception-like",
    "keyword-spotting",
    "linear-attention",
    "llama-like",
    "metaformer",
    "near-text",
    "parallel-lm",
    "patch-mixer",
    "pyramid-attention",
    "random-wired",
    "recurrent-text",
    "regnet-like",
    "residual-mlp",
    "routed-experts",
    "sandglass",
    "sensor-readings",
    "squeezenet",
    "text-cnn",
    "u-shaped",
    "wavenet-text",
    "wide-resnet-attention",
    "windows-and-convolutions",
)

CHOICE = {"one_of": [8, 16], "name": "w"}

SEQUENCES = {
    "task": {"kind": "sequence_classification", "classes": 3},
    "input": {"length": 12, "vocabulary": 9},
}

SMALL: dict[str, dict[str, int]] = {
    "albert-like": {"length": 16, "vocabulary": 60},
    "char-highway": {"length": 16, "vocabulary": 60},
    "funnel": {"length": 15, "vocabulary": 60},
    "wavenet-text": {"length": 16, "vocabulary": 60},
    "near-text": {"length": 16, "vocabulary": 60},
    "text-cnn": {"length": 16, "vocabulary": 60},
    "gated-mixer": {"length": 16, "vocabulary": 60},
    "llama-like": {"length": 16, "vocabulary": 60},
    "parallel-lm": {"length": 16, "vocabulary": 60},
    "recurrent-text": {"length": 16, "vocabulary": 60},
    "routed-experts": {"length": 16, "vocabulary": 60},
    "sensor-readings": {"features": 48},
    "branched-rows": {"features": 12},
    "residual-mlp": {"features": 12},
    "squeezenet": {"channels": 1, "height": 32, "width": 32},
    "efficientnet-compound": {"channels": 1},
    "random-wired": {"channels": 1, "height": 8, "width": 8},
}


def example(network: Network) -> torch.Tensor:
    shape = network.input_shape
    if isinstance(shape, ImageShape):
        return torch.randn(2, shape.channels, shape.height, shape.width)
    if isinstance(shape, TokensShape):
        return torch.randint(0, 50, (2, shape.length))
    return torch.randn(2, shape.features)


def repeated(body: list[Any], **changes: Any) -> dict[str, Any]:
    return {"repeat": {"count": 2, "body": body}} | changes


@pytest.mark.parametrize("name", FAMILIES)
def test_the_supernet_of_a_new_family_computes_what_its_subnets_do(name: str) -> None:
    torch.manual_seed(0)
    found = stored(name).bind(
        classes=None if name in ("albert-like", "llama-like", "parallel-lm", "routed-experts", "wavenet-text") else 3,
        input=SMALL.get(name, {"channels": 1, "height": 16, "width": 16}),
    )
    supernet = Supernet(found).eval()
    for genes in [found.largest(), found.smallest(), *found.sample(1, np.random.default_rng(0))]:
        plain, x = supernet.extract(genes), example(found.resolve(genes))
        with supernet.active(genes), torch.no_grad():
            assert torch.equal(supernet(x), plain(x))
        assert sum(part.numel() for part in plain.parameters()) == int(found.costs(genes[None])["params"][0])


@pytest.mark.parametrize(
    ("network", "changes", "pointer", "told"),
    [
        ([conv(out="in * 2")], {}, "/network/0/out", '"=in * 2"'),
        ([conv(out=[8, 16])], {}, "/network/0/out", "{one_of: [...]}"),
        ([conv(out={"oneof": [8, 16]})], {}, "/network/0/out", "did you mean 'one_of'?"),
        ([conv(), {"block": "layernorm"}], {}, "/network/1/block", "did you mean 'map_norm' or 'token_norm'?"),
        ([conv(), {"block": "upsample", "scale": 2}], {}, "/network/1/scale", "did you mean 'factor'?"),
        ([conv(), {"block": "linear", "out": 9}], {}, "/network/1", "put a flatten before it"),
        ([conv(), {"block": "self_attention", "heads": 2}], {}, "/network/1", "patch_embedding or map_tokens"),
        (
            [conv(name="a"), conv(name="b", stride=2), {"block": "concat", "inputs": ["a", "b"]}],
            {},
            "/network/2",
            "or an upsample",
        ),
        ([conv(out={"choice": [8, 16]})], {}, "/network/0/out", "did you mean 'one_of'?"),
        ([conv(out={"int": [8, 64, 8]})], {}, "/network/0/out/int", "{int: [8, 64], step: 8}"),
        ([conv(out="=round8(in * 2")], {}, "/network/0/out", "a bracket is not closed"),
        (
            [conv(group_size="=in // kernel")],
            {},
            "/network/0/group_size",
            'let: {kernel: ...} in this node, kernel: "=kernel"',
        ),
        ([conv(out="=8 // w")], {"let": {"w": {"one_of": [0, 1]}}}, "/network/0/out", "b == 0 ? 1 : a // b"),
        ([{"one_of": ["mbconv", "identity"]}], {}, "/network/0/one_of/0", "{block: mbconv}"),
        (["stem_k3_s2"], {}, "/network/0", "{block: KIND, ...its parameters}"),
        ([{"block": "InvertedResidual", "out": 8}], {}, "/network/0/block", "did you mean 'mbconv'?"),
        ([{"block": "mbconv", "out": 8, "expand_ratio": 4}], {}, "/network/0/expand_ratio", "`=round8(in * e)`"),
        ([conv(), {"block": "vector_head", "num_labels": 2}], {}, "/network/1/num_labels", "did you mean 'out'? "),
        ([conv(layer_scale=True)], {}, "/network/0/layer_scale", "is a block by itself"),
        ([conv(), {"block": "add", "inputs": [-1, 1.5]}], {}, "/network/1/inputs/1", "{choose: [a, b]}"),
        (
            [{"graph": {"inputs": ["x"], "body": [conv(name="a"), conv(name="b")], "output": ["a", "b"]}}],
            {},
            "/network/0/graph/output",
            "{loose_ends: concat}",
        ),
        ([conv()], {"task": {"kind": "masked_lm"}}, "/task/kind", "kinds that read those: image_classification"),
        ([conv()], {"input": None}, "/input", "{channels: data, resolution: data}"),
        ([conv(out={"range": [8, 16]})], {}, "/network/0/out", "did you mean 'int'?"),
        ([{"block": "Conv2d", "out": 8}], {}, "/network/0/block", "did you mean 'conv_bn_act'?"),
        ([{"type": "conv_bn_act", "out": 8}], {}, "/network/0", "did you mean 'block'?"),
        ([{"block": "conv_bn_act", "out_channels": 8}], {}, "/network/0/out_channels", "did you mean 'out'?"),
        ([{"block": "conv_bn_act", "filters": 8}], {}, "/network/0/filters", "did you mean 'out'?"),
        ([conv(activation="silu")], {}, "/network/0/activation", "did you mean 'swish'?"),
        ([conv(out="16")], {}, "/network/0/out", "without quotes: out: 16"),
        (
            [{"graph": {"inputs": [{"choose": "earlier"}], "body": [conv()]}}],
            {},
            "/network/0/graph/inputs/0",
            "graph: {inputs: [x]",
        ),
        (
            [{"graph": {"body": [conv(name="a"), conv(inputs=[{"choose": ["a", "earlier"]}])]}}],
            {},
            "/network/0/graph/body/1/inputs/0",
            "for all of them write choose: earlier",
        ),
        (
            [conv(name="a"), conv(name="b"), {"graph": {"inputs": ["a", "b"], "body": [conv(inputs=["a"])]}}],
            {},
            "/network/2/graph/inputs",
            "beside graph:, as inputs: with a node for each of a, b",
        ),
        (
            [
                repeated(
                    [conv(out=CHOICE)],
                    name="step",
                    repeat={"count": {"int": [1, 2], "name": "steps"}, "body": [conv()]},
                )
            ],
            {"constraints": ["=any(s in steps: s.index > 0)"]},
            "/constraints/0",
            "hides them: rename it",
        ),
        ([conv(), {"block": "LSTM"}], {}, "/network/1/block", "did you mean 'recurrent'?"),
        ([conv(kernel=[7, 1])], {}, "/network/0/kernel", "kernel_width"),
        ([conv(out=CHOICE)], {"constraints": ["=w > 8"]}, "/constraints/0", "let: {w: ...}"),
        ([conv(), {"block": "BatchNormalization"}], {}, "/network/1/block", "did you mean 'bn_relu'?"),
        ([conv(), {"block": "MaxPooling2D"}], {}, "/network/1/block", "did you mean 'pool'?"),
        ([conv(), {"block": "Causal"}], {}, "/network/1/block", "causal is a parameter, of attend"),
        ([conv(dropout=0.1)], {}, "/network/0/dropout", "{block: dropout}"),
        ([conv(), {"block": "CrossAttention"}], {}, "/network/1/block", "did you mean 'attend'?"),
        ([conv(), {"block": "pool", "pool_size": 2}], {}, "/network/1/pool_size", "did you mean 'kernel'?"),
        ([conv(out={"_type": "choice", "_value": [8, 16]})], {}, "/network/0/out", "did you mean 'one_of'?"),
        ([repeated([conv()], repeat={"count": "n", "body": [conv()]})], {}, "/network/0/repeat/count", '"=n"'),
        (
            [conv(kernel={"one_of": "=ks"})],
            {"let": {"ks": [3, {"one_of": [5, 7]}]}},
            "/network/0/kernel/one_of",
            "=stage",
        ),
        ([conv()], {"constraints": ["=peak_activation_bytes < 9"]}, "/constraints/0", "objectives"),
        ([conv()], {"input": {"channels": 3, "resolution": [16, 32]}}, "/input/resolution", "{one_of: [96, 128]}"),
        (
            [conv()],
            {"input": {"channels": 3, "resolution": {"choice": [16]}}},
            "/input/resolution",
            "{one_of: [96, 128]}",
        ),
        ([conv(out={"one_of": []})], {}, "/network/0/out/one_of", "a choice needs an option"),
        ([conv(name="stem")], {"constraints": ["=stem.channels > 4"]}, "/constraints/0", "put the number in a let"),
        (
            [{"block": "token_embedding", "features": 8, "vocabulary": 9}, conv()],
            SEQUENCES,
            "/network/1",
            "sequence_conv or conv_mixer convolve",
        ),
        (
            [{"block": "token_embedding", "features": 8, "vocabulary": 9}, {"block": "bn_relu"}],
            SEQUENCES,
            "/network/1",
            "of sequences: token_norm",
        ),
        ([conv(norm="yes")], {}, "/network/0/norm", "write true or false"),
        ([{"repeat": 3, "body": [conv()]}], {}, "/network/0/repeat", "repeat: {count: 3, body: [...]}"),
        ([{"repeat": {"count": 3, "body": conv()}}], {}, "/network/0/repeat/body", "begin each with '-'"),
        ([{"repeat": {"times": 3, "body": [conv()]}}], {}, "/network/0/repeat/times", "did you mean 'count'?"),
        ([{"repeat": {"count": 3, "name": "a", "body": [conv()]}}], {}, "/network/0/repeat/name", "beside repeat"),
        ([conv()], {"let": ["a"]}, "/let", "a mapping from names to values"),
        ([{"residual": [conv(out=16)]}], {}, "/network/0", "shortcut: none"),
        ([{"residual": [conv(out=16)], "shortcut": "skip"}], {}, "/network/0/shortcut", "none"),
        ([conv(inputs="stem")], {}, "/network/0/inputs", "inputs: [stem]"),
        ([conv(inputs=["later"]), conv(name="later")], {}, "/network/0/inputs/0", "only nodes above it"),
        ([conv(out="=8 if in > 3 else 4")], {}, "/network/0/out", "test ? yes : no"),
        ([conv(out="=2 * {one_of: [4, 8]}")], {}, "/network/0/out", "name it in a let"),
        ([conv()], {"constraints": ["=classes = 3"]}, "/constraints/0", "compare with =="),
        ([conv()], {"constraints": ["classes == 3"]}, "/constraints/0", '"=classes == 3"'),
        ([conv()], {"constraints": ["=macs < 1000"]}, "/constraints/0", "objectives"),
        ([conv()], {"task": "image_classification"}, "/task", "classes: data}"),
        ([conv()], {"task": {"kind": "classification"}}, "/task/kind", "did you mean 'image_classification'?"),
        ([conv()], {"task": {"kind": "image_classification"}}, "/task/classes", "classes: data"),
        ([{"use": "t"}], {"templates": {"t": {"parameters": ["c"], "body": [conv()]}}}, "/network/0/with", "{c: ...}"),
        ([{"use": "t", "c": 8}], {"templates": {"t": {"body": [conv()]}}}, "/network/0/c", "under with: {c: ...}"),
        (
            [{"for_each": {"as": "stage", "in": [{"out": 8}], "body": [conv(out="=out")]}}],
            {},
            "/network/0/for_each/body/0/out",
            "did you mean 'stage.out'?",
        ),
        ([conv(stride="=i == 0 ? 2 : 1")], {}, "/network/0/stride", "inside its body"),
        ([{"one_of": [3, 5]}], {}, "/network/0/one_of/0", "a parameter or a let"),
        ([{"one_of": {"skip": None, "conv": conv()}}], {}, "/network/0/one_of/skip", "{block: identity}"),
        ([{"block": "identity", "repeat": {"count": 2, "body": [conv()]}}], {}, "/network/0", "one inside the other"),
        ([{"one_of": "=op"}], {"let": {"op": CHOICE}}, "/network/0/one_of", "one_of: {a: {block: ...}"),
        ([repeated([conv(out=CHOICE)])], {"constraints": ["=layers[0].w > 8"]}, "/constraints/0", "x.index > 0"),
        ([conv(inputs=[{"choose": "earlier"}])], {}, "/network/0/inputs/0", "wrap the nodes in graph:"),
        (
            [repeated([repeated([conv(out=CHOICE)], name="inner")], name="layer")],
            {"constraints": ["=all(l in layers: l.w > 8)"]},
            "/constraints/0",
            "range over inners",
        ),
        (
            [repeated([repeated([conv()]) | {"let": {"z": CHOICE}}])],
            {"constraints": ["=all(l in layers: l.z > 8)"]},
            "/constraints/0",
            "write name: block beside the repeat whose elements have 'z'",
        ),
    ],
)
def test_typical_mistakes_are_told_what_to_write(
    network: list[Any], changes: dict[str, Any], pointer: str, told: str
) -> None:
    with pytest.raises(SpaceError) as caught:
        space(network, **changes)
    assert pointer in [problem.pointer for problem in caught.value.problems]
    assert told in " ".join(problem.suggestion for problem in caught.value.problems if problem.pointer == pointer)


def test_faults_of_several_parameters_and_nodes_are_told_together_and_nothing_that_follows_from_them() -> None:
    graph = {
        "inputs": ["x"],
        "body": [
            {"block": "nothing_known", "name": "a", "inputs": ["x"]},
            conv(name="b", kernel=6, stride=3),
            conv(name="c", inputs=["b"], outt=8),
            {"block": "add", "inputs": ["a", {"choose": ["b", "c"]}]},
        ],
    }
    with pytest.raises(SpaceError) as caught:
        space([repeated([{"graph": graph}]), conv(out="=w")], let={"w": "=nobody"})
    assert [
        problem.pointer.removeprefix("/network/0/repeat/body/0/graph/body") for problem in caught.value.problems
    ] == [
        "/let/w",
        "/0/block",
        "/1/kernel",
        "/1/stride",
        "/2/outt",
    ]


def test_all_wrong_inputs_and_what_stands_under_a_wrong_count_are_told() -> None:
    stack = repeated([], repeat={"count": [1, 2], "body": [conv(kernel=[3, 5])]})
    with pytest.raises(SpaceError) as caught:
        space([conv(inputs=["one", -40, "two"]), stack])
    assert [problem.pointer for problem in caught.value.problems] == [
        *(f"/network/0/inputs/{place}" for place in range(3)),
        "/network/1/repeat/count",
        "/network/1/repeat/body/0/kernel",
    ]


def test_the_configuration_of_another_tool_is_told_what_a_document_has() -> None:
    with pytest.raises(SpaceError) as caught:
        SearchSpace.from_document({"hidden_size": 64, "num_hidden_layers": 2})
    told = {problem.pointer: problem.suggestion for problem in caught.value.problems}
    assert told["/language_version"] == "write language_version: 1"
    assert "{block: KIND" in told["/network"]
    assert sum("known:" in suggestion for suggestion in told.values()) == 1


def test_the_vocabulary_of_a_document_need_not_be_repeated() -> None:
    embedding, head = {"block": "token_embedding", "features": 8}, {"block": "language_head"}
    found = SearchSpace.from_document(
        {
            "language_version": 1,
            "name": "t",
            "task": {"kind": "causal_lm"},
            "input": {"length": 6, "vocabulary": "data"},
            "network": [embedding, head],
        }
    ).bind(None, {"vocabulary": 11})
    assert [node.params["vocabulary"] for node in found.resolve(found.largest()).nodes] == [11, 11]
    with pytest.raises(SpaceError, match="needs the parameter 'vocabulary'"):
        space([conv(), head])


def test_a_mistake_in_a_classes_entry_is_told_once() -> None:
    with pytest.raises(SpaceError) as caught:
        space([conv()], task={"kind": "image_classification"})
    assert len(caught.value.problems) == 1


def test_problems_of_a_file_carry_their_line(tmp_path: Path) -> None:
    path = tmp_path / "space.yaml"
    path.write_text(
        "language_version: 1\nname: t\ntask: {kind: image_classification, classes: 2}\n"
        "input: {channels: 3, resolution: 8}\nnetwork:\n"
        "  - block: conv_bn_act\n    out: 8\n    kernel: 6\n  - {block: image_head, out: '=clases'}\n"
    )
    with pytest.raises(SpaceError) as caught:
        load_file(path)
    assert [(problem.pointer, problem.line) for problem in caught.value.problems] == [
        ("/network/0/kernel", 8),
        ("/network/1/out", 9),
    ]
    assert "(line 8)" in str(caught.value)


def test_the_options_of_a_choice_may_be_a_list_that_is_named() -> None:
    stages = [{"kernels": [3, 5], "depths": [1]}, {"kernels": [5, 7, 9], "depths": [1, 2]}]
    body = [{"repeat": {"count": {"one_of": "=s.depths"}, "body": [conv(kernel={"one_of": "=s.kernels"})]}}]
    found = space([{"for_each": {"as": "s", "in": stages, "body": body}}])
    assert {gene.name: (gene.options, gene.ordered) for gene in found.genes} == {
        "s0.depth": ((1,), True),
        "s0.layer0.kernel": ((3, 5), True),
        "s1.depth": ((1, 2), True),
        "s1.layer0.kernel": ((5, 7, 9), True),
        "s1.layer1.kernel": ((5, 7, 9), True),
    }
    assert found.cardinality == 2 * (3 + 3**2)


def test_a_parameter_is_checked_where_its_block_exists() -> None:
    def sizes(*options: int) -> dict[str, Any]:
        body = [conv(kernel="=size"), conv(stride="=size // 3", out="=8 * (size // 3)")]
        return {"let": {"size": {"one_of": list(options)}}, "repeat": {"count": "=size > 0 ? 1 : 0", "body": body}}

    found = space([conv(), sizes(0, 3, 7)])
    assert found.cardinality == 3
    assert {value for part in found.envelopes().values() for value in part.params.get("kernel", ())} == {3, 7}
    with pytest.raises(SpaceError, match="kernel = 6: allowed are"):
        space([conv(), sizes(0, 3, 6)])


def test_weights_are_shared_in_one_list_of_nodes_or_in_the_document() -> None:
    for name, num_sets in (("gate", 4), ("./gate", 5)):
        pair = [conv(inputs=["x"], weights=name), conv(weights=name), conv(kernel=1, weights="./other")]
        layer = {"graph": {"inputs": ["x"], "body": pair}}
        found = space([conv(), {"repeat": {"count": 2, "body": [layer]}}])
        keys = [node.key for node in found.resolve(found.largest()).nodes if node.block == "conv_bn_act"]
        assert (len(keys), len(set(keys))) == (7, num_sets)
        plain = Supernet(found).extract(found.largest())
        assert sum(part.numel() for part in plain.parameters()) == found.costs(found.largest()[None])["params"][0]
    # Where one list uses them in two widths, a plain network has them twice, and so many are counted.
    nodes = [conv(out=n, kernel=k, inputs=["a"], weights="w") for n, k in ((CHOICE, 3), (12, {"one_of": [3, 5]}))]
    found = space([conv(name="a"), *nodes])
    for genes in found.enumerate():
        plain = Supernet(found).extract(genes)
        count = sum(part.numel() for part in plain.parameters())
        assert count == found.costs(genes[None])["params"][0] == found.resolve(genes).cost().params
    with pytest.raises(SpaceError, match="are the weights of a conv_bn_act, not of a pool"):
        space([conv(weights="./gate"), {"block": "pool", "weights": "./gate"}])


def test_a_fault_of_shapes_is_told_once_with_an_example() -> None:
    """Four widths meet five sizes at one node; the fault is in the node, not in the twenty combinations."""
    halved = conv(out="=in // 2 + 1", group_size=4, kernel={"one_of": [1, 3, 5]})
    with pytest.raises(SpaceError) as caught:
        space([conv(out="=w"), halved], let={"w": {"one_of": [6, 10, 14, 18]}})
    (problem,) = caught.value.problems
    assert problem.pointer == "/network/1"
    assert "group_size 4 must divide" in problem.message
    assert "for example at" in problem.message


def test_sets_of_many_nodes_that_may_be_absent() -> None:
    """Of 2 to 41 nodes any set but the empty one."""
    loop = {"repeat": {"count": {"int": [1, 40]}, "body": [conv(inputs=["x"])]}}
    last = {"block": "identity", "inputs": [{"choose": "earlier", "k": "any", "merge": "add"}]}
    found = space([conv(), {"graph": {"inputs": ["x"], "body": [loop, last]}}])
    assert found.cardinality == sum(2 ** (count + 1) - 1 for count in range(1, 41))
    rows = found.sample(30, np.random.default_rng(0))
    assert found.costs(rows)["macs"].tolist() == [found.resolve(row).cost().macs for row in rows]


def test_a_named_repeat_of_nothing_is_no_surprise() -> None:
    """Found by random changes of documents: a name on a node without any block behind it."""
    found = space([{"name": "none", "repeat": {"count": 0, "body": [conv()]}}, conv()])
    assert found.cardinality == 1
    with pytest.raises(SpaceError, match="whole number"):
        space([{"name": "bad", "sequence": [{"name": "worse", "repeat": {"count": "='a'", "body": [conv()]}}]}])
