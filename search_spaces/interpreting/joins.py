"""Nodes that join a number of others which may differ by architecture: loose ends of graphs, sets of edges."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from search_spaces.blocks.base import Cost
from search_spaces.compiling.program import BlockOp, GatherOp, LooseEndsOp, Register
from search_spaces.interpreting.flows import Flow, Visit, numbers_of, taken_rows
from search_spaces.language.operations import logical_and, logical_not, logical_or

if TYPE_CHECKING:
    from search_spaces.interpreting.machine import Machine

_COSTS = ("macs", "params", "activations", "peak_elements")


def gathered(machine: Machine, op: GatherOp) -> Flow:
    """What a node reads where it reads several nodes joined into one."""
    if op.flags is None:
        return machine.block(op.node, tuple(machine.flow(source, op.node.pointer) for source in op.inputs))
    flows, used = [], []
    for source, flag in zip(op.inputs, op.flags, strict=True):
        if not isinstance(source, Register) or source.number in machine.registers:
            flows.append(machine.flow(source, op.node.pointer))
            used.append(machine.value(flag, op.node.pointer))
    return _partial_block(machine, op.node, flows, used)


def loose_ends(machine: Machine, op: LooseEndsOp, first: int) -> Flow:
    # The branches of a choice read one flow object: where it is read at all is found once.
    readers: dict[int, tuple[Flow, Any]] = {}
    for visit in machine.visits[first:]:
        for position, given in enumerate(visit.inputs):
            here = visit.mask if visit.used is None else logical_and(visit.mask, visit.used[position])
            _, where_read = readers.get(id(given), (given, False))
            readers[id(given)] = (given, logical_or(where_read, here))
    flows, unused = [], []
    for number, presence in op.candidates:
        if number not in machine.registers:
            continue
        flow = machine.registers[number]
        read: Any = False
        for given, where_read in readers.values():
            if not set(given.among) & set(flow.among):
                continue
            same = given.ids == flow.ids
            if isinstance(same, np.ndarray) or same:
                read = logical_or(read, logical_and(where_read, same))
        present = True if presence is None else machine.value(presence, op.node.pointer)
        flows.append(flow)
        unused.append(logical_and(present, logical_not(read)))
    return _partial_block(machine, op.node, flows, unused)


def _partial_block(machine: Machine, op: BlockOp, flows: list[Flow], used: list[Any]) -> Flow:
    """A block over the flows in use, which may differ by architecture: once per pattern of use."""
    if not any(isinstance(flag, np.ndarray) for flag in used):
        chosen = tuple(flow for flow, flag in zip(flows, used, strict=True) if flag)
        return machine.block(op, chosen)
    n = next(len(flag) for flag in used if isinstance(flag, np.ndarray))
    flags = np.stack([np.broadcast_to(np.asarray(flag, dtype=bool), (n,)) for flag in used])
    codes = (flags * (np.int64(1) << np.arange(len(used)))[:, None]).sum(axis=0)
    kind: type = type(flows[0].shape)
    outside = machine.mask
    sizes: dict[str, list[tuple[np.ndarray, Any]]] = {}
    parts: dict[str, list[tuple[np.ndarray, Any]]] = {name: [] for name in _COSTS}
    for code in np.unique(codes).tolist():
        if code == 0:
            continue  # architectures that do not have this node
        rows = codes == code
        shapes = tuple(taken_rows(flow.shape, rows) for position, flow in enumerate(flows) if code >> position & 1)
        machine.mask, machine.rows = logical_and(outside, rows), rows
        out, cost = machine.call(op, shapes, {})
        machine.mask, machine.rows = outside, None
        kind = type(out)
        for name, number in numbers_of(out).items():
            sizes.setdefault(name, []).append((rows, number))
        for name, found in parts.items():
            found.append((rows, 0 if cost is None else getattr(cost, name)))
    total = Cost(**{name: _assembled(found, n) for name, found in parts.items()}) if machine.with_cost else None
    made = machine.made(op, kind(**{name: _assembled(found, n) for name, found in sizes.items()}))
    machine.visits.append(Visit(op, machine.mask, {}, tuple(flows), tuple(used), made, total))
    return made


def _assembled(parts: list[tuple[np.ndarray, Any]], n: int) -> Any:
    """One column from the numbers of some rows each; a single number where all agree. Other rows hold 1."""
    if not any(isinstance(number, np.ndarray) for _, number in parts) and len({number for _, number in parts}) == 1:
        return parts[0][1]
    column = np.ones(n, dtype=np.int64)
    for rows, number in parts:
        column[rows] = number
    return column
