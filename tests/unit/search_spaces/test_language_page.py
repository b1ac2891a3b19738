"""The page that describes the language: its examples compile, and its table lists the blocks as they are."""

from __future__ import annotations

import re

import pytest

from search_spaces.language.expressions import parse_expression
from search_spaces.language.grammar import NODE_KINDS
from search_spaces.language.operations import FUNCTIONS
from search_spaces.language.reader import read_text
from search_spaces.reference import PAGE, page_with_table
from search_spaces.space import SearchSpace
from tests.unit.search_spaces.builders import conv, space

TEXT = PAGE.read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```yaml\n(.*?)```", TEXT, flags=re.DOTALL)


def test_the_table_of_blocks_is_current() -> None:
    assert page_with_table(TEXT) == TEXT, "run: python -m search_spaces.reference"


def test_the_complete_example_has_the_size_it_says() -> None:
    assert SearchSpace.from_document(EXAMPLES[0]).cardinality == 7_056


def test_the_graph_example_compiles() -> None:
    nodes = read_text("nodes:\n" + EXAMPLES[1])["nodes"]
    found = space([conv(), *nodes])
    # 1 to 4 nodes that read one of 2, 3, ... earlier ones; then any of two
    assert found.cardinality == (2 + 2 * 3 + 2 * 3 * 4 + 2 * 3 * 4 * 5) * 3


@pytest.mark.parametrize("word", [*NODE_KINDS, *FUNCTIONS, "choose", "loose_ends", "weights_per", "share", "many_of"])
def test_every_word_of_the_language_is_described(word: str) -> None:
    assert re.search(rf"\b{word}\b", TEXT)


def test_expressions_of_the_page_are_read() -> None:
    for text in re.findall(r'"(=[^"]+)"', TEXT):
        if text != "=...":
            parse_expression(text)


def test_recipes_of_the_page() -> None:
    found = space(
        [
            {
                "for_each": {
                    "as": "stage",
                    "in": [{"out": 8, "stride": 1}, {"out": 16, "stride": 2}],
                    "body": [
                        {
                            "let": {"kernel": {"one_of": [3, 5]}},
                            "repeat": {
                                "count": {"one_of": [1, 2]},
                                "body": [
                                    conv(
                                        out="=round8(stage.out * width)",
                                        kernel="=kernel",
                                        stride="=i == 0 ? stage.stride : 1",
                                    )
                                ],
                            },
                        },
                        {"name": "skip", "one_of": {"skip": {"block": "identity"}, "conv": conv(out="=in")}},
                        {
                            "name": "between",
                            "repeat": {"count": "=stage.index < 1 ? 1 : 0", "body": [{"block": "bn_relu"}]},
                        },
                    ],
                }
            }
        ],
        let={"width": {"float": [0.5, 1.0], "levels": 3}},
    )
    assert found.cardinality == 3 * (2 * 2 * 2) ** 2
    assert sum(node.block == "bn_relu" for node in found.resolve(found.largest()).nodes) == 1
