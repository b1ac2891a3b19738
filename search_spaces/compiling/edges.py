"""Compiles edge choices: which earlier nodes of a graph a node reads, where some of them may not exist."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from search_spaces.compiling.choices import ChoiceCompiler
from search_spaces.compiling.frames import Earlier, Frame
from search_spaces.errors import SpaceError, did_you_mean
from search_spaces.language.operations import compare, logical_or
from search_spaces.language.values import Edge, ListValue, Value, all_hold, combine, conjunction


@dataclass(frozen=True)
class Subset:
    """Any of several registers: those whose flag holds."""

    registers: tuple[int, ...]
    flags: tuple[Value, ...]


class EdgeCompiler(ChoiceCompiler):
    """The part of the compiler that knows choices among nodes."""

    def _choose(self, raw: Mapping[str, Any], frame: Frame, pointer: str, hint: str) -> Any:
        """The picked nodes: an Edge, a list of them, or (`k: any`) the candidates with their flags."""
        candidates = self._candidates(raw["choose"], frame, pointer)
        labels = tuple(item.label for item in candidates)
        k = raw.get("k", 1)
        if k == "any":
            return self._subset(candidates, frame, pointer, hint)
        registers = tuple(item.register for item in candidates)
        distinct = raw.get("distinct", True) and k > 1
        if distinct and k > len(labels):
            raise SpaceError(
                pointer, "options", f"{k} distinct edges among {len(labels)} earlier nodes",
                "choose fewer, write distinct: false, or begin the graph with more nodes",
            )  # fmt: skip
        names = [hint] if k == 1 else [f"{hint}{position}" for position in range(k)]
        picks = [self._edge_gene(name, list(labels), False, frame, pointer) for name in names]
        for pick in picks:
            for position, item in enumerate(candidates):
                if not self._implies(frame.guards, item.guards):
                    self._add_constraint(_exists(pick, position, item), pointer, f"{item.label} exists")
        if k == 1:
            return Edge(registers, picks[0], labels)
        self._relate(picks, distinct, raw.get("sorted", True), pointer)
        return ListValue(tuple(Edge(registers, pick, labels) for pick in picks))

    def _candidates(self, wanted: str | list[str], frame: Frame, pointer: str) -> list[Earlier]:
        if frame.earlier is None:
            raise SpaceError(pointer, "choose", "edge choices stand inside a graph", "wrap the nodes in graph:")
        if wanted == "earlier":
            return list(frame.earlier)
        by_label = {item.label: item for item in frame.earlier}
        for name in wanted:
            if name not in by_label:
                hint = "for all of them write choose: earlier" if name == "earlier" else did_you_mean(name, by_label)
                raise SpaceError(pointer, "reference", f"no earlier node is named '{name}'", hint)
        return [by_label[name] for name in wanted]

    def _edge_gene(self, name: str, options: list[Any], ordered: bool, frame: Frame, pointer: str) -> Value:
        index = self._gene(name, options, ordered, frame, pointer)
        self.edge_genes |= index.genes
        return index

    def _subset(self, candidates: list[Earlier], frame: Frame, pointer: str, hint: str) -> Subset:
        """One yes-or-no choice per candidate, at least one of them yes; none for candidates that do not exist."""
        flags = []
        for item in candidates:
            inner = frame.child(guards=tuple(dict.fromkeys((*frame.guards, *item.guards))))
            flags.append(self._edge_gene(f"{hint}.{item.label}", [False, True], True, inner, pointer))
        chosen = [combine(lambda at: compare("==", at, 1), flag) for flag in flags]
        absent = [combine(lambda at: compare("<", at, 0), flag) for flag in flags]
        some = combine(logical_or, *chosen, conjunction(absent), folds=True)
        self._add_constraint(some, pointer, "at least one edge")
        return Subset(tuple(item.register for item in candidates), tuple(chosen))


def _exists(pick: Value, position: int, item: Earlier) -> Value:
    """True unless the pick ends at a node that does not exist."""
    return combine(lambda at, present: logical_or(compare("!=", at, position), present), pick, all_hold(item.guards))
