"""What passes between nodes while a program runs: shapes whose numbers may be columns, and the log of nodes run."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from search_spaces.blocks.base import Cost
from search_spaces.compiling.program import BlockOp
from search_spaces.errors import SpaceError
from search_spaces.language.operations import logical_and, where
from search_spaces.shapes import SHAPE_KINDS, Shape, elements


@dataclass(frozen=True)
class Unknown:
    """In place of a shape, behind something that is wrong: a value of which not even the kind is known."""


_FIELDS = {kind: tuple(part.name for part in fields(kind)) for kind in (*SHAPE_KINDS.values(), Unknown)}


@dataclass(frozen=True, eq=False)
class Flow:
    """A shape, and the value it is: 0 for the network input, step + 1 for a node (int, or int64 array of `among`)."""

    shape: Shape
    ids: Any
    among: tuple[int, ...]

    @functools.cached_property
    def size(self) -> Any:
        """Elements of one example."""
        return elements(self.shape)


@dataclass(frozen=True, eq=False)
class Visit:
    """One node as it was run: where it is present (True or bool array), what it read, what it made, its cost."""

    op: BlockOp
    mask: Any
    params: dict[str, Any]
    inputs: tuple[Flow, ...]
    used: tuple[Any, ...] | None  # per input, where it is read (loose ends only); None: everywhere
    out: Flow
    cost: Cost | None

    def reads(self, position: int) -> Any:
        """Where this node is and reads its input at a position (True, False or bool (n,))."""
        return self.mask if self.used is None else logical_and(self.mask, self.used[position])


def numbers_of(shape: Shape) -> dict[str, Any]:
    """The shape's numbers by name."""
    return {name: getattr(shape, name) for name in _FIELDS[type(shape)]}


def all_of(mask: Any) -> bool:
    """Whether a scalar or array of truth values is true throughout."""
    return bool(mask.all()) if isinstance(mask, np.ndarray) else bool(mask)


def none_of(mask: Any) -> bool:
    """Whether a scalar or array of truth values is false throughout."""
    return not mask.any() if isinstance(mask, np.ndarray) else not mask


def equal_numbers(a: Any, b: Any) -> bool:
    """Whether two numbers or columns are the same throughout."""
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        return a is b or bool((a == b).all())
    return not isinstance(a, np.ndarray) and not isinstance(b, np.ndarray) and bool(a == b)


def taken_rows(shape: Shape, rows: np.ndarray) -> Shape:
    """The shape of some rows."""
    return type(shape)(
        **{
            name: number[rows] if isinstance(number, np.ndarray) else number
            for name, number in numbers_of(shape).items()
        }
    )


def same_shape(a: Shape, b: Shape) -> Any:
    """Where two shapes agree."""
    if type(a) is not type(b):
        return False
    return logical_and(*[number == getattr(b, name) for name, number in numbers_of(a).items()])


def plain_shape(shape: Shape, keeps_columns: bool = False) -> Shape:
    """NumPy scalars and columns of one number as Python ints; other columns stay, or all of them."""
    if all(type(number) is int for number in vars(shape).values()):
        return shape
    return type(shape)(**{name: _plain(number, keeps_columns) for name, number in numbers_of(shape).items()})


def _plain(number: Any, keeps_columns: bool) -> Any:
    if isinstance(number, np.ndarray) and number.ndim:
        if keeps_columns:
            return number
        return int(number[0]) if len(number) and (number == number[0]).all() else number
    return int(number)


def coerced(value: Any, kind: str, pointer: str) -> Any:
    """Whole floats of integer parameters become ints (an expression may divide)."""
    if kind == "int" and isinstance(value, np.ndarray) and value.dtype.kind == "f":
        return value.astype(np.int64)
    if kind == "int" and isinstance(value, float):
        if not value.is_integer():
            raise SpaceError(pointer, "type", f"{value} is not a whole number", "use // or round8(...)")
        return int(value)
    return value


def described(shapes: Sequence[Shape]) -> str:
    """Kinds and sizes, for messages; ? for a size that is not one number."""
    names = {cls: name for name, cls in SHAPE_KINDS.items()}
    texts = []
    for shape in shapes:
        plain = ["?" if isinstance(size, np.ndarray) else str(size) for size in vars(shape).values()]
        texts.append(f"{names[type(shape)]} {'x'.join(plain)}")
    return ", ".join(texts)


def merged(condition: Any, yes: Flow, no: Flow, pointer: str) -> Flow:
    """One flow or the other, row by row. Raises SpaceError where both occur and are of different kinds."""
    if yes is no:
        return yes
    if type(yes.shape) is not type(no.shape):
        if all_of(condition):
            return yes
        if none_of(condition):
            return no
        raise SpaceError(
            pointer,
            "shape",
            f"one way gives {described((yes.shape,))}, another {described((no.shape,))}",
            "end all branches with the same kind of output",
        )
    others = numbers_of(no.shape)
    numbers = {
        name: number if equal_numbers(number, others[name]) else where(condition, number, others[name])
        for name, number in numbers_of(yes.shape).items()
    }
    among = tuple(sorted({*yes.among, *no.among}))
    return Flow(type(yes.shape)(**numbers), where(condition, yes.ids, no.ids), among)
