"""Blocks on flat vectors, such as the rows of a table: linear, residual mlp, feature tokens, head. Shapes and costs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from search_spaces.blocks.arithmetic import CALLED, Tally, activation_param, flag
from search_spaces.blocks.base import Block, BlockError, Cost, Param
from search_spaces.shapes import Shape, TokensShape, VectorShape

DROPOUT = Param("dropout", "float", 0.0, minimum=0.0, maximum=0.9, help="Dropout.")


def vector(shapes: tuple[Shape, ...], kind: str) -> VectorShape:
    """The first input as a flat vector; raises `BlockError` for any other kind of value."""
    if not isinstance(shapes[0], VectorShape):
        raise BlockError(f"{kind} needs a vector as input, not {CALLED[type(shapes[0])]}", "put a flatten before it")
    return shapes[0]


class Linear(Block):
    """Linear layer, optional layer norm, activation, dropout."""

    kind = "linear"
    help = "Linear layer on a vector, optional layer norm, activation."
    params: ClassVar = (
        Param("out", "int", minimum=1, help="Features of the output."),
        Param("norm", "bool", True, help="Layer norm after the linear layer."),
        activation_param("relu"),
        DROPOUT,
    )

    def out_shape(self, inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Shape:
        vector(inputs, self.kind)
        return VectorShape(p["out"])

    def cost(self, inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Cost:
        x = vector(inputs, self.kind)
        tally = Tally(inputs)
        tally.linear(x.features, p["out"])
        tally.learn(2 * p["out"], when=flag(p["norm"]))
        return tally.cost()


class ResidualMLP(Block):
    """Layer norm, linear, activation, linear, with residual (the ResNet of Gorishniy et al. 2021, arXiv:2106.11959).

    Layer norm in place of the paper's batch norm: nothing then needs calibration when weights are shared.
    """

    kind = "residual_mlp"
    help = "Two linear layers around an activation on a vector, with layer norm before them and residual."
    params: ClassVar = (
        Param("mid", "int", minimum=1, help="Hidden features, for example `=in * ratio`."),
        activation_param("relu"),
        DROPOUT,
    )

    def out_shape(self, inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Shape:
        return vector(inputs, self.kind)

    def cost(self, inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Cost:
        x = vector(inputs, self.kind)
        tally = Tally(inputs)
        tally.learn(2 * x.features)
        tally.emit(x.features)
        tally.hold(x.features)
        tally.linear(x.features, p["mid"])
        tally.linear(p["mid"], x.features)
        return tally.cost()


class FeatureTokens(Block):
    """Each number becomes a token: its value times one learned vector plus another (FT-Transformer, arXiv:2106.11959).

    No multiply-accumulates are counted: scaling a vector is no matrix product.
    """

    kind = "feature_tokens"
    help = "Vector to sequence: one token a feature, optional class token in front."
    params: ClassVar = (
        Param("features", "int", minimum=1, help="Features of each token."),
        Param("class_token", "bool", True, help="Put a learned token in front."),
    )

    def out_shape(self, inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Shape:
        return TokensShape(vector(inputs, self.kind).features + flag(p["class_token"]), p["features"])

    def cost(self, inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Cost:
        x = vector(inputs, self.kind)
        tally = Tally(inputs)
        tally.learn(2 * x.features * p["features"])
        tally.learn(p["features"], when=flag(p["class_token"]))
        tally.emit((x.features + flag(p["class_token"])) * p["features"])
        return tally.cost()


class VectorHead(Block):
    """Class logits from a vector: optional layer norm and activation, dropout, linear classifier."""

    kind = "vector_head"
    help = "Classify a vector: optional layer norm and activation, linear classifier."
    params: ClassVar = (
        Param("out", "int", minimum=1, help="Number of classes, `=classes`."),
        Param("norm", "bool", False, help="Layer norm first, as after residual blocks."),
        activation_param("none"),
        DROPOUT,
    )

    def out_shape(self, inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Shape:
        vector(inputs, self.kind)
        return VectorShape(p["out"])

    def cost(self, inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Cost:
        x = vector(inputs, self.kind)
        tally = Tally(inputs)
        norm = flag(p["norm"])
        tally.learn(2 * x.features, when=norm)
        tally.emit(x.features, when=norm)
        tally.linear(x.features, p["out"])
        return tally.cost()
