"""Sub-layers of transformers: attention, feed-forward, mixers along the sequence. Shapes and costs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from search_spaces.blocks.arithmetic import (
    Tally,
    activation_param,
    both,
    flag,
    is_concrete,
    maximum,
    require,
    tokens,
    where,
)
from search_spaces.blocks.base import Block, BlockError, Cost, Param
from search_spaces.blocks.sequences import RMS_NORM, grid_side, norm_size
from search_spaces.shapes import Shape, TokensShape, elements

NORM = Param(
    "norm", "str", "pre", allowed=("pre", "post", "none"), help="Layer norm before the branch, or after the sum."
)
RESIDUAL = Param("residual", "bool", True, help="Add the input; else the output is the branch alone.")
DROPOUT = Param("dropout", "float", 0.0, minimum=0.0, maximum=0.9, help="Dropout on the branch.")
BIAS = Param("bias", "bool", True, help="Linear layers with bias.")


def begin(inputs: tuple[Shape, ...], x: TokensShape, p: Mapping[str, Any]) -> Tally:
    """The tally of a sub-layer up to its branch: the norm, and the input that is kept for the residual."""
    tally = Tally(inputs)
    tally.learn(norm_size(x, p), when=flag(p["norm"] != "none"))
    tally.emit(elements(x), when=flag(p["norm"] != "none"))
    tally.hold(flag(p["residual"]) * elements(x))
    return tally


def attended(length: Any, window: Any, causal: Any) -> tuple[Any, Any, Any]:
    """How attention works through a sequence: (pieces, tokens of a piece, tokens that each of these looks at)."""
    size = maximum(1, window)
    pieces, seen = (length - 1) // size + 1, (3 - flag(causal)) * size
    in_pieces = both(window > 0, pieces * size * seen < length * length)
    return where(in_pieces, pieces, 1), where(in_pieces, size, length), where(in_pieces, seen, length)


class SelfAttention(Block):
    """Multi-head self-attention with residual and layer norm.

    Queries, keys and values have heads x head_dim features, whatever the features of the tokens are.
    `similarity: weighted` puts one learned head_dim x head_dim matrix per head between query and key.
    `relative_positions: r` adds learned vectors of the row and column distance, clipped at r, to keys and
    values, shared by all heads, for a class token and a square of patches (iRPE as in AutoFormer, Chen et al. 2021).
    `distance_bias: r` adds a learned number for each head and distance in the sequence, clipped at r, to what the
    softmax sees (T5, Raffel et al. 2020, arXiv 1910.10683, whose layers share theirs).
    `rotary` turns each pair of features of queries and keys by an angle that grows with the position (Su et al. 2021,
    arXiv 2104.09864). With `kv_heads` several heads share one head of keys and values (Ainslie et al. 2023).
    With `window` w a token sees those at most w places away (Longformer, Beltagy et al. 2020; Mistral): the sequence is
    cut into pieces of w, of which each attends to itself and its neighbours, where that is less work than to all.
    """

    kind = "self_attention"
    help = "Multi-head self-attention with residual and layer norm."
    params: ClassVar = (
        Param("heads", "int", minimum=1, help="Attention heads."),
        Param("head_dim", "int", 64, minimum=1, help="Features of each head, for example `=in // heads`."),
        Param("kv_heads", "int", 0, minimum=0, help="Heads of keys and values, a divisor of `heads`; 0 for all."),
        Param("causal", "bool", False, help="A token sees itself and earlier ones only."),
        Param("window", "int", 0, minimum=0, help="How many places away a token sees others; 0 for all."),
        Param("rotary", "bool", False, help="Positions as rotations of queries and keys; needs an even `head_dim`."),
        Param("qk_norm", "bool", False, help="Norm of the queries and keys of each head (Gemma 3, Qwen 3)."),
        Param("similarity", "str", "scaled", allowed=("scaled", "weighted"), help="Scaled or weighted product."),
        Param(
            "relative_positions", "int", 0, minimum=0, help="Largest distance between patches told apart; 0 for none."
        ),
        Param(
            "distance_bias", "int", 0, minimum=0, help="Largest distance between tokens told apart (T5); 0 for none."
        ),
        BIAS,
        NORM,
        RESIDUAL,
        RMS_NORM,
        DROPOUT,
    )

    def out_shape(self, inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Shape:
        x = tokens(inputs, self.kind)
        kv_heads = where(p["kv_heads"] > 0, p["kv_heads"], p["heads"])
        require(p["heads"] % kv_heads == 0, "kv_heads {} must divide the {} heads", kv_heads, p["heads"])
        even = (p["head_dim"] % 2 == 0) | (p["rotary"] == False)  # noqa: E712 - may be an array
        require(even, "rotary needs an even head_dim, not {}", p["head_dim"])
        square = (grid_side(x.length) ** 2 + 1 == x.length) | (p["relative_positions"] == 0)
        if is_concrete(square) and not square:
            message = f"relative_positions need a class token and a square of patches, not {x.length} tokens"
            raise BlockError(message, "of texts and other sequences write distance_bias: 16, or rotary: true")
        require(square, "")
        ordered = (flag(p["causal"]) == 0) | (p["relative_positions"] == 0)
        require(ordered, "causal attention has no relative_positions: patches have no order")
        for name in ("relative_positions", "distance_bias"):
            require((p["window"] == 0) | (p[name] == 0), f"a window has no {name}")
        either = (p["distance_bias"] == 0) | (p["relative_positions"] == 0)
        require(either, "use either relative_positions or distance_bias")
        return x

    def sees_later(self, p: Mapping[str, Any]) -> Any:
        return flag(p["causal"]) == 0

    def cost(self, inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Cost:
        x = tokens(inputs, self.kind)
        heads, head_dim, bias = p["heads"], p["head_dim"], flag(p["bias"])
        relative = flag(p["relative_positions"] > 0)
        inner, shared = heads * head_dim, where(p["kv_heads"] > 0, p["kv_heads"], heads) * head_dim
        weighted = flag(p["similarity"] == "weighted")
        tally = begin(inputs, x, p)
        for features in (inner, shared, shared):
            tally.branch(elements(x))
            tally.linear(x.features, features, x.length, bias=bias)
            tally.hold(x.length * inner)  # shared keys and values are repeated for their heads
        tally.learn(2 * (2 - flag(p["rms_norm"])) * head_dim, when=flag(p["qk_norm"]))
        tally.branch(x.length * inner)
        tally.learn(heads * head_dim * head_dim, when=weighted)
        tally.matmul(x.length, head_dim, head_dim, heads, when=weighted)
        tally.branch(0)
        tally.learn(4 * (2 * p["relative_positions"] + 2) * head_dim, when=relative)
        tally.learn(heads * (2 * p["distance_bias"] + 1), when=flag(p["distance_bias"] > 0))
        pieces, piece, seen = attended(x.length, p["window"], p["causal"])
        tally.matmul(piece, head_dim, seen, heads * pieces)
        tally.matmul(x.length, head_dim, x.length, heads, when=relative)
        tally.matmul(piece, seen, head_dim, heads * pieces)
        tally.matmul(x.length, x.length, head_dim, heads, when=relative)
        tally.release(3 * x.length * inner)
        tally.linear(inner, x.features, x.length, bias=bias)
        return tally.cost()


class FeedForward(Block):
    """Two linear layers around an activation, with residual and layer norm.

    `gated`: the activation of a third linear layer of the input multiplies the first (Shazeer 2020, arXiv 2002.05202;
    with `swish` the SwiGLU of LLaMA).
    With several `experts` there are as many such pairs of layers, of which a router, one linear layer, picks `active`
    ones for each token by its softmax: that scales what one gives (Switch, Fedus et al. 2021, arXiv 2101.03961), or
    divided by their sum what several do (Mixtral, Jiang et al. 2024, arXiv 2401.04088). No loss balances the experts.
    """

    kind = "feed_forward"
    help = "Feed-forward layer with residual and layer norm."
    params: ClassVar = (
        Param("mid", "int", minimum=1, help="Hidden features, for example `=floor(in * ratio)`."),
        activation_param("gelu"),
        Param("gated", "bool", False, help="A third linear layer gates the first (GLU)."),
        Param("experts", "int", 1, minimum=1, maximum=64, help="Such layers side by side; a router picks (Mixtral)."),
        Param("active", "int", 1, minimum=1, help="How many of the experts each token passes."),
        BIAS,
        NORM,
        RESIDUAL,
        RMS_NORM,
        DROPOUT,
    )

    def out_shape(self, inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Shape:
        require(p["active"] <= p["experts"], "active {} must not be above the {} experts", p["active"], p["experts"])
        return tokens(inputs, self.kind)

    def cost(self, inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Cost:
        x = tokens(inputs, self.kind)
        bias, gated, hidden = flag(p["bias"]), flag(p["gated"]), x.length * p["mid"]
        experts, routed = p["experts"], flag(p["experts"] > 1)
        tally = begin(inputs, x, p)
        tally.linear(x.features, experts, x.length, bias=0, when=routed)
        tally.hold(routed * 2 * elements(x))  # the tokens of an expert, and the sum of what experts give

        def linear(d_in: Any, d_out: Any, when: Any = 1) -> None:
            # One expert at a time, through which all tokens may have to go.
            tally.linear(d_in, d_out, x.length, bias=bias, when=when)
            tally.macs = tally.macs + (p["active"] - 1) * when * x.length * d_in * d_out
            tally.activations = tally.activations + (p["active"] - 1) * when * x.length * d_out
            tally.learn((experts - 1) * (d_in * d_out + bias * d_out), when)

        tally.branch(elements(x))
        linear(x.features, p["mid"], gated)
        tally.hold(gated * hidden)
        tally.branch(elements(x))
        linear(x.features, p["mid"])
        tally.release(gated * hidden)
        linear(p["mid"], x.features)
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
        RESIDUAL,
    )

    def out_shape(self, inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Shape:
        return tokens(inputs, self.kind)

    def sees_later(self, p: Mapping[str, Any]) -> Any:
        return True

    def cost(self, inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Cost:
        x = tokens(inputs, self.kind)
        tally = begin(inputs, x, p)
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
        Param("kernel", "int", 5, allowed=(3, 5, 7, 9, 13), help="Kernel size, odd, padded to the same length."),
        Param("causal", "bool", False, help="A token sees itself and earlier ones only."),
        BIAS,
        NORM,
        RESIDUAL,
        RMS_NORM,
        DROPOUT,
    )

    def out_shape(self, inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Shape:
        return tokens(inputs, self.kind)

    def sees_later(self, p: Mapping[str, Any]) -> Any:
        return flag(p["causal"]) == 0

    def cost(self, inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Cost:
        x = tokens(inputs, self.kind)
        size, bias = elements(x), flag(p["bias"])
        tally = begin(inputs, x, p)
        tally.macs = tally.macs + size * p["kernel"]
        tally.activations = tally.activations + size
        tally.learn(x.features * p["kernel"] + bias * x.features)
        tally.emit(size)
        tally.linear(x.features, x.features, x.length, bias=bias)
        return tally.cost()


class PositionMixer(Block):
    """Linear layers along the sequence, the same for each feature: a learned mixture of all positions.

    One layer, as in the gate of gMLP (Liu et al. 2021, arXiv 2105.08050), or with `mid` two around an activation, as in
    MLP-Mixer (Tolstikhin et al. 2021, arXiv 2105.01601). No norm and no residual of its own.
    """

    kind = "position_mixer"
    help = "Linear layer along the sequence, or two around an activation (MLP-Mixer); sees all positions."
    params: ClassVar = (
        Param("mid", "int", 0, minimum=0, help="Hidden positions between two layers; 0 for one layer."),
        activation_param("gelu"),
        BIAS,
    )

    def out_shape(self, inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Shape:
        return tokens(inputs, self.kind)

    def sees_later(self, p: Mapping[str, Any]) -> Any:
        return True

    def cost(self, inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Cost:
        x = tokens(inputs, self.kind)
        bias, single = flag(p["bias"]), flag(p["mid"] == 0)
        tally = Tally(inputs)
        tally.linear(x.length, x.length, x.features, bias=bias, when=single)
        tally.linear(x.length, p["mid"], x.features, bias=bias, when=1 - single)
        tally.linear(p["mid"], x.length, x.features, bias=bias, when=1 - single)
        return tally.cost()
