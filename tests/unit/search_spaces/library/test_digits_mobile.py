"""The smallest image family: it must be quick to train and wide in cost."""

from __future__ import annotations

from search_spaces.library_index import load_library
from tests.contracts.elastic_contract import ElasticContract


class TestDigitsMobile(ElasticContract):
    family = "digits-mobile"


class TestDigitsMobileOnOtherImages(ElasticContract):
    family = "digits-mobile"
    classes = 7
    input = {"channels": 3, "resolution": 12}  # noqa: RUF012 - a constant


def test_costs_spread_tenfold_over_thousands_of_architectures() -> None:
    space = load_library("digits-mobile")
    assert space.cardinality >= 5_000
    assert space.resolve(space.largest()).cost().macs >= 10 * space.resolve(space.smallest()).cost().macs
