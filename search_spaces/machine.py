"""The interpreter of a program: runs its operations over one architecture or a gene matrix, all at once.

A flow is a shape whose numbers may be arrays over architectures, with the number of the node that made it. Where
architectures differ in structure, flows are merged by mask, so that every node is visited once for the whole batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from search_spaces.blocks.base import Block, BlockError, Cost
from search_spaces.errors import SpaceError
from search_spaces.network import SHAPE_KINDS, ImageShape, Shape, elements
from search_spaces.operations import ARITHMETIC_ERRORS, logical_and, logical_not, logical_or, where
from search_spaces.parameters import MAX_SIZE, param_problem
from search_spaces.program import (
    Back,
    BlockOp,
    Capture,
    GraphOp,
    LooseEndsOp,
    Mark,
    Op,
    Program,
    Push,
    Reference,
    Register,
    RepeatOp,
    ResidualOp,
    SwitchOp,
)
from search_spaces.values import Value


@dataclass(frozen=True)
class Flow:
    """A shape, and the value it is: 0 for the network input, step + 1 for a node (int or int64 array)."""

    shape: Shape
    ids: Any


@dataclass(frozen=True)
class Visit:
    """One node as it was run: where it is present (True or bool array), what it read, what it made, its cost."""

    op: BlockOp
    mask: Any
    params: dict[str, Any]
    inputs: tuple[Flow, ...]
    used: tuple[Any, ...] | None  # per input, where it is read (loose ends only); None: everywhere
    out: Shape
    cost: Cost | None


class Machine:
    """Runs a program over gene columns: ints (one architecture) or int arrays (n,)."""

    def __init__(self, program: Program, columns: Sequence[Any], with_cost: bool) -> None:
        self.program, self.columns, self.with_cost = program, columns, with_cost
        self.mask: Any = True
        self.registers: dict[int, Flow] = {}
        self.trail: list[Flow | None] = []
        self.visits: list[Visit] = []

    # What expressions ask for.
    def index(self, gene: int) -> Any:
        return self.columns[gene]

    def shape(self, capture: int) -> Shape:
        return self.registers[capture].shape

    def run(self) -> Flow:
        """Runs everything; returns the output. Visits are in execution order."""
        values = {name: self.value(value, f"/input/{name}") for name, value in self.program.input_values.items()}
        start = Flow(SHAPE_KINDS[self.program.input_kind](**values), 0)
        self.registers[0] = start
        self.trail = [start] + [None] * (self.program.max_back - 1)
        with np.errstate(all="ignore"):
            self.execute(self.program.ops)
        output = self.trail[0]
        assert output is not None
        return output

    def value(self, value: Value, pointer: str) -> Any:
        try:
            result = value(self)
        except SpaceError as error:
            raise SpaceError(error.pointer or pointer, error.rule, error.message, error.suggestion) from None
        return result.item() if isinstance(result, np.generic) else result

    def flow(self, source: Reference, pointer: str) -> Flow:
        if isinstance(source, Back):
            found = self.trail[source.steps - 1]
            if found is None:
                raise SpaceError(
                    pointer, "reference", f"-{source.steps} reaches behind the first node", "name the node instead"
                )
            return found
        if isinstance(source, Register):
            return self.registers[source.number]
        at = self.value(source.index, pointer)
        options = [self.registers[number] for number in source.registers]
        if not isinstance(at, np.ndarray):
            return options[at]
        result = options[-1]
        for position in range(len(options) - 2, -1, -1):
            result = self.merge(at == position, options[position], result, pointer)
        return result

    def push(self, flow: Flow) -> None:
        self.trail = [flow, *self.trail[:-1]]

    def execute(self, ops: Sequence[Op]) -> None:
        for op in ops:
            match op:
                case BlockOp():
                    inputs = tuple(self.flow(source, op.pointer) for source in op.inputs)
                    self.push(self.block(op, inputs))
                case Capture():
                    self.registers[op.register] = self.flow(op.source, "")
                case Mark():
                    flow = self.trail[0]
                    assert flow is not None
                    self.registers[op.register] = flow
                case Push():
                    self.push(self.flow(op.source, ""))
                case RepeatOp():
                    self.repeat(op)
                case SwitchOp():
                    self.switch(op)
                case GraphOp():
                    self.graph(op)
                case ResidualOp():
                    self.residual(op)

    def repeat(self, op: RepeatOp) -> None:
        outside = self.mask
        before: list[tuple[Any, list[Flow | None]]] = []
        for guard, body in op.iterations:
            here = True if guard is None else self.value(guard, "")
            mask = logical_and(outside, here)
            if _none(mask):
                break
            before.append((here, self.trail))
            self.mask = mask
            self.execute(body)
        self.mask = outside
        for here, trail in reversed(before):
            if not _all(here):
                self.trail = [
                    None if now is None or old is None else self.merge(here, now, old, "/network")
                    for now, old in zip(self.trail, trail, strict=True)
                ]

    def switch(self, op: SwitchOp) -> None:
        outside, trail = self.mask, self.trail
        if op.source is not None:
            self.push(self.flow(op.source, op.pointer))
        begin, at = self.trail, self.value(op.index, op.pointer)
        result: Flow | None = None
        for position, body in enumerate(op.branches):
            chosen = at == position
            mask = logical_and(outside, chosen)
            if _none(mask):
                continue
            self.trail, self.mask = begin, mask
            self.execute(body)
            made = self.trail[0]
            assert made is not None
            result = made if result is None else self.merge(chosen, made, result, op.pointer)
        self.trail, self.mask = trail, outside
        assert result is not None
        self.push(result)

    def graph(self, op: GraphOp) -> None:
        trail, first = self.trail, len(self.visits)
        inputs = [self.flow(source, op.pointer) for source in op.inputs]
        self.trail = [None] * len(trail)
        for register, flow in zip(op.registers, inputs, strict=True):
            self.registers[register] = flow
            self.push(flow)
        self.execute(op.body)
        made = self.trail[0] if op.loose_ends is None else self.loose_ends(op.loose_ends, first)
        self.trail = trail
        assert made is not None
        self.push(made)

    def residual(self, op: ResidualOp) -> None:
        trail = self.trail
        source = self.trail[0] if op.source is None else self.flow(op.source, op.node.pointer)
        assert source is not None
        self.push(source)
        self.execute(op.body)
        made = self.trail[0]
        assert made is not None
        if op.shortcut is not None:
            outside = self.mask
            differ = logical_not(_same_shape(source.shape, made.shape))
            mask = logical_and(outside, differ)
            if not _none(mask):
                self.trail, self.mask = [source, *trail[1:]], mask
                self.execute(op.shortcut)
                bridged = self.trail[0]
                assert bridged is not None
                source = self.merge(differ, bridged, source, op.node.pointer)
                self.mask = outside
        self.trail = trail
        self.push(self.block(op.node, (made, source)))

    def loose_ends(self, op: LooseEndsOp, first: int) -> Flow:
        flows = [self.registers[number] for number in op.candidates]
        # The branches of a choice read one flow object: where it is read at all is found once.
        readers: dict[int, tuple[Flow, Any]] = {}
        for visit in self.visits[first:]:
            for given in visit.inputs:
                _, where_read = readers.get(id(given), (given, False))
                readers[id(given)] = (given, logical_or(where_read, visit.mask))
        unused = []
        for flow in flows:
            read: Any = False
            for given, where_read in readers.values():
                same = given.ids == flow.ids
                if isinstance(same, np.ndarray) or same:
                    read = logical_or(read, logical_and(where_read, same))
            unused.append(logical_not(read))
        return self.partial_block(op.node, flows, unused)

    def partial_block(self, op: BlockOp, flows: list[Flow], used: list[Any]) -> Flow:
        """A block over the flows in use, which may differ by architecture: once per pattern of use."""
        if not any(isinstance(flag, np.ndarray) for flag in used):
            chosen = tuple(flow for flow, flag in zip(flows, used, strict=True) if flag)
            return self.block(op, chosen)
        n = next(len(flag) for flag in used if isinstance(flag, np.ndarray))
        flags = np.stack([np.broadcast_to(np.asarray(flag, dtype=bool), (n,)) for flag in used])
        codes = (flags * (1 << np.arange(len(used)))[:, None]).sum(axis=0)
        numbers: dict[str, np.ndarray] = {}
        parts = {name: np.zeros(n, dtype=np.int64) for name in ("macs", "params", "activations", "peak_elements")}
        kind: type = ImageShape
        for code in np.unique(codes):
            rows = codes == code
            shapes = tuple(_take(flow.shape, rows) for position, flow in enumerate(flows) if code >> position & 1)
            out, cost = self.call(op, shapes, {})
            kind = type(out)
            for part in fields(out):
                numbers.setdefault(part.name, np.zeros(n, dtype=np.int64))[rows] = getattr(out, part.name)
            if cost is not None:
                for name, array in parts.items():
                    array[rows] = getattr(cost, name)
        total = Cost(**parts) if self.with_cost else None
        shape = kind(**numbers)
        self.visits.append(Visit(op, self.mask, {}, tuple(flows), tuple(used), shape, total))
        return Flow(shape, op.step + 1)

    def block(self, op: BlockOp, inputs: tuple[Flow, ...]) -> Flow:
        params = {}
        for param in op.block.params:
            found = self.value(op.params[param.name], f"{op.pointer}/{param.name}")
            value = _coerced(found, param.kind, f"{op.pointer}/{param.name}")
            if not isinstance(value, np.ndarray) and not op.params[param.name].is_pure:
                # Values that follow a shape are known only now; the others were checked once at compilation.
                problem = param_problem(param, value)
                if problem:
                    at = f"{op.pointer}/{param.name}"
                    raise SpaceError(
                        at, "parameter", f"{op.block.kind}.{param.name} = {value!r}: {problem}", param.help
                    )
            params[param.name] = value
        shapes = tuple(flow.shape for flow in inputs)
        out, cost = self.call(op, shapes, params)
        self.visits.append(Visit(op, self.mask, params, inputs, None, out, cost))
        return Flow(out, op.step + 1)

    def call(self, op: BlockOp, shapes: tuple[Shape, ...], params: dict[str, Any]) -> tuple[Shape, Cost | None]:
        block: Block = op.block
        try:
            out = _plain(block.out_shape(shapes, params))
            for part in fields(out):
                size = getattr(out, part.name)
                if not isinstance(size, np.ndarray) and not 1 <= size <= MAX_SIZE:
                    raise BlockError(f"{block.kind} makes {part.name} {size} of {_describe(shapes)}")
            return out, block.cost(shapes, params) if self.with_cost else None
        except (BlockError, *ARITHMETIC_ERRORS) as error:
            raise SpaceError(
                op.pointer, "block", f"{error} (at {op.key})", "change the choices that lead here"
            ) from None

    def merge(self, condition: Any, yes: Flow, no: Flow, pointer: str) -> Flow:
        if yes is no:
            return yes
        if type(yes.shape) is not type(no.shape):
            if _all(condition):
                return yes
            if _none(condition):
                return no
            raise SpaceError(
                pointer,
                "shape",
                f"one way gives {_describe((yes.shape,))}, another {_describe((no.shape,))}",
                "end all branches with the same kind of output",
            )
        numbers = {
            part.name: where(condition, getattr(yes.shape, part.name), getattr(no.shape, part.name))
            for part in fields(yes.shape)
        }
        return Flow(type(yes.shape)(**numbers), where(condition, yes.ids, no.ids))


def _all(mask: Any) -> bool:
    return bool(mask.all()) if isinstance(mask, np.ndarray) else bool(mask)


def _none(mask: Any) -> bool:
    return not mask.any() if isinstance(mask, np.ndarray) else not mask


def _take(shape: Shape, rows: np.ndarray) -> Shape:
    numbers = {
        part.name: number[rows] if isinstance(number, np.ndarray) else number
        for part in fields(shape)
        for number in (getattr(shape, part.name),)
    }
    return type(shape)(**numbers)


def _same_shape(a: Shape, b: Shape) -> Any:
    if type(a) is not type(b):
        return False
    return logical_and(*[getattr(a, part.name) == getattr(b, part.name) for part in fields(a)])


def _plain(shape: Shape) -> Shape:
    """NumPy scalars as Python ints; arrays stay."""
    numbers = {
        part.name: number if isinstance(number, np.ndarray) and number.ndim else int(number)
        for part in fields(shape)
        for number in (getattr(shape, part.name),)
    }
    return type(shape)(**numbers)


def _coerced(value: Any, kind: str, pointer: str) -> Any:
    """Whole floats of integer parameters become ints (an expression may divide)."""
    if kind == "int" and isinstance(value, np.ndarray) and value.dtype.kind == "f":
        return value.astype(np.int64)
    if kind == "int" and isinstance(value, float):
        if not value.is_integer():
            raise SpaceError(pointer, "type", f"{value} is not a whole number", "use // or round8(...)")
        return int(value)
    return value


def _describe(shapes: Sequence[Shape]) -> str:
    names = {cls: name for name, cls in SHAPE_KINDS.items()}
    texts = []
    for shape in shapes:
        sizes = [getattr(shape, part.name) for part in fields(shape)]
        plain = [str(size.flat[0]) if isinstance(size, np.ndarray) else str(size) for size in sizes]
        texts.append(f"{names[type(shape)]} {'x'.join(plain)}")
    return ", ".join(texts)


def batch_costs(machine: Machine, n: int) -> dict[str, np.ndarray]:
    """Totals over a run's visits, each int64 (n,): macs, params (once per key), activations, peak bytes."""
    start = machine.registers[0]
    totals = {name: np.zeros(n, dtype=np.int64) for name in ("macs", "params", "activations")}
    shared: dict[str, Any] = {}
    count = machine.program.num_steps + 1
    last_use = np.full((count, n), -1, dtype=np.int32)
    sizes: dict[int, Any] = {0: elements(start.shape)}
    everywhere = np.arange(n)
    for step, visit in enumerate(machine.visits):
        cost = visit.cost
        assert cost is not None
        totals["macs"] += cost.macs * visit.mask
        totals["activations"] += cost.activations * visit.mask
        params = cost.params * visit.mask
        if visit.op.key.startswith("shared."):
            shared[visit.op.key] = np.maximum(shared.get(visit.op.key, 0), params)
        else:
            totals["params"] += params
        sizes[visit.op.step + 1] = elements(visit.out)
        for position, flow in enumerate(visit.inputs):
            here = visit.mask if visit.used is None else logical_and(visit.mask, visit.used[position])
            if isinstance(flow.ids, np.ndarray):
                rows = here if isinstance(here, np.ndarray) else slice(None)
                last_use[flow.ids[rows], everywhere[rows]] = step
            elif isinstance(here, np.ndarray):
                last_use[flow.ids][here] = step
            else:
                last_use[flow.ids] = step
    for params in shared.values():
        totals["params"] += params
    totals["peak_activation_bytes"] = 4 * _peak_elements(machine, n, last_use, sizes)
    return totals


