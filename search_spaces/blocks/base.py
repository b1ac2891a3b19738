"""What every block kind declares without torch: parameters, output shape and cost.

A block kind has one file here (parameters, shapes, cost) and one in `search_spaces/elastic` (the
plain torch module). Shapes and costs use NumPy arithmetic only, so that one formula serves a single
architecture (Python ints) and a whole gene matrix (int64 arrays of equal length).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from search_spaces.shapes import Shape

Binding = Literal["slice", "select"]


class BlockError(ValueError):
    """A block cannot be built from these inputs and parameters; `suggestion` says what to write instead."""

    def __init__(self, message: str, suggestion: str = "") -> None:
        super().__init__(message)
        self.suggestion = suggestion


@dataclass(frozen=True)
class Param:
    """One parameter of a block kind; `default=None` means that a document must give it.

    Unless it `follows` an entry of the document's input.
    """

    name: str
    kind: Literal["int", "float", "bool", "str"]
    default: Any = None
    allowed: tuple[Any, ...] | None = None
    minimum: float | None = None
    maximum: float | None = None
    help: str = ""
    follows: str | None = None


@dataclass(frozen=True)
class Cost:
    """Cost of a block for one input example; each number is an int or an int64 array (n,).

    `macs`: multiply-accumulates executed by convolutions, linear layers and matrix products.
    `params`: learnable numbers. `activations`: output elements of the operations counted in `macs`.
    `peak_elements`: most elements alive at once inside the block, its inputs and output included
    (element-wise operations run in place, as they do when fused).
    """

    macs: Any
    params: Any
    activations: Any
    peak_elements: Any


class Block(ABC):
    """One kind of block.

    `num_inputs` is None where any number of inputs from one on is allowed. `bindings` says how a
    choice may touch its weights: `slice` (prefix of channels, centre of kernels) or `select`
    (one set of weights per option). `selected` names parameters whose options cannot share weights by slicing.
    """

    kind: ClassVar[str]
    help: ClassVar[str]
    params: ClassVar[tuple[Param, ...]] = ()
    num_inputs: ClassVar[int | None] = 1
    selected: ClassVar[tuple[str, ...]] = ()
    bindings: ClassVar[frozenset[Binding]] = frozenset({"slice", "select"})

    @abstractmethod
    def out_shape(self, inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Shape:
        """Shape of the output; raises `BlockError` when concrete inputs make the block impossible."""

    @abstractmethod
    def cost(self, inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Cost:
        """Cost for one example of the given input shapes."""

    def sees_later(self, p: Mapping[str, Any]) -> Any:
        """Where (bool, or bool (n,)) the output of a token depends on later tokens: no part of a `causal_lm` may."""
        return False
