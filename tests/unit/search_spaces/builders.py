"""Short documents for tests of the language."""

from __future__ import annotations

from typing import Any

from search_spaces.space import SearchSpace

HEAD = {"block": "image_head", "name": "head", "out": "=classes"}


def conv(**changes: Any) -> dict[str, Any]:
    return {"block": "conv_bn_act", "out": 8, "kernel": 3} | changes


def document(network: list[Any], **changes: Any) -> dict[str, Any]:
    """A small image classifier around the given nodes."""
    return {
        "language_version": 1,
        "name": "test",
        "task": {"kind": "image_classification", "classes": 10},
        "input": {"channels": 3, "resolution": 16},
        "network": [*network, HEAD],
    } | changes


def space(network: list[Any], **changes: Any) -> SearchSpace:
    return SearchSpace.from_document(document(network, **changes))
