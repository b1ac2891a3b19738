"""Going through a program's operations, whatever it is that passes between its nodes (the type F).

The trail holds the last outputs, registers those that are stored.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Generic, TypeVar

import numpy as np

from search_spaces.compiling.program import (
    AdaptOp,
    Back,
    BlockOp,
    Capture,
    GatherOp,
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
from search_spaces.errors import SpaceError
from search_spaces.language.values import Edge

F = TypeVar("F")


class Walk(ABC, Generic[F]):
    """What all ways of running a program have in common: which node reads what."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.registers: dict[int, F] = {}
        self.trail: list[F | None] = []
        self.outputs: dict[int, F] = {}  # of graphs, by their first register

    def begin(self, start: F) -> F:
        """Runs everything behind the network's input; returns the output."""
        self.registers[0] = start
        self.trail = [start] + [None] * (self.program.max_back - 1)
        with np.errstate(all="ignore"):
            self.execute(self.program.ops)
        return self.last()

    def push(self, flow: F) -> None:
        self.trail = [flow, *self.trail[:-1]]

    def last(self) -> F:
        found = self.trail[0]
        assert found is not None
        return found

    def flow(self, source: Reference, pointer: str) -> F:
        """What a reference stands for. Raises SpaceError where it reaches behind the first node."""
        if isinstance(source, Back):
            found = self.trail[source.steps - 1]
            if found is None:
                raise SpaceError(
                    pointer, "reference", f"-{source.steps} reaches behind the first node", "name the node instead"
                )
            return found
        return self.registers[source.number] if isinstance(source, Register) else self.edge(source, pointer)

    def execute(self, ops: Sequence[Op]) -> None:
        for op in ops:
            match op:
                case BlockOp():
                    inputs = tuple([self.flow(source, op.pointer) for source in op.inputs])
                    self.push(self.block(op, inputs))
                case Capture():
                    self.registers[op.register] = self.flow(op.source, "")
                case Mark():
                    self.registers[op.register] = self.last()
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
                case AdaptOp():
                    source = self.flow(op.source, op.pointer)
                    self.push(self.adapted(source, self.flow(op.like, op.pointer), op.body, op.pointer))
                case GatherOp():
                    self.registers[op.register] = self.gathered(op)

    def graph(self, op: GraphOp) -> None:
        trail = self.trail
        inputs = [self.flow(source, op.pointer) for source in op.inputs]
        self.trail = [None] * len(trail)
        for register, flow in zip(op.registers, inputs, strict=True):
            self.registers[register] = flow
            self.push(flow)
        self.execute(op.body)
        made = self.last() if op.loose_ends is None else self.loose_ends(op.loose_ends)
        self.outputs[op.registers[0]] = made
        self.trail = trail
        self.push(made)

    def residual(self, op: ResidualOp) -> None:
        trail = self.trail
        source = self.last() if op.source is None else self.flow(op.source, op.node.pointer)
        self.push(source)
        self.execute(op.body)
        made = self.last()
        self.trail = trail
        if op.shortcut is not None:
            source = self.adapted(source, made, op.shortcut, op.node.pointer)
        self.push(self.added(op.node, made, source) if op.or_alone else self.block(op.node, (made, source)))

    @abstractmethod
    def edge(self, source: Edge, pointer: str) -> F:
        """The node that an edge choice takes."""

    @abstractmethod
    def block(self, op: BlockOp, inputs: tuple[F, ...]) -> F:
        """What a block makes of its inputs."""

    @abstractmethod
    def repeat(self, op: RepeatOp) -> None:
        """Runs the iterations and leaves the trail as where the last of them ended."""

    @abstractmethod
    def switch(self, op: SwitchOp) -> None:
        """Runs the bodies and pushes what the chosen one makes."""

    @abstractmethod
    def adapted(self, source: F, like: F, body: Sequence[Op], pointer: str) -> F:
        """The source, through the body where its shape is not that of `like`; leaves the trail as it was."""

    @abstractmethod
    def added(self, node: BlockOp, made: F, source: F) -> F:
        """The sum where both have one shape, else what was made."""

    @abstractmethod
    def gathered(self, op: GatherOp) -> F:
        """Several nodes joined into one."""

    @abstractmethod
    def loose_ends(self, op: LooseEndsOp) -> F:
        """The nodes of the graph just run that no other of its nodes reads, joined into one."""
