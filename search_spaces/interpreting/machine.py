"""The interpreter of a program: runs its operations over one architecture or a gene matrix, all at once.

Where architectures differ in structure, flows are merged by mask, so that every node is visited once for the whole
batch. A choice among single blocks that read the same is one visit, whose cost is looked up by the chosen option.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from search_spaces.blocks.base import Cost, Param
from search_spaces.compiling.program import (
    BlockOp,
    GatherOp,
    GraphOp,
    LooseEndsOp,
    Op,
    Program,
    Register,
    RepeatOp,
    SwitchOp,
)
from search_spaces.errors import SpaceError
from search_spaces.interpreting.block_calls import FAULTS, fitting, made_shape, refusal
from search_spaces.interpreting.flows import Flow, Visit, all_of, equal_numbers, merged, none_of, same_shape
from search_spaces.interpreting.joins import COSTS, joined_by_use, unread
from search_spaces.interpreting.walk import Walk
from search_spaces.language.operations import logical_and, logical_not
from search_spaces.language.values import Edge, Value
from search_spaces.shapes import SHAPE_KINDS, Shape

_MEMO_LIMIT = 50_000


class Machine(Walk[Flow]):
    """Runs a program over genes (G,) of one architecture, all numbers ints; or over (n, G), with columns (n,)."""

    def __init__(self, program: Program, genes: np.ndarray, with_cost: bool) -> None:
        super().__init__(program)
        self.with_cost = with_cost
        columns = genes.tolist() if genes.ndim == 1 else list(np.ascontiguousarray(genes.T).astype(np.int64))
        self.columns = columns if program.columns is None else [columns[place] for place in program.columns]
        self.mask: Any = True
        self.visits: list[Visit] = []
        self.first_inside = 0  # the first visit of the graph that is run
        self.slots: dict[int, int] = {}  # the last nodes of a choice's branches make one value, of the first's number
        self.matches: dict[tuple[int, int], Any] = {}
        self.lookups: dict[tuple[Any, ...], Any] = {}
        self.rows: np.ndarray | None = None  # the architectures that columns stand for, where not for all

    # What expressions ask for.
    def index(self, gene: int) -> Any:
        return self.columns[gene]

    def shape(self, capture: int) -> Shape:
        return self.registers[capture].shape

    def slot(self, value: int) -> int:
        """The number under which a value's uses are counted."""
        while value in self.slots:
            value = self.slots[value]
        return value

    def run(self) -> Flow:
        """Runs everything; returns the output. Visits are in execution order."""
        values = {name: self.value(value, f"/input/{name}") for name, value in self.program.input_values.items()}
        return self.begin(Flow(SHAPE_KINDS[self.program.input_kind](**values), 0, (0,)))

    def value(self, value: Value, pointer: str) -> Any:
        try:
            result = value(self)
        except SpaceError as error:
            raise SpaceError(error.pointer or pointer, error.rule, error.message, error.suggestion) from None
        return result.item() if isinstance(result, np.generic) else result

    def edge(self, source: Edge, pointer: str) -> Flow:
        at = self.value(source.index, pointer)
        if not isinstance(at, np.ndarray):
            return self.registers[source.registers[at]]
        result: Flow | None = None
        for position, number in enumerate(source.registers):
            if number in self.registers:  # a node that no architecture of the batch has was never run
                option = self.registers[number]
                chosen = self.match(source.index, at, position)
                result = option if result is None else self.merged(chosen, option, result, pointer)
        assert result is not None
        return result

    def match(self, index: Value, at: np.ndarray, position: int) -> Any:
        """Where a choice takes an option; kept, since shared choices ask again and again."""
        if len(index.genes) != 1:
            return at == position
        key = (next(iter(index.genes)), position)
        if key not in self.matches:
            self.matches[key] = at == position
        return self.matches[key]

    def merged(self, condition: Any, yes: Flow, no: Flow, pointer: str) -> Flow:
        return merged(condition, yes, no, pointer)

    def repeat(self, op: RepeatOp) -> None:
        outside = self.mask
        before: list[tuple[Any, list[Flow | None]]] = []
        for guard, body in op.iterations:
            here = True if guard is None else self.value(guard, "")
            mask = logical_and(outside, here)
            if none_of(mask):
                break
            before.append((here, self.trail))
            self.mask = mask
            self.execute(body)
        self.mask = outside
        for here, trail in reversed(before):
            if not all_of(here):
                self.trail = [
                    None if now is None or old is None else self.merged(here, now, old, "/network")
                    for now, old in zip(self.trail, trail, strict=True)
                ]

    def switch(self, op: SwitchOp) -> None:
        outside, trail = self.mask, self.trail
        if op.source is not None:
            self.push(self.flow(op.source, op.pointer))
        begin, at, first = self.trail, self.value(op.index, op.pointer), len(self.visits)
        if not isinstance(at, np.ndarray):
            self.execute(op.branches[at])
            made = self.last()
        else:
            ends: dict[int, tuple[Flow, list[Visit]]] = {}
            for position, body in enumerate(op.branches):
                mask = logical_and(outside, self.match(op.index, at, position))
                if none_of(mask):
                    continue
                self.trail, self.mask, start = begin, mask, len(self.visits)
                self.execute(body)
                ends[position] = (self.last(), self.visits[start:])
            self.mask = outside
            made = self.joined(op, at, ends, first)
        self.trail = trail
        self.push(made)

    def joined(self, op: SwitchOp, at: np.ndarray, ends: dict[int, tuple[Flow, list[Visit]]], first: int) -> Flow:
        """The output of a choice, from those of the branches that occur."""
        result: Flow | None = None
        for position, (flow, _) in ends.items():
            matching = self.match(op.index, at, position)
            result = flow if result is None else self.merged(matching, flow, result, op.pointer)
        assert result is not None
        steps = [visit.op.step + 1 for visit in self.visits[first:]]
        flows = [flow for flow, _ in ends.values()]
        if len(ends) < 2 or not steps or any(isinstance(flow.ids, np.ndarray) for flow in flows):
            return result
        if min(flow.ids for flow in flows) < min(steps):
            return result  # a branch passes an older value on
        slot = min(flow.ids for flow in flows)
        self.slots.update((flow.ids, slot) for flow in flows if flow.ids != slot)
        result = Flow(result.shape, slot, (slot,))
        if self.with_cost:
            self.fuse(op, at, {position: visits for position, (_, visits) in ends.items()}, first, result)
        return result

    def fuse(self, op: SwitchOp, at: np.ndarray, branches: dict[int, list[Visit]], first: int, made: Flow) -> None:
        """One visit instead of one per branch, where every branch is one block that reads the same."""
        if any(len(visits) != 1 for visits in branches.values()):
            return
        visits = {position: found[0] for position, found in branches.items()}
        some = next(iter(visits.values()))
        for visit in visits.values():
            key, num_inputs = visit.op.key, len(visit.inputs)
            if visit.used is not None or key in self.program.shared_keys or num_inputs != len(some.inputs):
                return
            if any(mine is not other for mine, other in zip(visit.inputs, some.inputs, strict=True)):
                return
        costs = {name: self.choose(op, at, name, visits) for name in COSTS}
        made_by = min((visit.op for visit in visits.values()), key=lambda block: block.step)
        del self.visits[first:]
        self.visits.append(Visit(made_by, self.mask, {}, some.inputs, None, made, Cost(**costs)))

    def choose(self, op: SwitchOp, at: np.ndarray, name: str, visits: dict[int, Visit]) -> Any:
        """One of the costs, by the chosen branch."""
        numbers = {position: getattr(visit.cost, name) for position, visit in visits.items()}
        values = list(numbers.values())
        if all(equal_numbers(value, values[0]) for value in values[1:]):
            return values[0]
        if not any(isinstance(value, np.ndarray) for value in values):
            table = tuple(numbers.get(position, 0) for position in range(len(op.branches)))
            key = (op.index.genes, table)
            if key not in self.lookups:
                self.lookups[key] = np.array(table, dtype=np.int64)[at]
            return self.lookups[key]
        result = values[0]
        for position, value in numbers.items():
            if value is not values[0]:
                result = np.where(self.match(op.index, at, position), value, result)
        return result

    def graph(self, op: GraphOp) -> None:
        outside, self.first_inside = self.first_inside, len(self.visits)
        super().graph(op)
        self.first_inside = outside

    def adapted(self, source: Flow, like: Flow, body: Sequence[Op], pointer: str) -> Flow:
        trail, outside = self.trail, self.mask
        differ = logical_not(same_shape(source.shape, like.shape))
        mask = logical_and(outside, differ)
        if none_of(mask):
            return source
        self.push(source)
        self.mask = mask
        self.execute(body)
        bridged = self.last()
        self.trail, self.mask = trail, outside
        return self.merged(differ, bridged, source, pointer)

    def added(self, node: BlockOp, made: Flow, source: Flow) -> Flow:
        outside, alike = self.mask, same_shape(source.shape, made.shape)
        self.mask = logical_and(outside, alike)
        result = made if none_of(self.mask) else self.merged(alike, self.block(node, (made, source)), made, "")
        self.mask = outside
        return result

    def gathered(self, op: GatherOp) -> Flow:
        if op.flags is None:
            return self.block(op.node, tuple(self.flow(source, op.node.pointer) for source in op.inputs))
        flows, used = [], []
        for source, flag in zip(op.inputs, op.flags, strict=True):
            if not isinstance(source, Register) or source.number in self.registers:
                flows.append(self.flow(source, op.node.pointer))
                used.append(self.value(flag, op.node.pointer))
        return self.partial(op.node, flows, used)

    def loose_ends(self, op: LooseEndsOp) -> Flow:
        there = [(number, presence) for number, presence in op.candidates if number in self.registers]
        flows = [self.registers[number] for number, _ in there]
        used = [
            logical_and(True if presence is None else self.value(presence, op.node.pointer), unused)
            for (_, presence), unused in zip(there, unread(flows, self.visits[self.first_inside :]), strict=True)
        ]
        return self.partial(op.node, flows, used)

    def partial(self, op: BlockOp, flows: list[Flow], used: list[Any]) -> Flow:
        """A block over the flows in use."""
        if not any(isinstance(flag, np.ndarray) for flag in used):
            return self.block(op, tuple(flow for flow, flag in zip(flows, used, strict=True) if flag))
        outside = self.mask

        def call(rows: np.ndarray, shapes: tuple[Shape, ...]) -> tuple[Shape, Cost | None]:
            self.mask, self.rows = logical_and(outside, rows), rows
            found = self.call(op, shapes, {})
            self.mask, self.rows = outside, None
            return found

        out, cost = joined_by_use(flows, used, call, op.pointer)
        made = self.made(op, out)
        self.visits.append(Visit(op, outside, {}, tuple(flows), tuple(used), made, cost))
        return made

    def made(self, op: BlockOp, shape: Shape) -> Flow:
        return Flow(shape, op.step + 1, (op.step + 1,))

    def block(self, op: BlockOp, inputs: tuple[Flow, ...]) -> Flow:
        params = dict(op.fixed)
        for param in op.varying:
            at = f"{op.pointer}/{param.name}"
            params[param.name] = self.fitting(op, param, self.value(op.params[param.name], at), at)
        out, cost = self.call(op, tuple([flow.shape for flow in inputs]), params)
        if self.program.task == "causal_lm":
            self.look_ahead(op, params)
        made = self.made(op, out)
        self.visits.append(Visit(op, self.mask, params, inputs, None, made, cost))
        return made

    def fitting(self, op: BlockOp, param: Param, raw: Any, pointer: str) -> Any:
        return fitting(op, param, raw, pointer)

    def look_ahead(self, op: BlockOp, params: dict[str, Any]) -> None:
        """Refuses a block that shows a token what it is to predict: such a model scores well and is worth nothing."""
        later = op.block.sees_later(params)
        if not isinstance(later, np.ndarray) and later:
            message = f"{op.block.kind} lets a token see later ones, which a causal_lm is to predict (at {op.key})"
            advice = (
                "mix positions by self_attention, conv_mixer or sequence_conv with causal: true; or task: masked_lm"
            )
            if "causal" in {param.name for param in op.block.params}:
                advice = "write causal: true"
            raise SpaceError(op.pointer, "causal", message, advice)

    def call(self, op: BlockOp, shapes: tuple[Shape, ...], params: dict[str, Any]) -> tuple[Shape, Cost | None]:
        key: tuple[Any, ...] | None = (op.block.kind, self.with_cost, shapes, tuple(params.items()))
        memo = self.program.memo
        try:
            found = memo.get(key)
        except TypeError:  # columns are not hashable
            found = key = None
        if found is None:
            found = self.computed(op, shapes, params)
            if key is not None:
                if len(memo) >= _MEMO_LIMIT:
                    memo.clear()
                memo[key] = found
        return found

    def computed(self, op: BlockOp, shapes: tuple[Shape, ...], params: dict[str, Any]) -> tuple[Shape, Cost | None]:
        try:
            return made_shape(op, shapes, params), op.block.cost(shapes, params) if self.with_cost else None
        except FAULTS as error:
            raise refusal(op, shapes, error) from None
