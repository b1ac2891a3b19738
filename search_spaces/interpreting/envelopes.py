"""What each weight key may become: a set-valued run of the program, sound for every architecture of the space.

Each flow carries the set of its possible shapes. A node's table ranges over all combinations of its input shapes
and of the genes its parameters read, so relations inside a node (middle width from input width) stay exact, while
relations between nodes are forgotten: the sets may be larger than what occurs, never smaller. What is added has one
shape, which all its terms may have: a residual ends with the shapes it began with, however its body derives its own.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from search_spaces.blocks.base import BlockError
from search_spaces.blocks.registry import BLOCKS
from search_spaces.compiling.program import BlockOp, GatherOp, LooseEndsOp, Op, Program, RepeatOp, SwitchOp
from search_spaces.errors import SpaceError
from search_spaces.interpreting.walk import Walk
from search_spaces.language.operations import ARITHMETIC_ERRORS
from search_spaces.language.values import Edge, Value
from search_spaces.network import Envelope, largest_shape, options_up_to_largest
from search_spaces.shapes import SHAPE_KINDS, Shape

MAX_SHAPES = 4_096
MAX_ROWS = 2**18


@dataclass(frozen=True, eq=False)
class Shapes:
    """Possible shapes of a flow: a kind and distinct rows of its numbers; and the values it may be (see `Flow`)."""

    kind: type
    rows: np.ndarray
    ids: frozenset[int]

    def columns(self, at: np.ndarray) -> Shape:
        chosen = self.rows[at]
        shape: Shape = self.kind(*(chosen[:, position] for position in range(chosen.shape[1])))
        return shape

    def listed(self) -> tuple[Shape, ...]:
        return tuple(self.kind(*row) for row in self.rows.tolist())


class _Rows:
    """Columns of a table over genes and flows."""

    def __init__(self, genes: dict[int, np.ndarray], captures: dict[int, Shape]) -> None:
        self.genes, self.captures = genes, captures

    def index(self, gene: int) -> Any:
        return self.genes[gene]

    def shape(self, capture: int) -> Shape:
        return self.captures[capture]


class _Sets(Walk[Shapes]):
    def __init__(self, program: Program) -> None:
        super().__init__(program)
        self.sizes = [len(gene.options) for gene in program.genes]
        self.params: dict[str, dict[str, dict[Any, None]]] = {}
        self.inputs: dict[str, list[dict[Shape, None]]] = {}
        self.blocks: dict[str, str] = {}
        self.reads: dict[int, frozenset[int]] = {}

    def run(self) -> dict[str, Envelope]:
        kind = SHAPE_KINDS[self.program.input_kind]
        names = [part.name for part in fields(kind)]
        values = [self.program.input_values[name] for name in names]
        genes, _, n = self.columns(values, [])
        rows = [np.broadcast_to(np.asarray(value(_Rows(genes, {}))), (n,)) for value in values]
        self.begin(Shapes(kind, _distinct(np.stack(rows, axis=1).astype(np.int64), "/input"), frozenset((0,))))
        return {
            key: Envelope(
                key,
                self.blocks[key],
                {name: _ordered(found) for name, found in sorted(self.params[key].items())},
                tuple(tuple(slot) for slot in self.inputs[key]),
            )
            for key in self.blocks
        }

    def columns(
        self, values: Sequence[Value], flows: Sequence[Shapes]
    ) -> tuple[dict[int, np.ndarray], list[np.ndarray], int]:
        """All n combinations of the genes that values read and of the flows' rows.

        Of each gene its options (n,), of each flow its rows (n,), and n. Raises SpaceError where these are too many.
        """
        genes = sorted(frozenset().union(*(value.genes for value in values)))
        dims = [self.sizes[gene] for gene in genes] + [len(flow.rows) for flow in flows]
        total = math.prod(dims)
        if total > MAX_ROWS:
            raise SpaceError(
                "", "limits", f"{total} combinations of choices meet in one node", "derive sizes from fewer choices"
            )
        grid = np.indices(tuple(dims)).reshape(len(dims), -1) if dims else np.zeros((0, 1), dtype=np.int64)
        by_gene = {gene: grid[position] for position, gene in enumerate(genes)}
        return by_gene, list(grid[len(genes) :]), max(total, 1)

    def edge(self, source: Edge, pointer: str) -> Shapes:
        return _union([self.registers[number] for number in source.registers])

    def repeat(self, op: RepeatOp) -> None:
        ends: list[list[Shapes | None]] = []  # where the loop may stop
        for guard, body in op.iterations:
            if guard is not None:
                ends.append(self.trail)
            self.execute(body)
        for other in ends:
            self.trail = [
                None if a is None or b is None else _union([a, b]) for a, b in zip(self.trail, other, strict=True)
            ]

    def switch(self, op: SwitchOp) -> None:
        trail = self.trail
        if op.source is not None:
            self.push(self.flow(op.source, op.pointer))
        begin, made = self.trail, []
        for branch in op.branches:
            self.trail = begin
            self.execute(branch)
            made.append(self.last())
        self.trail = trail
        self.push(_union(made))

    def adapted(self, source: Shapes, like: Shapes, body: Sequence[Op], pointer: str) -> Shapes:
        trail = self.trail
        self.push(source)
        self.execute(body)
        made = _union([source, self.last()])
        self.trail = trail
        return made

    def added(self, node: BlockOp, made: Shapes, source: Shapes) -> Shapes:
        return _union([made, self.block(node, (made, source))])

    def gathered(self, op: GatherOp) -> Shapes:
        flows = tuple(self.flow(source, op.node.pointer) for source in op.inputs)
        return self.block(op.node, flows) if op.flags is None else self.joined(op.node, flows)

    def loose_ends(self, op: LooseEndsOp) -> Shapes:
        return self.joined(op.node, [self.registers[number] for number, _ in op.candidates])

    def joined(self, node: BlockOp, flows: Sequence[Shapes]) -> Shapes:
        """The shapes of any of the flows, or of any number of them joined."""
        every = _union(flows)
        self.note(node, (every,) * len(flows), {})
        sums = flows[0]
        for flow in flows[1:]:
            parts = [sums, flow]
            if node.block.kind == "concat":
                parts.append(self.block(node, (sums, flow), quiet=True))
            sums = _union(parts)
        return Shapes(sums.kind, sums.rows, frozenset((node.step + 1,)))

    def block(self, op: BlockOp, inputs: tuple[Shapes, ...], quiet: bool = False) -> Shapes:
        flows = (_common(inputs),) * len(inputs) if op.block.kind in ("add", "mean") else inputs
        values = [] if quiet else [op.params[param.name] for param in op.block.params]
        distinct: list[Shapes] = []
        for flow in [*flows, *(self.registers[register] for value in values for register in value.captures)]:
            if not any(flow is other for other in distinct):
                distinct.append(flow)
        try:
            genes, picks, n = self.columns(values, distinct)
        except SpaceError as error:
            raise SpaceError(op.pointer, error.rule, error.message, error.suggestion) from None
        found = [flow.columns(pick) for flow, pick in zip(distinct, picks, strict=True)]

        def shape_of(flow: Shapes) -> Shape:
            return next(shape for shape, other in zip(found, distinct, strict=True) if other is flow)

        captures = {register: shape_of(self.registers[register]) for value in values for register in value.captures}
        env = _Rows(genes, captures)
        params: dict[str, Any] = {}
        for param, value in zip(op.block.params, values, strict=False):
            result = value(env)
            if param.kind == "int" and isinstance(result, float | np.ndarray) and np.asarray(result).dtype.kind == "f":
                result = np.asarray(result).astype(np.int64)
            params[param.name] = result if isinstance(result, np.ndarray) and result.ndim else _item(result)
        if not quiet:
            self.note(op, flows, params)
        try:
            out = op.block.out_shape(tuple(shape_of(flow) for flow in flows), params)
        except (BlockError, *ARITHMETIC_ERRORS) as error:
            raise SpaceError(op.pointer, "block", f"{error} (at {op.key})") from None
        rows = [np.broadcast_to(np.asarray(getattr(out, part.name), dtype=np.int64), (n,)) for part in fields(out)]
        table = _distinct(np.stack(rows, axis=1), op.pointer)
        possible = table[(table >= 1).all(axis=1)]
        return Shapes(type(out), possible if len(possible) else table, frozenset((op.step + 1,)))

    def note(self, op: BlockOp, flows: Sequence[Shapes], params: dict[str, Any]) -> None:
        self.blocks[op.key] = op.block.kind
        self.reads[op.step] = frozenset().union(*(flow.ids for flow in flows))
        known = self.params.setdefault(op.key, {})
        for name, value in params.items():
            items = np.unique(value).tolist() if isinstance(value, np.ndarray) and value.dtype != object else None
            if items is None:
                items = list(dict.fromkeys(value.tolist())) if isinstance(value, np.ndarray) else [value]
            known.setdefault(name, {}).update(dict.fromkeys(items))
        slots = self.inputs.setdefault(op.key, [])
        for position, flow in enumerate(flows):
            if position == len(slots):
                slots.append({})
            slots[position].update(dict.fromkeys(flow.listed()))


def _item(value: Any) -> Any:
    return value.item() if isinstance(value, np.ndarray | np.generic) else value


def _distinct(rows: np.ndarray, pointer: str) -> np.ndarray:
    table = np.unique(rows, axis=0)
    if len(table) > MAX_SHAPES:
        raise SpaceError(
            pointer,
            "limits",
            f"a node's output may have {len(table)} shapes",
            'name the sizes that are meant (channel_slice with size: "=w", out: "=w") where they follow from the input',
        )
    return table


def _union(flows: Sequence[Shapes]) -> Shapes:
    first = flows[0]
    if all(flow is first for flow in flows):
        return first
    if any(flow.kind is not first.kind for flow in flows):
        raise SpaceError("/network", "shape", "branches end with different kinds of output", "use one kind")
    rows = _distinct(np.concatenate([flow.rows for flow in flows]), "/network")
    return Shapes(first.kind, rows, frozenset().union(*(flow.ids for flow in flows)))


def _common(flows: Sequence[Shapes]) -> Shapes:
    """The shapes that all flows may have; those of the first where there is none, which is told elsewhere."""
    first, ids = flows[0], frozenset().union(*(flow.ids for flow in flows))
    if any(flow.kind is not first.kind for flow in flows):
        return Shapes(first.kind, first.rows, ids)
    others = [set(map(tuple, flow.rows.tolist())) for flow in flows[1:]]
    kept = np.array([all(tuple(row) in rows for rows in others) for row in first.rows.tolist()], dtype=bool)
    return Shapes(first.kind, first.rows[kept] if kept.any() else first.rows, ids)


def _ordered(found: dict[Any, None]) -> tuple[Any, ...]:
    return tuple(sorted(found, key=lambda item: (str(type(item)), item) if item is not None else ("", 0)))


def envelopes_of(program: Program) -> dict[str, Envelope]:
    """Envelope of every weight key of a program."""
    return _Sets(program).run()


@dataclass(frozen=True)
class Wiring:
    """Which values each node (step) may read, which ones a register may hold, and which ones a graph may put out."""

    reads: dict[int, frozenset[int]]
    registers: dict[int, frozenset[int]]
    outputs: dict[int, frozenset[int]]


def wiring_of(program: Program) -> Wiring:
    """What may be connected in some architecture of a program."""
    sets = _Sets(program)
    sets.run()
    registers, outputs = ({number: flow.ids for number, flow in of.items()} for of in (sets.registers, sets.outputs))
    return Wiring(sets.reads, registers, outputs)


def widest_params(envelopes: Iterable[Envelope]) -> int:
    """Parameters of the supernet over these envelopes: of each block at its widest.

    Without what options bring beside each other (two kinds of mixer under one key: the larger counts) and without the
    matrices of kernel transforms; under one percent in the families of the library.
    """
    total = 0
    for envelope in envelopes:
        inputs = tuple(largest_shape(shapes) for shapes in envelope.in_shapes)
        options = {name: options_up_to_largest(values) for name, values in envelope.params.items()}
        widest = {name: values[-1] for name, values in options.items()}
        variants = [
            widest | {name: value}
            for name, values in options.items()
            for value in values[:-1]
            if isinstance(value, (bool, str))
        ]
        total += max(int(BLOCKS[envelope.block].cost(inputs, params).params) for params in (widest, *variants))
    return total
