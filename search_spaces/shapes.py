"""Shapes of one example. The numbers may be int64 arrays of one length, for the vectorised cost pass."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any


@dataclass(frozen=True)
class ImageShape:
    """Feature map: channels x height x width."""

    channels: Any
    height: Any
    width: Any


@dataclass(frozen=True)
class TokensShape:
    """Sequence: length x features. A sequence of token ids has features 1."""

    length: Any
    features: Any


@dataclass(frozen=True)
class VectorShape:
    """Flat vector of features."""

    features: Any


Shape = ImageShape | TokensShape | VectorShape
SHAPE_KINDS: dict[str, type] = {"image": ImageShape, "tokens": TokensShape, "vector": VectorShape}


def elements(shape: Shape) -> Any:
    """Number of elements of one example of this shape."""
    if isinstance(shape, ImageShape):
        return shape.channels * shape.height * shape.width
    return shape.length * shape.features if isinstance(shape, TokensShape) else shape.features


def shape_to_json(shape: Shape) -> dict[str, Any]:
    """Wire form: the kind and the numbers."""
    kind = next(name for name, cls in SHAPE_KINDS.items() if isinstance(shape, cls))
    return {"kind": kind} | {field.name: int(getattr(shape, field.name)) for field in fields(shape)}


def shape_from_json(data: dict[str, Any]) -> Shape:
    """Inverse of `shape_to_json`."""
    numbers = {key: int(value) for key, value in data.items() if key != "kind"}
    shape: Shape = SHAPE_KINDS[data["kind"]](**numbers)
    return shape
