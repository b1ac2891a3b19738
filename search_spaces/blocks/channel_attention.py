"""Attention between the channels of a feature map: shapes and costs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from search_spaces.blocks.arithmetic import Tally, flag, image
from search_spaces.blocks.base import Block, Cost, Param
from search_spaces.blocks.hybrid import HEADS
from search_spaces.shapes import Shape, elements


class ChannelAttention(Block):
    """Self-attention in which each feature of a head is compared with the others, over all pixels.

    The work grows with the pixels, not with their square. XCiT (El-Nouby et al. 2021, arXiv 2106.09681), EdgeNeXt and
    Restormer: queries and keys of length 1 over the pixels, a learned sharpness for each head.
    """

    kind = "channel_attention"
    help = "Self-attention between the channels of a feature map (cross-covariance), with residual and layer norm."
    params: ClassVar = (
        HEADS,
        Param("head_dim", "int", 16, minimum=1, help="Features of each head, for example `=in // heads`."),
        Param("bias", "bool", True, help="Queries, keys and values with bias."),
    )

    def out_shape(self, inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Shape:
        return image(inputs, self.kind)

    def cost(self, inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Cost:
        x = image(inputs, self.kind)
        heads, head_dim, length = p["heads"], p["head_dim"], x.height * x.width
        inner = heads * head_dim
        tally = Tally(inputs)
        tally.learn(2 * x.channels + heads)
        tally.emit(elements(x))
        tally.hold(elements(x))
        for _ in range(3):
            tally.branch(elements(x))
            tally.linear(x.channels, inner, length, bias=flag(p["bias"]))
            tally.hold(length * inner)
        tally.branch(0)
        tally.matmul(head_dim, length, head_dim, heads)
        tally.matmul(head_dim, head_dim, length, heads)
        tally.release(3 * length * inner)
        tally.linear(inner, x.channels, length)
        return tally.cost()
