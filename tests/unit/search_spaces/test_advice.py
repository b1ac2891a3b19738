"""What `nas space lint` says of documents that are valid, yet hardly meant so."""

from __future__ import annotations

from search_spaces.space import SearchSpace
from search_spaces.views.advice import advice_on
from tests.unit.search_spaces.builders import HEAD, conv, document, space
from tests.unit.search_spaces.test_documents import document as stored
from tests.unit.search_spaces.test_first_tries import CHOICE, FAMILIES, repeated


def test_advice_names_choices_without_effect_and_templates_without_use() -> None:
    raw = document([conv()], let={"spare": {"one_of": [1, 2]}, "used": {"one_of": [4, 8]}})
    raw["network"] = [conv(out="=used"), HEAD]
    raw["templates"] = {"nobody": {"body": [conv(block="no_such_block")]}}
    found = advice_on(SearchSpace.from_document(raw))
    assert [("spare" in item.message, item.pointer) for item in found] == [(True, ""), (False, "/templates/nobody")]
    assert not [item for name in FAMILIES for item in advice_on(stored(name))]


def test_advice_names_constraints_that_exclude_nothing() -> None:
    body = [{"name": "op", "one_of": [conv(), {"sequence": [conv(), conv()]}]}]
    text = "=all(l in layers: l.op != '{}')"
    for label, size, notes in (("sequence", 1, 0), ("conv_bn_act", 1, 0), ("conv", 4, 1)):
        found = space([{"repeat": {"count": 2, "body": body}}], constraints=[text.format(label)])
        assert (found.cardinality, len(advice_on(found))) == (size, notes)


def test_advice_names_weights_that_nothing_shares() -> None:
    block = conv(weights="./w")
    found = advice_on(space([repeated([block]), repeated([block, block])]))
    assert [(problem.pointer, problem.rule) for problem in found] == [("/network/0/repeat/body/0/weights", "weights")]


def test_advice_names_what_no_supernet_can_hold() -> None:
    widen = {"let": {"e": {"int": [3, 40]}}, "sequence": [conv(out="=in * e"), conv(out="=in // e")]}
    (found,) = advice_on(space([{"repeat": {"count": 3, "body": [widen]}}]))
    assert (found.rule, found.message[:25]) == ("limits", "no supernet can be made: ")


def test_advice_names_a_learned_scale_that_nothing_goes_around() -> None:
    alone, inside = (
        space([conv(), {"block": "layer_scale"}, {"block": "layer_scale", "start": 1}]),
        space([{"residual": [conv(out="=in"), {"block": "layer_scale"}]}]),
    )
    assert ([item.pointer for item in advice_on(alone)], advice_on(inside)) == (["/network/1"], [])


def test_advice_names_sets_of_one_node_and_widths_that_seem_ratios() -> None:
    lone = {"graph": {"body": [conv(name="a"), conv(inputs=[{"choose": ["a"], "k": "any", "merge": "add"}])]}}
    ratio = {"block": "mbconv", "out": 32, "mid": {"one_of": [3, 6]}}
    found = advice_on(space([conv(out=24), lone, conv(out=24), ratio, ratio]))
    assert [(item.pointer, item.rule) for item in found] == [
        ("/network/1/graph/body/1/inputs/0", "choose"),
        ("", "ratio"),
    ]
    assert advice_on(space([conv(), {"block": "mbconv", "out": 8, "mid": 6}])) == []


def test_advice_names_what_has_one_name() -> None:
    twice = space([conv(name="a", out=CHOICE, kernel={"one_of": [3, 5], "name": "w"}), conv(name="a"), conv(name="b")])
    assert [(item.pointer, item.message.split(" here")[0]) for item in advice_on(twice)] == [
        ("/network/0", "two choices"),
        ("/network/1", "two nodes"),
    ]


def test_advice_names_an_index_that_hides_the_one_around_it() -> None:
    for changes, places in (({}, ["/network/1/repeat/body/0/repeat"]), ({"index": "j"}, [])):
        once = {"count": "=more == 1 ? 1 : 0", "body": [conv(stride="=i == 0 ? 2 : 1")]} | changes
        found = space([conv(), {"repeat": {"count": 2, "body": [{"repeat": once}]}}], let={"more": {"one_of": [0, 1]}})
        assert [item.pointer for item in advice_on(found)] == places
