"""Blocks that make, project and read out sequences: embeddings, norm, projection, heads. Shapes and costs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from search_spaces.blocks.arithmetic import Tally, flag, image, require, strided, tokens, where, whole
from search_spaces.blocks.base import Block, Cost, Param
from search_spaces.shapes import Shape, TokensShape, VectorShape, elements

FEATURES = Param("features", "int", minimum=1, help="Features of each token.")
VOCABULARY = Param("vocabulary", "int", minimum=1, help="Number of token ids.", follows="vocabulary")
POSITIONS = Param("positions", "bool", True, help="Add a learned vector for each position.")
DROPOUT = Param("dropout", "float", 0.0, minimum=0.0, maximum=0.9, help="Dropout.")
RMS_NORM = Param("rms_norm", "bool", False, help="Norm by the root mean square, without mean and bias (LLaMA).")


def norm_size(x: TokensShape, p: Mapping[str, Any]) -> Any:
    """Learned numbers of a norm over the features of a token."""
    return (2 - flag(p.get("rms_norm", False))) * x.features


class PatchEmbedding(Block):
    """Cut an image into square patches, one token each; optional class token first; learned positions."""

    kind = "patch_embedding"
    help = "Image to sequence: one token a patch, optional class token and learned positions."
    selected: ClassVar = ("patch",)
    params: ClassVar = (
        FEATURES,
        Param("patch", "int", 16, minimum=1, help="Side of a patch in pixels; divides height and width."),
        Param("class_token", "bool", True, help="Put a learned token in front."),
        POSITIONS,
        DROPOUT,
    )

    def out_shape(self, inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Shape:
        x = image(inputs, self.kind)
        divides = (x.height % p["patch"] == 0) & (x.width % p["patch"] == 0)
        require(divides, "patch {} must divide the {} x {} input", p["patch"], x.height, x.width)
        count = (x.height // p["patch"]) * (x.width // p["patch"])
        return TokensShape(count + flag(p["class_token"]), p["features"])

    def cost(self, inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Cost:
        x = image(inputs, self.kind)
        rows, columns = x.height // p["patch"], x.width // p["patch"]
        tally = Tally(inputs)
        tally.conv(x.channels, p["features"], p["patch"], rows, columns, bias=1)
        tally.learn(p["features"], when=flag(p["class_token"]))
        length = rows * columns + flag(p["class_token"])
        tally.emit(length * p["features"])
        tally.learn(length * p["features"], when=flag(p["positions"]))
        return tally.cost()


class TokenEmbedding(Block):
    """Token ids to vectors, plus learned positions. No multiply-accumulates: rows are looked up.

    Applied to vectors, as a tied `language_head` does it, the same weights give the logits of every token id.
    """

    kind = "token_embedding"
    help = "Token ids to vectors, with learned positions."
    params: ClassVar = (
        FEATURES,
        VOCABULARY,
        POSITIONS,
        DROPOUT,
    )

    def out_shape(self, inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Shape:
        x = tokens(inputs, self.kind)
        looks_up = x.features == 1
        require(
            looks_up | (x.features == p["features"]),
            "the weights of this embedding read token ids or {} features, not {}",
            p["features"],
            x.features,
        )
        return TokensShape(x.length, where(looks_up, p["features"], p["vocabulary"]))

    def cost(self, inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Cost:
        x = tokens(inputs, self.kind)
        looks_up = flag(x.features == 1)
        tally = Tally(inputs)
        tally.learn(p["vocabulary"] * p["features"])
        tally.learn(x.length * p["features"], when=flag(p["positions"]))
        tally.emit(x.length * p["features"], when=looks_up)
        tally.matmul(x.length, p["features"], p["vocabulary"], when=1 - looks_up)
        return tally.cost()


class LearnedTokens(Block):
    """Learned tokens, whatever the input is: queries of attention that sums a sequence up.

    Perceiver (Jaegle et al. 2021, arXiv 2103.03206), pooling by attention, the class attention of CaiT.
    """

    kind = "learned_tokens"
    help = "Learned tokens, whatever the input is, as queries of an `attend` (Perceiver, pooling by attention)."
    params: ClassVar = (Param("length", "int", minimum=1, help="How many tokens."), FEATURES)

    def out_shape(self, inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Shape:
        return TokensShape(p["length"], p["features"])

    def cost(self, inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Cost:
        tally = Tally(inputs)
        tally.learn(p["length"] * p["features"])
        tally.emit(p["length"] * p["features"])
        return tally.cost()


class TokenNorm(Block):
    """Layer norm over the features of each token."""

    kind = "token_norm"
    help = "Layer norm of each token."
    params: ClassVar = (RMS_NORM,)

    def out_shape(self, inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Shape:
        return tokens(inputs, self.kind)

    def cost(self, inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Cost:
        x = tokens(inputs, self.kind)
        tally = Tally(inputs)
        tally.learn(norm_size(x, p))
        tally.emit(elements(x))
        return tally.cost()


class TokenProjection(Block):
    """Linear layer on each token, as between layers of different hidden size."""

    kind = "token_projection"
    help = "Linear layer on each token."
    params: ClassVar = (FEATURES, Param("bias", "bool", True, help="With bias."))

    def out_shape(self, inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Shape:
        return TokensShape(tokens(inputs, self.kind).length, p["features"])

    def cost(self, inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Cost:
        x = tokens(inputs, self.kind)
        tally = Tally(inputs)
        tally.linear(x.features, p["features"], x.length, bias=flag(p["bias"]))
        return tally.cost()


class TokenReduction(Block):
    """Residual spatial reduction of ViT-ResNAS (Liao et al. 2021, arXiv 2109.00642).

    A class token and a square of patch tokens become the class token and a square of half the side.
    Patches: layer norm, 3x3 convolution at stride 2, learned positions, plus the 2x2 average of the
    input. Class token: layer norm, linear layer, plus itself. Added features of the shortcut are zero.
    """

    kind = "token_reduction"
    help = "Halve the side of a square of patch tokens behind a class token, with residual."
    params: ClassVar = (FEATURES,)

    def out_shape(self, inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Shape:
        x = tokens(inputs, self.kind)
        side, features = grid_side(x.length), p["features"]
        square = (side * side + 1 == x.length) & (side % 2 == 0)
        require(square, "token_reduction needs a class token and a square of even side, not {} tokens", x.length)
        require(features >= x.features, "features {} must not be below the input's {}", features, x.features)
        return TokensShape((x.length - 1) // 4 + 1, p["features"])

    def sees_later(self, p: Mapping[str, Any]) -> Any:
        return True

    def cost(self, inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Cost:
        x = tokens(inputs, self.kind)
        side, features = grid_side(x.length) // 2, p["features"]
        tally = Tally(inputs)
        tally.learn(2 * x.features)
        tally.emit(elements(x))
        tally.hold(elements(x))
        tally.conv(x.features, features, 3, side, side, bias=1)
        tally.learn(side * side * features)
        tally.hold(side * side * features)
        tally.branch(x.features)
        tally.linear(x.features, features)
        return tally.cost()


def grid_side(length: Any) -> Any:
    """Side of the square of patches in a sequence of one class token and the patches."""
    return whole((length - 1) ** 0.5 + 1e-9)


class SequencePool(Block):
    """A vector of a sequence: its first token, or the mean or maximum of all."""

    kind = "sequence_pool"
    help = "Sequence to vector: average or maximum of its tokens, or the first of them."
    params: ClassVar = (
        Param("operation", "str", "avg", allowed=("avg", "max", "first"), help="Average, maximum or the first token."),
    )

    def out_shape(self, inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Shape:
        return VectorShape(tokens(inputs, self.kind).features)

    def sees_later(self, p: Mapping[str, Any]) -> Any:
        return True

    def cost(self, inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Cost:
        tally = Tally(inputs)
        tally.emit(tokens(inputs, self.kind).features)
        return tally.cost()


class TokenPool(Block):
    """Every so many tokens become one; a shorter window at the end counts its own (Funnel, Dai et al. 2020)."""

    kind = "token_pool"
    help = "Sequence to a shorter one: mean or maximum of every `size` neighbours."
    params: ClassVar = (
        Param("size", "int", 2, minimum=1, maximum=64, help="Tokens that become one."),
        Param("operation", "str", "avg", allowed=("avg", "max"), help="Average or maximum."),
    )

    def out_shape(self, inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Shape:
        x = tokens(inputs, self.kind)
        return TokensShape(strided(x.length, p["size"]), x.features)

    def sees_later(self, p: Mapping[str, Any]) -> Any:
        return p["size"] > 1

    def cost(self, inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Cost:
        tally = Tally(inputs)
        tally.emit(elements(self.out_shape(inputs, p)))
        return tally.cost()


class SequenceHead(Block):
    """Class logits from the first token, or the mean or maximum of all."""

    kind = "sequence_head"
    help = "Pool a sequence (first token, mean or maximum) and classify."
    params: ClassVar = (
        Param("out", "int", minimum=1, help="Number of classes, `=classes`."),
        Param("pool", "str", "first", allowed=("first", "mean", "max"), help="Which vector is classified."),
        DROPOUT,
    )

    def out_shape(self, inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Shape:
        tokens(inputs, self.kind)
        return VectorShape(p["out"])

    def sees_later(self, p: Mapping[str, Any]) -> Any:
        return True

    def cost(self, inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Cost:
        x = tokens(inputs, self.kind)
        tally = Tally(inputs)
        tally.emit(x.features)
        tally.linear(x.features, p["out"])
        return tally.cost()


class LanguageHead(Block):
    """Logits over the vocabulary at every position."""

    kind = "language_head"
    help = "Vocabulary logits at every position."
    params: ClassVar = (
        VOCABULARY,
        Param("bias", "bool", False, help="With bias."),
    )

    def out_shape(self, inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Shape:
        return TokensShape(tokens(inputs, self.kind).length, p["vocabulary"])

    def cost(self, inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Cost:
        x = tokens(inputs, self.kind)
        tally = Tally(inputs)
        tally.linear(x.features, p["vocabulary"], x.length, bias=flag(p["bias"]))
        return tally.cost()
