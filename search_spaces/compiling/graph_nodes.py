"""Compiles nodes with wires of their own: graphs, residuals, adapters."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from search_spaces.blocks.registry import BLOCKS
from search_spaces.compiling.block_nodes import BlockCompiler
from search_spaces.compiling.frames import Earlier, Frame, located
from search_spaces.compiling.program import (
    AdaptOp,
    Back,
    GraphOp,
    LooseEndsOp,
    Op,
    Reference,
    Register,
    ResidualOp,
)
from search_spaces.errors import SpaceError
from search_spaces.language.values import Edge, Value, all_hold


class GraphCompiler(BlockCompiler, ABC):
    """The part of the compiler that knows wires between nodes."""

    @abstractmethod
    def _nodes(self, raw: list[Any], frame: Frame, ops: list[Op], pointer: str) -> None:
        """Compiles a list of nodes behind `ops`."""

    @abstractmethod
    def _node(self, raw: Mapping[str, Any], outer: Frame, ops: list[Op], pointer: str, label: str = "") -> None:
        """Compiles a node behind `ops`."""

    def _graph(
        self, raw: Any, frame: Frame, ops: list[Op], pointer: str, name: str, sources: tuple[Reference, ...]
    ) -> None:
        graph = raw["graph"]
        inputs: tuple[Reference, ...] = sources or (Back(1),)
        labels = graph.get("inputs") or ["x"]
        if len(inputs) != len(labels) or len(set(labels)) != len(labels):
            raise SpaceError(
                f"{pointer}/graph/inputs", "inputs", f"{len(inputs)} inputs come in, {len(labels)} are named",
                f"what comes in is written beside graph:, as inputs: with a node for each of {', '.join(labels)} "
                "(each name once)",
            )  # fmt: skip
        registers = tuple(self._register() for _ in labels)
        earlier = [
            Earlier(label, register, frame.guards, True) for label, register in zip(labels, registers, strict=True)
        ]
        for register, source in zip(registers, inputs, strict=True):
            if isinstance(source, Edge):
                self.edge_of[register] = (source.index, source.labels)
            elif isinstance(source, Register) and source.number in self.edge_of:
                self.edge_of[register] = self.edge_of[source.number]
        inner = frame.child(
            **frame.along(name),
            labels=dict(zip(labels, registers, strict=True)),
            earlier=earlier,
        )
        body: list[Op] = []
        self._nodes(graph["body"], inner, body, f"{pointer}/graph/body")
        output, loose = graph.get("output", "last"), None
        at = f"{pointer}/graph/output"
        if isinstance(output, dict):
            nodes = [item for item in earlier if not item.is_input]
            presences = [self._presence(frame.guards, item.guards) for item in nodes]
            if all(presence is not None for presence in presences):
                raise SpaceError(
                    at, "output", "loose ends need a node that always exists", "let the count begin at 1, not 0"
                )
            candidates = tuple((item.register, here) for item, here in zip(nodes, presences, strict=True))
            key = self._key(*inner.prefix, output["loose_ends"])
            node = self._block_op(key, BLOCKS[output["loose_ends"]], {}, (), at)
            loose = LooseEndsOp(node, candidates)
        elif output != "last":
            with located(at):
                register = inner.label(output)
            if not (earlier and earlier[-1].register == register):
                key = self._key(*inner.prefix, "output")
                body.append(self._block_op(key, BLOCKS["identity"], {}, (Register(register),), at))
        ops.append(GraphOp(inputs, registers, tuple(body), loose, pointer))

    def _presence(self, guards: tuple[Value, ...], wanted: tuple[Value, ...]) -> Value | None:
        """Where a node exists inside a graph that exists; None: everywhere."""
        if self._implies(guards, wanted):
            return None
        held = {id(guard) for guard in guards}
        return all_hold([guard for guard in wanted if id(guard) not in held])

    def _adapt(
        self, raw: Any, frame: Frame, ops: list[Op], pointer: str, name: str, sources: tuple[Reference, ...]
    ) -> None:
        if len(sources) > 1:
            raise SpaceError(f"{pointer}/inputs", "inputs", "one input is adapted")
        like = self._sources([raw["like"]], frame, ops, f"{pointer}/like", name)[0]
        inner = frame.child(earlier=frame.inside(), **frame.along(name))
        body: list[Op] = []
        self._nodes(raw["adapt"], inner, body, f"{pointer}/adapt")
        ops.append(AdaptOp(sources[0] if sources else Back(1), like, tuple(body), pointer))

    def _residual(
        self, raw: Any, frame: Frame, ops: list[Op], pointer: str, name: str, sources: tuple[Reference, ...]
    ) -> None:
        if len(sources) > 1:
            raise SpaceError(f"{pointer}/inputs", "inputs", "a residual reads one input")
        inner = frame.child(earlier=frame.inside(), **frame.along(name))
        body: list[Op] = []
        self._nodes(raw["residual"], inner, body, f"{pointer}/residual")
        shortcut: list[Op] | None = None
        alone = raw.get("shortcut") == "none"
        if raw.get("shortcut") and not alone:
            shortcut = []
            self._node(raw["shortcut"], inner, shortcut, f"{pointer}/shortcut", label="shortcut")
        key = self._key(*inner.prefix, "add")
        node = self._block_op(key, BLOCKS["add"], {}, (), pointer)
        ops.append(
            ResidualOp(
                sources[0] if sources else None,
                tuple(body),
                None if shortcut is None else tuple(shortcut),
                node,
                alone,
            )
        )
