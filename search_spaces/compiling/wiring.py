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


def sources_of(op: Op) -> list[Reference]:
    """What one operation reads itself, as it is written: without what those inside it read."""
    match op:
        case BlockOp() | GraphOp() | GatherOp():
            return list(op.inputs)
        case AdaptOp():
            return [op.source, op.like]
        case SwitchOp() | ResidualOp():
            return [] if op.source is None else [op.source]
        case Push() | Capture():
            return [op.source]
    return []


def genes_of_ops(ops: Sequence[Op]) -> frozenset[int]:
    """All genes that decide what operations do."""
    found: set[int] = set()
    for op in ops:
        values = [source.index for source in sources_of(op) if isinstance(source, Edge)]
        match op:
            case BlockOp():
                values += op.params.values()
            case RepeatOp():
                values += [guard for guard, _ in op.iterations if guard is not None]
            case SwitchOp():
                values.append(op.index)
            case GatherOp():
                values += op.flags or ()
        found.update(genes_of_ops(inside(op)), *(value.genes for value in values))
    return frozenset(found)
