"""The compiled form of a document: its genes, its constraints and one structured list of operations.

The same operations are interpreted for one architecture, for a whole gene matrix and for value tables.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from search_spaces.blocks.base import Block, BlockError, Cost, Param
from search_spaces.compiling.parameters import whole
from search_spaces.errors import Problem, SpaceError
from search_spaces.language.values import Edge, Value
from search_spaces.network import Scalar
from search_spaces.shapes import Shape


class Lost(Block):
    """What stands where a node could not be compiled, so that the others can be looked at."""

    kind = ""
    help = ""
    num_inputs = None

    def out_shape(self, inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Shape:
        raise BlockError("nothing is known of a node that is wrong")

    def cost(self, inputs: tuple[Shape, ...], p: Mapping[str, Any]) -> Cost:
        raise BlockError("nothing is known of a node that is wrong")


LOST = Lost()


@dataclass(frozen=True)
class Gene:
    """One choice of the space: a column of the gene matrix, whose entries index `options` (-1 = inactive)."""

    name: str
    options: tuple[Scalar, ...]
    ordered: bool


@dataclass(frozen=True)
class Back:
    """The k-th last output of the trail (1 = the last one)."""

    steps: int


@dataclass(frozen=True)
class Register:
    """A stored output."""

    number: int


Reference = Back | Register | Edge


@dataclass(frozen=True)
class Push:
    """Makes a reference the last output of the trail without adding a node."""

    source: Reference


@dataclass(frozen=True)
class Capture:
    """Stores a reference's output, so that expressions can read its shape."""

    register: int
    source: Reference


@dataclass(frozen=True)
class Mark:
    """Stores the last output of the trail."""

    register: int


@dataclass(frozen=True)
class BlockOp:
    """One block. `step` is its place among all nodes of the maximal program."""

    step: int
    key: str
    block: Block
    params: dict[str, Value]
    inputs: tuple[Reference, ...]
    pointer: str

    @functools.cached_property
    def fixed(self) -> dict[str, Any]:
        """Parameters that are the same in every architecture, as given or by default."""
        return {
            param.name: whole(param, value.constant)
            for param in self.block.params
            if param.name in self.params and (value := self.params[param.name]).is_constant
        }

    @functools.cached_property
    def varying(self) -> tuple[Param, ...]:
        """Parameters that follow a choice or a shape."""
        return tuple(param for param in self.block.params if param.name in self.params and param.name not in self.fixed)


@dataclass(frozen=True)
class RepeatOp:
    """Iterations one after the other, each present where its guard holds (None: always)."""

    iterations: tuple[tuple[Value | None, tuple[Op, ...]], ...]


@dataclass(frozen=True)
class SwitchOp:
    """One of several bodies, chosen by a gene."""

    index: Value
    source: Reference | None
    branches: tuple[tuple[Op, ...], ...]
    pointer: str


@dataclass(frozen=True)
class LooseEndsOp:
    """Combines the candidates that no other node of the graph reads: registers, and where they exist (None: always)."""

    node: BlockOp
    candidates: tuple[tuple[int, Value | None], ...]


@dataclass(frozen=True)
class GraphOp:
    """A body with a trail of its own, begun by the graph's inputs."""

    inputs: tuple[Reference, ...]
    registers: tuple[int, ...]
    body: tuple[Op, ...]
    loose_ends: LooseEndsOp | None
    pointer: str


@dataclass(frozen=True)
class ResidualOp:
    """Body plus its own input, which passes the shortcut where the shapes differ; or there the body alone."""

    source: Reference | None
    body: tuple[Op, ...]
    shortcut: tuple[Op, ...] | None
    node: BlockOp
    or_alone: bool = False


@dataclass(frozen=True)
class AdaptOp:
    """The source itself where it has the shape of `like`, else what the body makes of it."""

    source: Reference
    like: Reference
    body: tuple[Op, ...]
    pointer: str


@dataclass(frozen=True)
class GatherOp:
    """Several nodes joined into one input (a register); with flags, those whose flag holds."""

    node: BlockOp
    inputs: tuple[Reference, ...]
    flags: tuple[Value, ...] | None
    register: int


Op = Push | Capture | Mark | BlockOp | RepeatOp | SwitchOp | GraphOp | ResidualOp | AdaptOp | GatherOp


@dataclass(frozen=True)
class Constraint:
    """A condition over genes; architectures where it is false are not members of the space."""

    holds: Value
    pointer: str
    text: str


@dataclass(frozen=True)
class Program:
    """Everything compiled from a document at one scale."""

    genes: tuple[Gene, ...]
    guards: tuple[tuple[Value, ...], ...]  # per gene: it is active where all of them hold
    constraints: tuple[Constraint, ...]
    task: str
    classes: int | None
    input_kind: str
    input_values: dict[str, Value]
    ops: tuple[Op, ...]
    num_steps: int
    max_back: int
    edge_genes: frozenset[int] = frozenset()  # choices among nodes, not among values or alternatives
    shared_keys: frozenset[str] = frozenset()  # of weights that several nodes use
    columns: tuple[int, ...] | None = None  # places of genes in a gene matrix, where the scale meets them differently
    memo: dict[Any, Any] = field(default_factory=dict, compare=False, repr=False)  # of blocks already computed


class IncompleteError(SpaceError):
    """What is wrong in a document, and the program of the rest of it, where one can be told."""

    def __init__(self, problems: Sequence[Problem], rest: Program | None) -> None:
        super().__init__(problems)
        self.rest = rest
