"""Where compilation of a document stands: visible names, paths of weights and genes, guards, and places of errors."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from search_spaces.errors import SpaceError, did_you_mean
from search_spaces.language.values import Place, Record, Value

COSTS = (
    *("macs", "flops", "params", "activations", "peak_activation_bytes", "peak_memory", "memory"),
    *("latency_ms", "latency", "accuracy", "accuracy_top1"),
)


class LimitError(SpaceError):
    """A size limit of the language; compilation stops at once."""


@dataclass(frozen=True)
class Earlier:
    """A node that edge choices of a graph may refer to."""

    label: str
    register: int
    guards: tuple[Value, ...]
    is_input: bool


@dataclass
class Share:
    """One occurrence of a node whose choices are shared under a name: `taken` are its gene names so far."""

    name: str
    taken: dict[str, int] = field(default_factory=dict)


@dataclass
class Frame:
    """Where compilation stands: visible names and nodes, name prefix, guards, and the input of the current node."""

    names: dict[str, Any]
    prefix: tuple[str, ...]
    guards: tuple[Value, ...]
    record: Record
    parent: Frame | None = None
    labels: dict[str, int] = field(default_factory=dict)
    own_weights: dict[str, str] = field(default_factory=dict)  # keys of what this list of nodes names ./NAME
    earlier: list[Earlier] | None = None
    place: Callable[[], Place] | None = None
    templates: tuple[str, ...] = ()
    gene_path: tuple[str, ...] = ()
    share: Share | None = None
    shared_as: str = ""
    separate: tuple[tuple[Value, tuple[str, ...]], ...] = ()  # choices whose options have weights of their own

    def along(self, *names: str) -> dict[str, Any]:
        """The paths of weights and of genes, both one step (or none, for empty names) further."""
        kept = tuple(name for name in names if name)
        # A share is found under its own name, whatever the node that stands for it is called.
        of_genes = kept[1:] if kept and kept[0] == self.shared_as else kept
        return {"prefix": (*self.prefix, *kept), "gene_path": (*self.gene_path, *of_genes), "shared_as": ""}

    def child(self, **changes: Any) -> Frame:
        fresh: dict[str, Any] = {"names": {}, "labels": {}, "own_weights": {}, "parent": self}
        return replace(self, **(fresh | changes))

    def inside(self) -> list[Earlier] | None:
        """What edge choices may read inside a node of a graph: those there are no candidates outside."""
        return None if self.earlier is None else list(self.earlier)

    def look(self, name: str) -> Any:
        if name == "in":
            if self.place is None:
                raise SpaceError("", "name", "'in' is known only inside the network", "use input.channels")
            return self.place()
        frame: Frame | None = self
        known: dict[str, Any] = {"in": None}
        while frame is not None:
            if name in frame.names:
                return frame.names[name]
            if name in frame.labels:
                return Place(frame.labels[name])
            known = dict.fromkeys(frame.labels) | frame.names | known
            frame = frame.parent
        raise SpaceError("", "name", f"the name '{name}' is not defined here", _name_advice(name, known))

    def label(self, name: str) -> int:
        frame: Frame | None = self
        known: set[str] = set()
        while frame is not None:
            if name in frame.labels:
                return frame.labels[name]
            known |= frame.labels.keys()
            frame = frame.parent
        hint = did_you_mean(name, known)
        raise SpaceError(
            "",
            "reference",
            f"no earlier node is named '{name}'",
            f"{hint}; a node reads only nodes above it".strip("; "),
        )


def _name_advice(name: str, known: dict[str, Any]) -> str:
    owners = [owner for owner, bound in known.items() if isinstance(bound, Record) and name in bound.entries]
    if owners:
        return f"did you mean '{owners[0]}.{name}'?"
    if name in COSTS:
        return "a space has no costs: bound them by a constraint of the search's objectives"
    if name in ("i", "index"):
        return "the index of a repeat is known inside its body"
    return did_you_mean(name, known)


@contextmanager
def located(pointer: str) -> Iterator[None]:
    """Gives problems raised inside the pointer, where they carry none of their own."""
    try:
        yield
    except SpaceError as error:
        if all(problem.pointer for problem in error.problems):
            raise
        located = [replace(problem, pointer=problem.pointer or pointer) for problem in error.problems]
        raise type(error)(located) from None
