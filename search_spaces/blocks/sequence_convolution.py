"""Convolution along a sequence to any number of features: shapes and costs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from search_spaces.blocks.arithmetic import (
    DILATION,
    GROUP_SIZE,
    Tally,
    activation_param,
    flag,
    group_of,
    strided,
    tokens,
)
from search_spaces.blocks.base import Block, Cost, Param
from search_spaces.blocks.sequences import FEATURES
from search_spaces.shapes import Shape, TokensShape


class SequenceConv(Block):
    """Convolution along the sequence, as long as before or shorter by a stride, then layer norm (or none), activation.

    The filters of text classification (Kim 2014, arXiv 1408.5882); dilated and causal those of TCN (Bai et al. 2018,
    arXiv 1803.01271). An even kernel sees one later token more.
    """

    kind = "sequence_conv"
    help = "Convolution along the sequence to any number of features, optional layer norm, activation."
    params: ClassVar = (
        FEATURES,
        Param("kernel", "int", 3, minimum=1, maximum=1_023, help="Kernel size in tokens, odd or even, same length."),
        Param("stride", "int", 1, minimum=1, maximum=64, help="Tokens that become one."),
        Param("causal", "bool", False, help="A token sees itself and earlier ones only."),
        activation_param(),
        Param("norm", "bool", False, help="Layer norm of each token after the convolution."),
        Param("bias", "bool", True, help="Convolution with bias."),
        GROUP_SIZE,
        DILATION,
    )

    def out_shape(self, inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Shape:
        x = tokens(inputs, self.kind)
        group_of(x.features, p["features"], p, "features")
        return TokensShape(strided(x.length, p["stride"]), p["features"])

    def sees_later(self, p: Mapping[str, Any]) -> Any:
        return ((flag(p["causal"]) == 0) & (p["kernel"] > 1)) | (p["stride"] > 1)

    def cost(self, inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Cost:
        x = tokens(inputs, self.kind)
        tally = Tally(inputs)
        seen = group_of(x.features, p["features"], p, "features")
        tally.linear(p["kernel"] * seen, p["features"], strided(x.length, p["stride"]), bias=flag(p["bias"]))
        tally.learn(2 * p["features"], when=flag(p["norm"]))
        return tally.cost()
