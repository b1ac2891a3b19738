"""A flat search space made of the choice columns of a table: independent choices and no network to speak of."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from nas_service.errors import InvalidInput
from search_spaces.space import SearchSpace

MAX_OPTIONS = 256
_NOT_A_NAME = re.compile(r"[^A-Za-z0-9_]")


def flat_space(name: str, columns: Sequence[str], values: Sequence[set[Any]]) -> SearchSpace:
    """The space in which each column is a choice among its ``values``. Numbers are in order, texts by the alphabet.

    Its network is a placeholder, so its costs mean nothing. Raises InvalidInput for a column with too many values.
    """
    lets: dict[str, Any] = {}
    for column, found in zip(columns, values, strict=True):
        if len(found) > MAX_OPTIONS:
            raise InvalidInput.at(
                "/choices",
                f"column '{column}' has {len(found)} different values; a choice has at most {MAX_OPTIONS} options",
                suggestion="is it a result? then name it as a metric",
            )
        lets[_unique(gene_name(column), lets)] = {"one_of": sorted(found, key=_order)}
    return SearchSpace.from_document(
        {
            "language_version": 1,
            "name": name,
            "source": "Made of the choice columns of a table.",
            "task": {"kind": "image_classification", "classes": 2},
            "input": {"channels": 1, "resolution": 1},
            "let": lets,
            "network": [{"block": "image_head", "name": "placeholder", "out": 2}],
        }
    )


def gene_name(column: str) -> str:
    """The name that the language allows for a column."""
    name = _NOT_A_NAME.sub("_", column)[:60]
    return name if not name[0].isdigit() else f"c{name}"


def _unique(name: str, taken: dict[str, Any]) -> str:
    found, count = name, 2
    while found in taken:
        found, count = f"{name}_{count}", count + 1
    return found


def _order(value: Any) -> tuple[int, Any]:
    if isinstance(value, bool):
        return (0, value)
    return (1, value) if isinstance(value, int | float) else (2, value)
