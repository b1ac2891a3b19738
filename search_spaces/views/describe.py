"""A space as plain data for drawing, and an architecture as readable text."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from search_spaces.compiling.program import (
    AdaptOp,
    BlockOp,
    GatherOp,
    Gene,
    GraphOp,
    Op,
    Program,
    RepeatOp,
    ResidualOp,
    SwitchOp,
)
from search_spaces.network import Envelope, Network, Node
from search_spaces.shapes import Shape
from search_spaces.views.graph_outline import GraphWiring


def outline_of(program: Program, envelopes: Mapping[str, Envelope]) -> list[dict[str, Any]]:
    """The structure as nested plain data.

    Entries: {kind: block, key, block, params: {name: [possible values]}}, {kind: repeat, always, iterations},
    {kind: choice, gene, branches: [{label, nodes}]}, {kind: graph, nodes, output}, {kind: residual, nodes, shortcut},
    {kind: adapt, nodes}. Nodes of a graph also have `inputs: [{places, gene}]` and `optional`: an input is one of the
    nodes at these places (-1 - k: the graph's input k), by the choice of that name where it has one.
    """
    return _outline(program.ops, program, envelopes)


def _outline(ops: Sequence[Op], program: Program, envelopes: Mapping[str, Envelope]) -> list[dict[str, Any]]:
    result: list[dict[str, Any]] = []
    for op in ops:
        match op:
            case BlockOp():
                result.append(_block(op, envelopes))
            case RepeatOp():
                result.append(
                    {
                        "kind": "repeat",
                        "always": sum(guard is None for guard, _ in op.iterations),
                        "iterations": [_outline(body, program, envelopes) for _, body in op.iterations],
                    }
                )
            case SwitchOp():
                gene = program.genes[next(iter(op.index.genes))]
                result.append(
                    {
                        "kind": "choice",
                        "gene": gene.name,
                        "branches": [
                            {"label": label, "nodes": _outline(body, program, envelopes)}
                            for label, body in zip(gene.options, op.branches, strict=True)
                        ],
                    }
                )
            case GraphOp():
                result.append(_graph(op, program, envelopes))
            case AdaptOp():
                result.append({"kind": "adapt", "nodes": _outline(op.body, program, envelopes)})
            case GatherOp():
                result.append(_block(op.node, envelopes))
            case ResidualOp():
                shortcut = None if op.shortcut is None else _outline(op.shortcut, program, envelopes)
                nodes = _outline(op.body, program, envelopes)
                result.append({"kind": "residual", "nodes": nodes, "shortcut": shortcut})
    return result


def _graph(op: GraphOp, program: Program, envelopes: Mapping[str, Envelope]) -> dict[str, Any]:
    wiring = GraphWiring(op, program)
    nodes = []
    for wired in wiring.nodes:
        (drawn,) = _outline([wired.op], program, envelopes)
        nodes.append({**drawn, "inputs": [vars(source) for source in wired.inputs], "optional": wired.optional})
    output = None
    if op.loose_ends is not None:
        ends = [{"places": wiring.loose_ends, "gene": None}]
        output = {**_block(op.loose_ends.node, envelopes), "inputs": ends, "optional": False}
    return {"kind": "graph", "nodes": nodes, "output": output}


def _block(op: BlockOp, envelopes: Mapping[str, Envelope]) -> dict[str, Any]:
    envelope = envelopes[op.key]
    params = {name: list(values) for name, values in envelope.params.items()}
    return {"kind": "block", "key": op.key, "block": op.block.kind, "params": params}


def kind_of(node: Node) -> str:
    """What a node is: its block, but of a token embedding that gives logits the head that is tied to it."""
    reads_ids = getattr(node.in_shapes[0], "features", 1) == 1
    return node.block if node.block != "token_embedding" or reads_ids else "language_head"


def choices_alike(genes: Sequence[Gene]) -> list[tuple[str, tuple[Gene, ...]]]:
    """Choices of equal options whose names differ in numbers alone, together: the name with * for those, and they."""
    groups: dict[Any, list[Gene]] = {}
    for gene in genes:
        groups.setdefault((re.sub(r"\d+", "*", gene.name), gene.options, gene.ordered), []).append(gene)
    return [(pattern([gene.name for gene in members]), tuple(members)) for members in groups.values()]


def nodes_alike(nodes: Sequence[Node]) -> list[tuple[str, tuple[Node, ...]]]:
    """Nodes in their order, neighbours that differ in numbers of their keys alone together, as `choices_alike`."""
    groups: list[list[Node]] = []
    last: Any = None
    for node in nodes:
        kind = re.sub(r"\d+", "*", node.key), node.block, node.params, node.out_shape
        if kind == last:
            groups[-1].append(node)
        else:
            groups.append([node])
        last = kind
    return [(pattern([node.key for node in members]), tuple(members)) for members in groups]


def pattern(names: Sequence[str]) -> str:
    """Names that differ in numbers alone as one, with * for those numbers."""
    columns = zip(*(re.split(r"(\d+)", name) for name in names), strict=True)
    return "".join(parts[0] if len(set(parts)) == 1 else "*" for parts in columns)


def network_text(network: Network) -> str:
    """One line per node: key, block, parameters, output shape."""
    width = max((len(node.key) for node in network.nodes), default=0)
    lines = []
    for node in network.nodes:
        params = " ".join(f"{name}={value}" for name, value in sorted(node.params.items()))
        lines.append(f"{node.key:<{width}}  {kind_of(node)}({params}) -> {sizes_text(node.out_shape)}")
    return "\n".join(lines)


def network_dot(network: Network) -> str:
    """The network as a graph in the DOT language, for drawing."""
    lines = ["digraph network {", "  node [shape=box];", f'  n0 [label="input {sizes_text(network.input_shape)}"];']
    for number, node in enumerate(network.nodes, start=1):
        params = " ".join(f"{name}={value}" for name, value in sorted(node.params.items()))
        label = "\\n".join(part for part in (node.key, kind_of(node), params, sizes_text(node.out_shape)) if part)
        lines.append(f'  n{number} [label="{label}"];')
        lines += [f"  n{value} -> n{number};" for value in node.inputs]
    return "\n".join([*lines, "}"])


def sizes_text(shape: Shape) -> str:
    """A shape without its kind, for people: ``3x32x32``."""
    return "x".join(str(size) for size in vars(shape).values())
