"""Residual sub-layers of transformers: attention, feed-forward, fixed transforms, convolution. Shapes and costs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from search_spaces.blocks.arithmetic import Tally, activation_param, flag, is_concrete, require, tokens
from search_spaces.blocks.base import Block, Cost, Param
from search_spaces.blocks.sequences import grid_side
from search_spaces.network import Shape, elements

NORM = Param("norm", "str", "pre", allowed=("pre", "post"), help="Layer norm before the branch or after the sum.")
DROPOUT = Param("dropout", "float", 0.0, minimum=0.0, maximum=0.9, help="Dropout on the branch.")
BIAS = Param("bias", "bool", True, help="Linear layers with bias.")


class SelfAttention(Block):
    """Multi-head self-attention with residual and layer norm.

    Queries, keys and values have heads x head_dim features, whatever the features of the tokens are.
    `similarity: weighted` puts one learned head_dim x head_dim matrix per head between query and key.
    `relative_positions: r` adds learned vectors of the row and column distance, clipped at r, to keys and
    values, shared by all heads, for a class token and a square of patches (iRPE as in AutoFormer, Chen et al. 2021).
    """

    kind = "self_attention"
    help = "Multi-head self-attention with residual and layer norm."
    params: ClassVar = (
        Param("heads", "int", minimum=1, help="Attention heads."),
        Param("head_dim", "int", 64, minimum=1, help="Features of each head, for example `=in // heads`."),
        Param("causal", "bool", False, help="A token sees itself and earlier ones only."),
        Param("similarity", "str", "scaled", allowed=("scaled", "weighted"), help="Scaled or weighted product."),
        Param(
            "relative_positions", "int", 0, minimum=0, help="Largest distance between patches told apart; 0 for none."
        ),
        BIAS,
        NORM,
        DROPOUT,
    )

    def out_shape(self, inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Shape:
        x = tokens(inputs, self.kind)
        if is_concrete(x.length, p["relative_positions"]) and p["relative_positions"]:
            square = grid_side(x.length) ** 2 + 1 == x.length
            require(square, f"relative_positions need a class token and a square of patches, not {x.length} tokens")
        return x

    def cost(self, inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Cost:
        x = tokens(inputs, self.kind)
        heads, head_dim, bias = p["heads"], p["head_dim"], flag(p["bias"])
        relative = flag(p["relative_positions"] > 0)
        inner = heads * head_dim
        weighted = flag(p["similarity"] == "weighted")
        tally = Tally(inputs)
        tally.learn(2 * x.features)
        tally.emit(elements(x))
        tally.hold(elements(x))
        for _ in range(3):
            tally.branch(elements(x))
            tally.linear(x.features, inner, x.length, bias=bias)
            tally.hold(x.length * inner)
        tally.branch(x.length * inner)
        tally.learn(heads * head_dim * head_dim, when=weighted)
        tally.matmul(x.length, head_dim, head_dim, heads, when=weighted)
        tally.branch(0)
        tally.learn(4 * (2 * p["relative_positions"] + 2) * head_dim, when=relative)
        tally.matmul(x.length, head_dim, x.length, heads)
        tally.matmul(x.length, head_dim, x.length, heads, when=relative)
        tally.matmul(x.length, x.length, head_dim, heads)
        tally.matmul(x.length, x.length, head_dim, heads, when=relative)
        tally.release(3 * x.length * inner)
        tally.linear(inner, x.features, x.length, bias=bias)
        return tally.cost()


class FeedForward(Block):
    """Two linear layers around an activation, with residual and layer norm."""

    kind = "feed_forward"
    help = "Feed-forward layer with residual and layer norm."
    params: ClassVar = (
        Param("mid", "int", minimum=1, help="Hidden features, for example `=floor(in * ratio)`."),
        activation_param("gelu"),
        BIAS,
        NORM,
        DROPOUT,
    )

    def out_shape(self, inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Shape:
        return tokens(inputs, self.kind)

    def cost(self, inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Cost:
        x = tokens(inputs, self.kind)
        bias = flag(p["bias"])
        tally = Tally(inputs)
        tally.learn(2 * x.features)
        tally.emit(elements(x))
        tally.hold(elements(x))
        tally.linear(x.features, p["mid"], x.length, bias=bias)
        tally.linear(p["mid"], x.features, x.length, bias=bias)
        return tally.cost()


class TransformMixer(Block):
    """Fixed cosine or Fourier transform over positions and features, with residual and layer norm.

    Fourier: real part of the two-dimensional transform (FNet, Lee-Thorp et al. 2021). Executed as
    matrix products, and counted so.
    """

    kind = "transform_mixer"
    help = "Fourier or cosine transform over positions and features, with residual and layer norm."
    params: ClassVar = (
        Param("transform", "str", "dft", allowed=("dft", "dct"), help="Fourier or cosine transform."),
        NORM,
    )

    def out_shape(self, inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Shape:
        return tokens(inputs, self.kind)

    def cost(self, inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Cost:
        x = tokens(inputs, self.kind)
        tally = Tally(inputs)
        tally.learn(2 * x.features)
        tally.emit(elements(x))
        tally.hold(elements(x))
        fourier = flag(p["transform"] == "dft")
        tally.matmul(x.length, x.length, x.features)
        tally.matmul(x.length, x.features, x.features)
        tally.hold(fourier * elements(x))
        tally.matmul(x.length, x.length, x.features, when=fourier)
        tally.matmul(x.length, x.features, x.features, when=fourier)
        return tally.cost()


class ConvMixer(Block):
    """Depth-wise convolution along the sequence and a linear layer, with residual and layer norm."""

    kind = "conv_mixer"
    help = "Convolution along the sequence, with residual and layer norm."
    params: ClassVar = (
        Param("kernel", "int", 5, allowed=(3, 5, 7, 9, 13), help="Kernel size, odd, same padding."),
        BIAS,
        NORM,
        DROPOUT,
    )

    def out_shape(self, inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Shape:
        return tokens(inputs, self.kind)

    def cost(self, inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Cost:
        x = tokens(inputs, self.kind)
        size, bias = elements(x), flag(p["bias"])
        tally = Tally(inputs)
        tally.learn(2 * x.features)
        tally.emit(size)
        tally.hold(size)
        tally.macs = tally.macs + size * p["kernel"]
        tally.activations = tally.activations + size
        tally.learn(x.features * p["kernel"] + bias * x.features)
        tally.emit(size)
        tally.linear(x.features, x.features, x.length, bias=bias)
        return tally.cost()