def _peak_elements(machine: Machine, n: int, last_use: np.ndarray, sizes: dict[int, Any]) -> np.ndarray:
    """Per architecture: the largest, over its nodes, of the node's own peak plus all other live values."""
    live = np.where(last_use[0] >= 0, sizes[0], 0).astype(np.int64)
    peak = np.zeros(n, dtype=np.int64)
    everywhere = np.arange(n)
    for step, visit in enumerate(machine.visits):
        assert visit.cost is not None
        reading = np.zeros(n, dtype=np.int64)
        freed = np.zeros(n, dtype=np.int64)
        seen: list[tuple[Any, Any]] = []
        for position, flow in enumerate(visit.inputs):
            here = visit.mask if visit.used is None else logical_and(visit.mask, visit.used[position])
            for ids, before in seen:  # a value read twice is alive once
                here = logical_and(here, logical_not(logical_and(before, ids == flow.ids)))
            seen.append((flow.ids, here))
            size = elements(flow.shape) * np.asarray(here, dtype=np.int64)
            reading += size
            until = last_use[flow.ids, everywhere] if isinstance(flow.ids, np.ndarray) else last_use[flow.ids]
            freed += np.where(until == step, size, 0)
        total = np.where(visit.mask, live - reading + visit.cost.peak_elements, 0)
        np.maximum(peak, total, out=peak)
        value = visit.op.step + 1
        made = np.where(last_use[value] >= 0, sizes[value], 0)
        live += np.where(visit.mask, made - freed, 0)
    return peak
