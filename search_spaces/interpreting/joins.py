"""Joins of a number of flows that differs by architecture: loose ends of graphs, sets of edges."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from search_spaces.blocks.base import Cost
from search_spaces.errors import SpaceError
from search_spaces.interpreting.flows import Flow, Visit, described, numbers_of, taken_rows
from search_spaces.language.operations import logical_and, logical_not, logical_or
from search_spaces.shapes import Shape

COSTS = ("macs", "params", "activations", "peak_elements")
Call = Callable[[np.ndarray, tuple[Shape, ...]], tuple[Shape, Cost | None]]


def unread(flows: Sequence[Flow], visits: Sequence[Visit]) -> list[Any]:
    """For each flow where none of the visits reads it."""
    # The branches of a choice read one flow object: where it is read at all is found once.
    readers: dict[int, tuple[Flow, Any]] = {}
    for visit in visits:
        for position, given in enumerate(visit.inputs):
            here = visit.reads(position)
            _, where_read = readers.get(id(given), (given, False))
            readers[id(given)] = (given, logical_or(where_read, here))
    result = []
    for flow in flows:
        read: Any = False
        for given, where_read in readers.values():
            if not set(given.among) & set(flow.among):
                continue
            same = given.ids == flow.ids
            if isinstance(same, np.ndarray) or same:
                read = logical_or(read, logical_and(where_read, same))
        result.append(logical_not(read))
    return result


def joined_by_use(flows: Sequence[Flow], used: Sequence[Any], call: Call, pointer: str) -> tuple[Shape, Cost | None]:
    """Shape and cost of a block over the flows in use, some of which differ by architecture: once per pattern of use.

    `call` is given the rows of a pattern and the shapes of its flows there. Raises SpaceError where patterns give
    different kinds of output.
    """
    n = next(len(flag) for flag in used if isinstance(flag, np.ndarray))
    flags = np.stack([np.broadcast_to(np.asarray(flag, dtype=bool), (n,)) for flag in used])
    codes = (flags * (np.int64(1) << np.arange(len(used)))[:, None]).sum(axis=0)
    parts: list[tuple[np.ndarray, Shape, Cost | None]] = []
    for code in np.unique(codes).tolist():
        if code == 0:
            continue  # architectures that do not have this node
        rows = codes == code
        shapes = tuple(taken_rows(flow.shape, rows) for position, flow in enumerate(flows) if code >> position & 1)
        parts.append((rows, *call(rows, shapes)))
    first = parts[0][1] if parts else flows[0].shape
    for _, shape, _ in parts:
        if type(shape) is not type(first):
            message = f"some of the nodes joined here give {described((first,))}, others {described((shape,))}"
            raise SpaceError(pointer, "shape", message, "join nodes of one kind of output")
    sizes = {name: [(rows, getattr(shape, name)) for rows, shape, _ in parts] for name in numbers_of(first)}
    shape = type(first)(**{name: _assembled(found, n) for name, found in sizes.items()})
    if any(cost is None for _, _, cost in parts):
        return shape, None
    costs = {name: [(rows, getattr(cost, name)) for rows, _, cost in parts] for name in COSTS}
    return shape, Cost(**{name: _assembled(found, n) for name, found in costs.items()})


def _assembled(parts: list[tuple[np.ndarray, Any]], n: int) -> Any:
    """One column from the numbers of some rows each; a single number where all agree. Other rows hold 1."""
    if not any(isinstance(number, np.ndarray) for _, number in parts) and len({number for _, number in parts}) == 1:
        return parts[0][1]
    column = np.ones(n, dtype=np.int64)
    for rows, number in parts:
        column[rows] = number
    return column
