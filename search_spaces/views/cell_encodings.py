"""Encodings of cells for predictors: adjacency and paths (White et al. 2021, arXiv 1910.11858).

A cell is an outermost graph of the document that holds choices; cells that share all their choices are encoded once.
Its vertices are its inputs, its nodes outside choices and its choices between nodes; a vertex has a label where it is
such a choice: the chosen option. Nodes that every architecture has and that hold no choice are passed through.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from search_spaces.compiling.program import BlockOp, GraphOp, Op, Program, SwitchOp
from search_spaces.compiling.wiring import blocks_of, genes_of_ops, inside
from search_spaces.errors import SpaceError
from search_spaces.interpreting.envelopes import wiring_of
from search_spaces.interpreting.flows import Flow
from search_spaces.interpreting.machine import Machine
from search_spaces.language.operations import logical_and

MAX_PATHS = 4_096
HASHED_PATHS = 1_024
MAX_ROUTES = 20_000


@dataclass(frozen=True)
class Cell:
    """A graph with its vertices: the nodes (steps) that belong to each, and the gene that labels it, if any."""

    graph: GraphOp
    steps: tuple[frozenset[int], ...]
    labels: tuple[int | None, ...]
    genes: frozenset[int]

    @property
    def num_vertices(self) -> int:
        return len(self.graph.inputs) + len(self.steps)

    @property
    def vertex_of(self) -> dict[int, int]:
        """By value that a node makes (see `Flow`) the vertex it belongs to; the inputs are the first vertices."""
        first = len(self.graph.inputs)
        return {step + 1: first + place for place, steps in enumerate(self.steps) for step in steps}


def cells_of(program: Program) -> list[Cell]:
    """The cells of a program, those with the same choices once. Raises SpaceError where there are none."""
    found: dict[frozenset[int], Cell] = {}
    for graph in _graphs(program.ops):
        steps: list[frozenset[int]] = []
        labels: list[int | None] = []
        for op in _parts(graph):
            steps.append(frozenset(block.step for block in blocks_of([op])))
            labels.append(next(iter(op.index.genes)) if isinstance(op, SwitchOp) else None)
        genes = genes_of_ops([graph])
        if genes and not any(genes <= other for other in found):
            found[genes] = Cell(graph, tuple(steps), tuple(labels), genes)
    if not found:
        raise SpaceError("", "encoding", "the space has no graph with choices to encode", "use one_hot or ordinal")
    return list(found.values())


def adjacency(program: Program, genes: np.ndarray, one_hot: np.ndarray) -> np.ndarray:
    """float32 (n, D) of genes (n, G): edges of all cells, then `one_hot` (n, sum of options) without edge choices."""
    machine = Machine(program, genes, with_cost=False)
    machine.run()
    parts = []
    for cell in cells_of(program):
        edges = _edges(machine, cell, len(genes))
        inputs = len(cell.graph.inputs)
        for reader in range(inputs, cell.num_vertices):
            parts.append(edges[:, :reader, reader])
    sizes = [len(gene.options) for gene in program.genes]
    kept = np.repeat([gene not in program.edge_genes for gene in range(len(sizes))], sizes)
    return np.concatenate([*parts, one_hot[:, kept]], axis=1).astype(np.float32)


def paths(program: Program, genes: np.ndarray) -> np.ndarray:
    """float32 (n, D) of genes (n, G): one column for each sequence of labels that a path through a cell may have.

    A cell with more than 4,096 possible sequences gets 1,024 columns, each for all sequences of one hash value.
    """
    machine = Machine(program, genes, with_cost=False)
    machine.run()
    return np.concatenate([_cell_paths(program, machine, cell, genes) for cell in cells_of(program)], axis=1)


def _graphs(ops: Sequence[Op]) -> Iterator[GraphOp]:
    """Graphs, outermost first and not those inside others."""
    for op in ops:
        if isinstance(op, GraphOp):
            yield op
        else:
            yield from _graphs(inside(op))


def _parts(op: Op) -> Iterator[Op]:
    """What becomes vertices: blocks and choices between nodes, in order."""
    for inner in inside(op):
        if isinstance(inner, BlockOp | SwitchOp):
            yield inner
        else:
            yield from _parts(inner)


def _edges(machine: Machine, cell: Cell, n: int) -> np.ndarray:
    """Bool (n, V, V): vertex i is read by vertex j. Inputs come first, then the parts in order."""
    inputs = [machine.registers[number] for number in cell.graph.registers]
    vertex_of, edges = cell.vertex_of, np.zeros((n, cell.num_vertices, cell.num_vertices), dtype=bool)
    for visit in machine.visits:
        reader = vertex_of.get(visit.op.step + 1)
        if reader is None:
            continue
        for position, flow in enumerate(visit.inputs):
            here = visit.reads(position)
            for vertex, where in _sources(flow, inputs, vertex_of):
                if vertex != reader:
                    edges[:, vertex, reader] |= np.asarray(logical_and(here, where), dtype=bool)
    return edges


def _sources(flow: Flow, inputs: Sequence[Flow], vertex_of: dict[int, int]) -> Iterator[tuple[int, Any]]:
    """The vertices that a flow may come from, and in which architectures it does."""
    for value in flow.among:
        if value in vertex_of:
            yield vertex_of[value], flow.ids == value if isinstance(flow.ids, np.ndarray) else True
    for vertex, given in enumerate(inputs):
        if set(given.among) & set(flow.among):
            same = flow.ids == given.ids
            yield vertex, same if isinstance(same, np.ndarray) else bool(same)


def _cell_paths(program: Program, machine: Machine, cell: Cell, genes: np.ndarray) -> np.ndarray:
    n = len(genes)
    edges = _edges(machine, cell, n)
    inputs = len(cell.graph.inputs)
    ends = list(_sources(machine.outputs[cell.graph.registers[0]], [], cell.vertex_of))
    options = [
        np.zeros(0, dtype=np.uint64)
        if gene is None
        else np.array([_word(str(option)) for option in program.genes[gene].options], dtype=np.uint64)
        for gene in cell.labels
    ]
    possible = _sequences(program, cell, options)
    found: list[tuple[np.ndarray, np.ndarray]] = []
    for start in range(inputs):
        stack: list[tuple[int, Any, np.ndarray]] = [
            (start, np.ones(n, dtype=bool), np.full(n, start + 1, dtype=np.uint64))
        ]
        while stack:
            if len(found) + len(stack) > MAX_ROUTES:
                raise SpaceError("", "encoding", "a cell has too many paths to encode", "use adjacency")
            vertex, mask, code = stack.pop()
            gene = None if vertex < inputs else cell.labels[vertex - inputs]
            if gene is not None:
                code = _extended(code, options[vertex - inputs][genes[:, gene]])
            for end, where in ends:
                if end == vertex and (reached := mask & where).any():
                    found.append((reached, code))
            for reader in range(max(vertex + 1, inputs), cell.num_vertices):
                onward = mask & edges[:, vertex, reader]
                if onward.any():
                    stack.append((reader, onward, code))
    width = HASHED_PATHS if possible is None else len(possible)
    result = np.zeros((n, width), dtype=np.float32)
    for mask, code in found:
        rows = np.flatnonzero(mask)
        columns = code[rows] % np.uint64(width) if possible is None else np.searchsorted(possible, code[rows])
        result[rows, columns.astype(np.int64)] = 1.0
    return result


def _sequences(program: Program, cell: Cell, options: Sequence[np.ndarray]) -> np.ndarray | None:
    """Sorted codes of all sequences of labels that some architecture may have; None when there are too many."""
    wiring, vertex_of = wiring_of(program), cell.vertex_of
    inputs = len(cell.graph.inputs)
    codes = [np.array([vertex + 1], dtype=np.uint64) for vertex in range(inputs)]
    for place, (steps, words) in enumerate(zip(cell.steps, options, strict=True)):
        read = frozenset().union(*(wiring.reads.get(step, frozenset()) for step in steps))
        sources = {vertex_of[value] for value in read if value in vertex_of} - {inputs + place}
        sources |= {at for at, number in enumerate(cell.graph.registers) if wiring.registers[number] & read}
        arriving = np.unique(np.concatenate([codes[source] for source in sorted(sources)] or [codes[0][:0]]))
        if len(words):
            arriving = np.unique(_extended(arriving[:, None], words[None, :]))
        if len(arriving) > MAX_PATHS:
            return None
        codes.append(arriving)
    ends = {vertex_of[value] for value in wiring.outputs[cell.graph.registers[0]] if value in vertex_of}
    possible = np.unique(np.concatenate([codes[end] for end in sorted(ends)]))
    return possible if len(possible) <= MAX_PATHS else None


def _extended(code: Any, word: Any) -> Any:
    with np.errstate(over="ignore"):
        return (code ^ word) * np.uint64(0x9E3779B97F4A7C15)


def _word(label: str) -> int:
    return int.from_bytes(hashlib.sha256(label.encode()).digest()[:8], "big")
