"""Attention of queries to keys and values that other nodes give: shapes and costs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from search_spaces.blocks.arithmetic import CALLED, Tally, both, flag, negate, require, where
from search_spaces.blocks.base import Block, BlockError, Cost, Param
from search_spaces.shapes import ImageShape, Shape, TokensShape, VectorShape, elements


def places(x: Shape, kind: str) -> tuple[Any, Any]:
    """(tokens or pixels, features or channels) of a sequence or a feature map; raises `BlockError` for a vector."""
    if isinstance(x, VectorShape):
        raise BlockError(f"{kind} needs sequences or feature maps as inputs, not {CALLED[VectorShape]}")
    return (x.height * x.width, x.channels) if isinstance(x, ImageShape) else (x.length, x.features)


class Attend(Block):
    """Each token or pixel of the queries takes the mean of the values, weighted by how like its query their keys are.

    No weights of its own: what makes queries, keys and values stands before it (linear layers, convolutions as in CvT,
    Wu et al. 2021; another node for cross-attention). `linear`: ReLU of queries and keys in place of the softmax, so
    that keys and values are summed up once and the work grows with the length, not with its square (Katharopoulos et
    al. 2020, arXiv 2006.16236; EfficientViT, Cai et al. 2023, arXiv 2205.14756).
    """

    kind = "attend"
    help = "Attention by itself: `inputs` are the nodes with queries, keys and values, sequences or feature maps."
    num_inputs = 3
    params: ClassVar = (
        Param("heads", "int", minimum=1, help="Attention heads; they divide the features of queries and values."),
        Param("linear", "bool", False, help="ReLU of queries and keys without softmax: work grows with the length."),
        Param("causal", "bool", False, help="A token sees itself and earlier ones only."),
    )

    def out_shape(self, inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Shape:
        (length, features), (seen, of_keys), (of_values, made) = (places(x, self.kind) for x in inputs)
        require(features == of_keys, "queries and keys need as many features, not {} and {}", features, of_keys)
        require(seen == of_values, "keys and values need as many tokens or pixels, not {} and {}", seen, of_values)
        for name, size in (("queries", features), ("values", made)):
            require(size % p["heads"] == 0, f"heads {{}} must divide the {{}} features of the {name}", p["heads"], size)
        ordered = (length == seen) | negate(p["causal"])
        require(ordered, "causal attention needs as many keys as queries, not {} and {}", seen, length)
        require(negate(both(p["causal"], p["linear"])), "linear attention sees all tokens: no causal: true with it")
        x = inputs[0]
        return ImageShape(made, x.height, x.width) if isinstance(x, ImageShape) else TokensShape(length, made)

    def sees_later(self, p: Mapping[str, Any]) -> Any:
        return flag(p["causal"]) == 0

    def cost(self, inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Cost:
        (length, features), (seen, _), (_, made) = (places(x, self.kind) for x in inputs)
        heads, linear = p["heads"], flag(p["linear"])
        summed = features * made // heads
        # Two products: the weights of every pair and then the values, or the keys with the values and then the queries.
        between = (1 - linear) * heads * length * seen + linear * summed
        tally = Tally(inputs)
        tally.macs = (1 - linear) * (features + made) * length * seen + linear * summed * (seen + length)
        tally.activations = between + length * made
        tally.hold(between)
        tally.branch(where(p["linear"], elements(inputs[0]), elements(inputs[2])))
        tally.emit(length * made)
        return tally.cost()
