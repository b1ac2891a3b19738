"""Who reads whom inside a graph, for drawing: fixed inputs, inputs that a choice decides, nodes that may be absent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from search_spaces.compiling.program import (
    Back,
    Capture,
    GatherOp,
    GraphOp,
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
from search_spaces.compiling.wiring import inside, sources_of
from search_spaces.language.values import Edge, Value


@dataclass(frozen=True)
class Input:
    """Where one input comes from: a node by its place, -1 - k for the graph's input k; several where it depends."""

    places: tuple[int, ...]
    gene: str | None = None


@dataclass(frozen=True)
class Wired:
    """A node of a graph with its inputs; an optional one is absent from some architectures."""

    op: Op
    inputs: tuple[Input, ...]
    optional: bool


@dataclass
class GraphWiring:
    """The nodes of a graph in order, those of its repeats one by one, and what its loose ends may be."""

    graph: GraphOp
    program: Program
    nodes: list[Wired] = field(default_factory=list)
    loose_ends: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        begun = [Input((-1 - place,)) for place in range(len(self.graph.registers))]
        self._stored = dict(zip(self.graph.registers, begun, strict=True))
        self._trail = begun
        self._walk(self.graph.body, False)
        if self.graph.loose_ends is not None:
            found = [self._stored[register].places for register, _ in self.graph.loose_ends.candidates]
            self.loose_ends = tuple(sorted({place for places in found for place in places}))

    def _walk(self, ops: Sequence[Op], optional: bool) -> None:
        for op in ops:
            match op:
                case Push():
                    self._trail = [*self._trail, *self._inputs([op.source])]
                case Capture():
                    self._stored[op.register] = self._inputs([op.source])[0]
                case Mark():
                    self._stored[op.register] = self._trail[-1]
                case RepeatOp():
                    for guard, body in op.iterations:
                        before = self._trail
                        self._walk(body, optional or guard is not None)
                        if guard is not None:  # what follows reads this iteration, or what was before it
                            either = (*before[-1].places, *self._trail[-1].places)
                            self._trail = [*self._trail[:-1], Input(tuple(dict.fromkeys(either)))]
                case GatherOp():
                    read = self._inputs(op.inputs)
                    if op.flags is not None:
                        chosen = zip(read, op.flags, strict=True)
                        read = [Input(one.places, self._name(flag) or one.gene) for one, flag in chosen]
                    self._stored[op.register] = self._add(op, read, optional)
                case _:
                    self._trail = [*self._trail, self._add(op, self._inputs(_read_by(op)), optional)]

    def _add(self, op: Op, inputs: Sequence[Input], optional: bool) -> Input:
        self.nodes.append(Wired(op, tuple(dict.fromkeys(inputs)), optional))
        return Input((len(self.nodes) - 1,))

    def _inputs(self, references: Sequence[Reference]) -> list[Input]:
        """What is known here: nodes inside a node keep their own references to themselves."""
        found: list[Input] = []
        for reference in references:
            match reference:
                case Back() if reference.steps <= len(self._trail):
                    found.append(self._trail[-reference.steps])
                case Register() if reference.number in self._stored:
                    found.append(self._stored[reference.number])
                case Edge():
                    known = [self._stored[number].places for number in reference.registers if number in self._stored]
                    places = tuple(dict.fromkeys(place for each in known for place in each))
                    if places:
                        found.append(Input(places, self._name(reference.index)))
        return found

    def _name(self, value: Value) -> str | None:
        return self.program.genes[min(value.genes)].name if value.genes else None


def _read_by(op: Op) -> list[Reference]:
    """What a node reads; of what is inside it only references by register, which may lead outside."""
    own = sources_of(op)
    if isinstance(op, SwitchOp | ResidualOp) and op.source is None:
        own = [Back(1)]
    within = [reference for inner in inside(op) for reference in _read_by(inner)]
    return [*own, *(reference for reference in within if not isinstance(reference, Back))]
