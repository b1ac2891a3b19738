"""The static structure of a program: what operations hold, and which choices decide what they do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from search_spaces.compiling.program import (
    AdaptOp,
    BlockOp,
    Capture,
    GatherOp,
    GraphOp,
    Op,
    Push,
    Reference,
    RepeatOp,
    ResidualOp,
    SwitchOp,
)
from search_spaces.language.values import Edge


def inside(op: Op) -> list[Op]:
    """The operations that one operation holds, in order."""
    match op:
        case RepeatOp():
            return [inner for _, body in op.iterations for inner in body]
        case SwitchOp():
            return [inner for body in op.branches for inner in body]
        case GraphOp():
            return [*op.body, *([] if op.loose_ends is None else [op.loose_ends.node])]
        case ResidualOp():
            return [*op.body, *(op.shortcut or ()), op.node]
        case AdaptOp():
            return list(op.body)
        case GatherOp():
            return [op.node]
    return []


def blocks_of(ops: Sequence[Op]) -> Iterator[BlockOp]:
    """All blocks of operations, at any depth."""
    for op in ops:
        if isinstance(op, BlockOp):
            yield op
        yield from blocks_of(inside(op))


def genes_of_ops(ops: Sequence[Op]) -> frozenset[int]:
    """All genes that decide what operations do."""
    found: set[int] = set()
    for op in ops:
        match op:
            case BlockOp():
                found |= _of_references(op.inputs)
                for value in op.params.values():
                    found |= value.genes
            case RepeatOp():
                for guard, _ in op.iterations:
                    found |= frozenset() if guard is None else guard.genes
            case SwitchOp():
                found |= op.index.genes | (_of_references([op.source]) if op.source else set())
            case GraphOp():
                found |= _of_references(op.inputs)
            case GatherOp():
                found |= _of_references(op.inputs)
                for flag in op.flags or ():
                    found |= flag.genes
            case ResidualOp():
                found |= _of_references([op.source]) if op.source else set()
            case AdaptOp():
                found |= _of_references([op.source, op.like])
            case Push() | Capture():
                found |= _of_references([op.source])
        found |= genes_of_ops(inside(op))
    return frozenset(found)


def _of_references(sources: Sequence[Reference]) -> set[int]:
    return {gene for source in sources if isinstance(source, Edge) for gene in source.index.genes}
