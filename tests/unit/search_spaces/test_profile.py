"""Size of a space and where its largest network spends its multiply-accumulates."""

from __future__ import annotations

import pytest

from search_spaces.library_index import load_library
from search_spaces.profile import profile_of


def test_the_profile_of_a_known_family() -> None:
    space = load_library("nasbench201-cell")
    found = profile_of(space, num_samples=200)
    assert (found["cardinality"], found["log10_cardinality"]) == ("15625", 4.19)
    largest = space.resolve(space.largest()).cost()
    assert found["costs"]["macs"]["minimum"] == space.resolve(space.smallest()).cost().macs
    assert found["costs"]["macs"]["minimum"] <= found["costs"]["macs"]["median"] <= found["costs"]["macs"]["maximum"]
    block = found["most_expensive_block"]
    assert block["block"] == "basic_block"
    assert block["share"] == pytest.approx(block["macs"] / largest.macs)
