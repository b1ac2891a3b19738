"""Arithmetic shared by the cost formulas: works on Python numbers and on equal-length NumPy arrays."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np

from search_spaces.blocks.base import BlockError, Cost, Param
from search_spaces.shapes import ImageShape, Shape, TokensShape, VectorShape, elements

CALLED = {ImageShape: "a feature map", TokensShape: "a sequence", VectorShape: "a vector"}
ACTIVATIONS = (
    *("none", "relu", "relu6", "leaky_relu", "elu", "selu", "mish", "hswish", "swish", "gelu", "tanh"),
    *("sigmoid", "hsigmoid"),
)


# What does of sequences what a block does of feature maps.
OTHERS = "sequence_conv or conv_mixer convolve, self_attention attends, sequence_head classifies"
OF_SEQUENCES = {
    "bn_relu": "token_norm, then an activation",
    "map_norm": "token_norm",
    "pool": "token_pool, whose windows stand side by side",
    "global_pool": "sequence_pool",
    "image_head": "sequence_head",
    "map_attention": "self_attention",
    "map_feed_forward": "feed_forward",
}


def is_concrete(*values: Any) -> bool:
    """True when no value is an array, so that a check has one answer."""
    return np.ndarray not in map(type, values)  # asked so often that a loop would show


_noted: ContextVar[list[Any] | None] = ContextVar("noted", default=None)


@contextmanager
def noting() -> Iterator[list[Any]]:
    """Collects the conditions on arrays that `require` is given inside."""
    found: list[Any] = []
    token = _noted.set(found)
    try:
        yield found
    finally:
        _noted.reset(token)


def require(condition: Any, message: str, *values: Any) -> None:
    """Raise `BlockError` when a concrete condition is false; arrays pass, for whoever is `noting` them to judge.

    The values stand for the braces of the message.
    """
    if not is_concrete(condition):
        noted = _noted.get()
        if noted is not None:
            noted.append(condition)
    elif not condition:
        raise BlockError(message.format(*values) if values else message)


def flag(value: Any) -> Any:
    """0 or 1 (int, or int64 array) from a truth value."""
    return value.astype(np.int64) if isinstance(value, np.ndarray) else int(bool(value))


def where(condition: Any, yes: Any, no: Any) -> Any:
    """`yes if condition else no`, element by element for arrays."""
    if is_concrete(condition):
        return yes if condition else no
    return np.where(condition, yes, no)


def maximum(*values: Any) -> Any:
    """Largest value, element by element for arrays."""
    best = values[0]
    for value in values[1:]:
        best = max(best, value) if is_concrete(best, value) else np.maximum(best, value)
    return best


def both(*conditions: Any) -> Any:
    """Logical and of scalars or boolean arrays."""
    result = conditions[0]
    for condition in conditions[1:]:
        if is_concrete(result, condition):
            result = bool(result) and bool(condition)
        else:
            result = np.logical_and(result, condition)
    return result


def negate(condition: Any) -> Any:
    """Logical not of a scalar or boolean array."""
    return not condition if is_concrete(condition) else np.logical_not(condition)


def whole(value: Any) -> Any:
    """Truncate a non-negative number to an integer (int, or int64 array)."""
    return value.astype(np.int64) if isinstance(value, np.ndarray) else int(value)


def round8(value: Any) -> Any:
    """Nearest multiple of 8, at least 8, never more than 10 % below `value` (the MobileNet convention)."""
    rounded = maximum(8, whole(value + 4) // 8 * 8)
    return where(rounded < 0.9 * value, rounded + 8, rounded)


def strided(size: Any, stride: Any) -> Any:
    """Output size of a convolution with odd kernel and same padding: ceil(size / stride)."""
    return (size - 1) // stride + 1


def image(shapes: tuple[Shape, ...], kind: str) -> ImageShape:
    """The first input as a feature map; raises `BlockError` for any other kind of value."""
    if not isinstance(shapes[0], ImageShape):
        hint = f"of sequences: {OF_SEQUENCES.get(kind, OTHERS)}" if isinstance(shapes[0], TokensShape) else ""
        raise BlockError(f"{kind} needs a feature map as input, not {CALLED[type(shapes[0])]}", hint)
    return shapes[0]


def tokens(shapes: tuple[Shape, ...], kind: str) -> TokensShape:
    """The first input as a sequence; raises `BlockError` for any other kind of value."""
    if not isinstance(shapes[0], TokensShape):
        hint = "put a patch_embedding or map_tokens before it" if isinstance(shapes[0], ImageShape) else ""
        raise BlockError(f"{kind} needs a sequence as input, not {CALLED[type(shapes[0])]}", hint)
    return shapes[0]


def strided_image(x: ImageShape, p: Mapping[str, Any]) -> ImageShape:
    """The feature map that a block of parameters `out` and `stride` makes of another."""
    return ImageShape(p["out"], strided(x.height, p["stride"]), strided(x.width, p["stride"]))


def group_of(channels: Any, out: Any, p: Mapping[str, Any], name: str = "channels") -> Any:
    """How many of its `channels` inputs each of `out` outputs sees; raises `BlockError` where groups do not divide."""
    group = where(p["group_size"] == 0, channels, p["group_size"])
    require(channels % group == 0, f"group_size {{}} must divide the {{}} input {name}", group, channels)
    groups = maximum(1, channels // group)
    require(
        out % groups == 0, f"{{}} groups (of group_size {{}}) must divide the {{}} output {name}", groups, group, out
    )
    return group


def squeezed_channels(channels: Any, ratio: Any) -> Any:
    """Channels of a squeeze layer: `channels` x `ratio` rounded down, at least 1."""
    return maximum(1, whole(channels * ratio))


class Tally:
    """Adds up the operations of a block in execution order.

    `when` (0 or 1, possibly an array) leaves an operation out where the block does not have it.
    `hold(n)` keeps n more elements alive, such as the input of a residual branch, until `release(n)`.
    """

    def __init__(self, inputs: tuple[Shape, ...]) -> None:
        self.macs: Any = 0
        self.params: Any = 0
        self.activations: Any = 0
        self._current: Any = sum(elements(shape) for shape in inputs)
        self._held: Any = 0
        self._peak: Any = self._current

    def hold(self, count: Any) -> None:
        self._held = self._held + count
        self._peak = maximum(self._peak, self._current + self._held)

    def release(self, count: Any) -> None:
        self._held = self._held - count

    def branch(self, count: Any) -> None:
        """Continue from a value of `count` elements, such as a held input."""
        self._current = count

    def emit(self, out: Any, when: Any = 1) -> None:
        """An operation that writes `out` elements while its input is alive."""
        grown = self._current + out + self._held
        self._peak = maximum(self._peak, where(when, grown, self._peak))
        self._current = where(when, out, self._current)

    def conv(
        self,
        c_in: Any,
        c_out: Any,
        kernel: Any,
        height: Any,
        width: Any,
        *,
        group: Any = None,
        bias: Any = 0,
        when: Any = 1,
        across: Any = None,
    ) -> None:
        """Convolution to a map of `height` x `width`; `group` = input channels seen by one output.

        The kernel is square, or `across` wide.
        """
        seen = c_in if group is None else group
        out = c_out * height * width
        weights = c_out * seen * kernel * (kernel if across is None else across)
        self.macs = self.macs + when * weights * height * width
        self.params = self.params + when * (weights + bias * c_out)
        self.activations = self.activations + when * out
        self.emit(out, when)

    def linear(self, d_in: Any, d_out: Any, rows: Any = 1, *, bias: Any = 1, when: Any = 1) -> None:
        """Linear layer applied to `rows` vectors."""
        self.macs = self.macs + when * rows * d_in * d_out
        self.params = self.params + when * (d_in * d_out + bias * d_out)
        self.activations = self.activations + when * rows * d_out
        self.emit(rows * d_out, when)

    def matmul(self, rows: Any, inner: Any, columns: Any, batch: Any = 1, when: Any = 1) -> None:
        """Product of two activations, `batch` times (rows x inner) @ (inner x columns)."""
        self.macs = self.macs + when * batch * rows * inner * columns
        self.activations = self.activations + when * batch * rows * columns
        self.emit(batch * rows * columns, when)

    def learn(self, count: Any, when: Any = 1) -> None:
        """Learnable numbers outside convolutions and linear layers, such as norms and embeddings."""
        self.params = self.params + when * count

    def cost(self) -> Cost:
        return Cost(self.macs, self.params, self.activations, self._peak)


def activation_param(default: str = "relu") -> Param:
    """The activation parameter as most blocks have it."""
    return Param("activation", "str", default, allowed=ACTIVATIONS, help="Activation function.")


OUT = Param("out", "int", minimum=1, help="Output channels.")
KERNELS = tuple(range(1, 32, 2))
KERNEL = Param("kernel", "int", 3, allowed=KERNELS, help="Kernel size, odd, same padding.")
DILATION = Param(
    "dilation", "int", 1, minimum=1, maximum=64, help="Steps between the inputs that a kernel reads; 1 leaves none out."
)
GROUP_SIZE = Param(
    "group_size", "int", 0, minimum=0, help="Inputs of each group; 0 is an ordinary convolution, 1 depth-wise."
)
STRIDE = Param("stride", "int", 1, allowed=(1, 2, 4), help="Stride.")
TRANSFORM = Param(
    "kernel_transform",
    "bool",
    False,
    help="Supernet: smaller kernels pass learned square matrices after the centre crop (Once-for-All).",
)
