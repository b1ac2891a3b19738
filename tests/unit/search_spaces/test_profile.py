"""Size of a space and where its largest network spends its multiply-accumulates."""

from __future__ import annotations

import pytest

from search_spaces.library_index import load_library
from search_spaces.views.describe import kind_of
from search_spaces.views.profile import least_work, most_work, profile_of
from tests.unit.search_spaces.builders import conv, space


def test_the_profile_of_a_known_family() -> None:
    family = load_library("nasbench201-cell")
    found = profile_of(family, num_samples=200)
    assert (found["cardinality"], found["log10_cardinality"]) == ("15625", 4.19)
    largest = family.resolve(most_work(family)).cost()
    every = family.costs(family.enumerate(), names=("macs",))["macs"]
    assert (found["costs"]["macs"]["minimum"], found["costs"]["macs"]["maximum"]) == (every.min(), every.max())
    assert largest.macs == every.max()
    assert found["costs"]["macs"]["minimum"] == family.resolve(family.smallest()).cost().macs
    assert found["costs"]["macs"]["minimum"] <= found["costs"]["macs"]["median"] <= found["costs"]["macs"]["maximum"]
    block = found["most_expensive_block"]
    assert block["block"] == "basic_block"
    assert block["share"] == pytest.approx(block["macs"] / largest.macs)


def test_a_tied_head_is_told_from_its_embedding() -> None:
    language_model = load_library("gpt-tiny")
    network = language_model.resolve(language_model.largest())
    assert network.nodes[0].key == network.nodes[-1].key
    assert [kind_of(node) for node in (network.nodes[0], network.nodes[-1])] == ["token_embedding", "language_head"]


def test_the_members_of_most_and_least_work_keep_the_constraints() -> None:
    """Operations have no order: the first is neither the smallest nor the largest."""
    layer = {
        "name": "op",
        "one_of": {
            "a": {"block": "conv_bn_act", "out": 8, "kernel": 3},
            "b": {"block": "conv_bn_act", "out": 8, "kernel": 5},
            "c": {"block": "identity"},
        },
    }
    found = space(
        [conv(out=8), {"repeat": {"count": 3, "body": [layer]}}],
        constraints=["=count(l in layers: l.op == 'b') <= 2", "=count(l in layers: l.op == 'c') <= 1"],
    )
    every = found.costs(found.enumerate(), names=("macs",))["macs"]
    for member, wanted in ((most_work(found), every.max()), (least_work(found), every.min())):
        assert found.valid(member).all()
        assert found.costs(member[None])["macs"][0] == wanted
