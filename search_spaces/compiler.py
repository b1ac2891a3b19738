"""Unrolls a document to its maximal program: scopes, choices to genes, references to registers, guards.

Mapping order never matters: names of a mapping are processed in sorted order, so that gene order is a function
of the canonical document. All problems of sibling nodes are collected before SpaceError is raised.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from search_spaces.blocks.base import Block, Param
from search_spaces.blocks.registry import BLOCKS
from search_spaces.document import Document
from search_spaces.errors import Problem, SpaceError, did_you_mean
from search_spaces.expressions import Term, parse_expression
from search_spaces.parameters import MAX_SIZE, param_problem
from search_spaces.program import (
    Back,
    BlockOp,
    Capture,
    Constraint,
    Gene,
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
from search_spaces.tables import tabulate
from search_spaces.values import (
    Collection,
    Edge,
    Lazy,
    ListValue,
    Place,
    Record,
    Value,
    combine,
    compare,
    compile_term,
    compile_value,
    conjunction,
    constant,
    force,
    gene_index,
    logical_and,
    logical_not,
    logical_or,
    lookup,
    quantified,
    safe_guard,
    to_value,
)

MAX_GENES = 1_000
MAX_NODES = 5_000
MAX_VISITS = 20_000
MAX_OPTIONS = 256
MAX_CONSTRAINTS = 5_000
INPUT_DEFAULTS = {
    "channels": 3, "resolution": 32, "height": 32, "width": 32, "length": 128, "vocabulary": 1000, "features": 64,
}  # fmt: skip
DEFAULT_CLASSES = 10


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
    earlier: list[Earlier] | None = None
    place: Callable[[], Place] | None = None
    templates: tuple[str, ...] = ()
    gene_path: tuple[str, ...] = ()
    share: Share | None = None
    shared_as: str = ""

    def along(self, *names: str) -> dict[str, Any]:
        """The paths of weights and of genes, both one step (or none, for empty names) further."""
        kept = tuple(name for name in names if name)
        # A share is found under its own name, whatever the node that stands for it is called.
        of_genes = kept[1:] if kept and kept[0] == self.shared_as else kept
        return {"prefix": (*self.prefix, *kept), "gene_path": (*self.gene_path, *of_genes), "shared_as": ""}

    def child(self, **changes: Any) -> Frame:
        fresh: dict[str, Any] = {"names": {}, "labels": {}, "parent": self}
        return replace(self, **(fresh | changes))

    def look(self, name: str) -> Any:
        if name == "in":
            if self.place is None:
                raise SpaceError("", "name", "'in' is known only inside the network", "use input.channels")
            return self.place()
        frame: Frame | None = self
        known: set[str] = set()
        while frame is not None:
            if name in frame.names:
                return frame.names[name]
            if name in frame.labels:
                return Place(frame.labels[name])
            known |= frame.names.keys() | frame.labels.keys()
            frame = frame.parent
        raise SpaceError("", "name", f"the name '{name}' is not defined here", did_you_mean(name, known | {"in"}))

    def label(self, name: str) -> int:
        frame: Frame | None = self
        known: set[str] = set()
        while frame is not None:
            if name in frame.labels:
                return frame.labels[name]
            known |= frame.labels.keys()
            frame = frame.parent
        raise SpaceError("", "reference", f"no earlier node is named '{name}'", did_you_mean(name, known))


def compile_document(document: Document, scale: str) -> Program:
    """The maximal program of a document at a scale. Raises SpaceError with every problem found."""
    return _Compiler(document, scale).run()


@contextmanager
def _at(pointer: str) -> Iterator[None]:
    """Gives problems raised inside the pointer, where they carry none of their own."""
    try:
        yield
    except SpaceError as error:
        if all(problem.pointer for problem in error.problems):
            raise
        located = [replace(problem, pointer=problem.pointer or pointer) for problem in error.problems]
        raise type(error)(located) from None


class _Compiler:
    def __init__(self, document: Document, scale: str) -> None:
        self.raw = document.to_json()
        self.scale = scale
        self.genes: list[Gene] = []
        self.gene_guards: list[tuple[Value, ...]] = []
        self.gene_names: dict[str, int] = {}
        self.shared_genes: dict[str, int] = {}
        self.share_guards: dict[str, tuple[Value, ...]] = {}
        self.keys: dict[str, int] = {}
        self.constraints: list[Constraint] = []
        self.problems: list[Problem] = []
        self.num_registers = 1  # register 0 is the network input
        self.num_steps = 0
        self.max_back = 1
        self.visits = 0
        self.input_values: dict[str, Value] = {}
        self.input_kind = "image"

    def run(self) -> Program:
        constants = self._scale_constants()
        root = Frame(
            {name: constant(value) for name, value in constants.items()},
            (),
            (),
            Record(),
            labels={"input": 0},
        )
        classes = self._classes(root)
        with self._collect():
            self._input(root)
        self._let(self.raw.get("let"), root, "/let")
        self.root = root
        ops: list[Op] = []
        self._nodes(self.raw["network"], root.child(), ops, "/network")
        for position, text in enumerate(self.raw.get("constraints") or []):
            with self._collect():
                self._constraint(text, root, f"/constraints/{position}")
        if self.problems:
            raise SpaceError(self.problems)
        return Program(
            genes=tuple(self.genes),
            guards=tuple(self.gene_guards),
            constraints=tuple(self.constraints),
            task=self.raw["task"]["kind"],
            classes=classes,
            input_kind=self.input_kind,
            input_values=self.input_values,
            ops=tuple(ops),
            num_steps=self.num_steps,
            max_back=self.max_back,
            weight_keys=tuple(sorted(self.keys)),
        )

    # --- problems and limits ---------------------------------------------------------------------------

    @contextmanager
    def _collect(self) -> Iterator[None]:
        try:
            yield
        except LimitError:
            raise
        except SpaceError as error:
            known = set(self.problems)
            self.problems += [problem for problem in dict.fromkeys(error.problems) if problem not in known]
            if len(self.problems) > 50:
                raise LimitError(self.problems) from None

    def _unique(self, name: str, taken: dict[str, int]) -> str:
        """The name, with a number where it is taken; `taken` counts how often each name was asked for."""
        unique = name
        while unique in taken:
            taken[name] += 1
            unique = f"{name}_{taken[name]}"
        taken[unique] = 1
        return unique

    def _register(self) -> int:
        self.num_registers += 1
        return self.num_registers - 1

    # --- the head of the document ----------------------------------------------------------------------

    def _scale_constants(self) -> dict[str, Any]:
        scales = self.raw.get("scale") or {}
        if not scales:
            if self.scale not in ("search", "final"):
                raise SpaceError("/scale", "scale", f"the scale '{self.scale}' is unknown", "use search or final")
            return {}
        names = set().union(*(values.keys() for values in scales.values()))
        for scale, values in scales.items():
            if names - values.keys():
                missing = ", ".join(sorted(names - values.keys()))
                raise SpaceError(f"/scale/{scale}", "scale", f"no value for {missing}", "name it at every scale")
        if self.scale not in scales:
            raise SpaceError(
                "/scale", "scale", f"the scale '{self.scale}' is unknown", did_you_mean(self.scale, scales)
            )
        return dict(scales[self.scale])

    def _classes(self, root: Frame) -> int | None:
        classes = _stand_in(self.raw["task"].get("classes"), DEFAULT_CLASSES)
        if classes is not None:
            root.names["classes"] = constant(classes)
        elif self.raw["task"]["kind"].endswith("classification"):
            self.problems.append(
                Problem("/task/classes", "missing", "'classes' is required", "write a number, or: classes: data")
            )
        return classes

    def _input(self, root: Frame) -> None:
        given = {name: value for name, value in self.raw["input"].items() if value is not None}
        record = Record()
        for name in sorted(given):
            with _at(f"/input/{name}"):
                plain = _stand_in(given[name], INPUT_DEFAULTS[name])
                record.entries[name] = self._binding(plain, root, f"/input/{name}", name)
        if "resolution" in given:
            record.entries.setdefault("height", record.entries["resolution"])
            record.entries.setdefault("width", record.entries["resolution"])
        kinds = {
            "image": ("channels", "height", "width"),
            "tokens": ("length", "vocabulary"),
            "vector": ("features",),
        }
        for kind, names in kinds.items():
            if all(name in record.entries for name in names):
                self.input_kind = kind
                break
        else:
            raise SpaceError(
                "/input",
                "input",
                "an input is {channels, resolution}, {channels, height, width}, {length, vocabulary} or {features}",
            )
        if self.input_kind == "tokens":
            values = {"length": record.entries["length"], "features": constant(1)}
        else:
            values = {name: record.entries[name] for name in kinds[self.input_kind]}
        for name, value in values.items():
            with _at(f"/input/{name if name in given else 'resolution'}"):
                self.input_values[name] = self._input_value(to_value(value))
        root.names["input"] = record

    def _input_value(self, value: Value) -> Value:
        found = tabulate(value, [len(gene.options) for gene in self.genes], 4_096) if value.is_pure else None
        if found is None or any(type(size) is not int or not 1 <= size <= MAX_SIZE for size in found):
            raise SpaceError("", "input", "an input size is a whole number or a choice of some", "give plain numbers")
        return value

    # --- values ----------------------------------------------------------------------------------------

    def _let(self, let: Mapping[str, Any] | None, frame: Frame, pointer: str) -> None:
        names = sorted(let or {})
        for name in names:
            if name == "in" or name in ("true", "false", "null", "and", "or", "not"):
                self.problems.append(Problem(f"{pointer}/{name}", "name", f"'{name}' is a reserved word"))

            def compute(name: str = name) -> Any:
                return self._binding(let[name], frame, f"{pointer}/{name}", name)  # type: ignore[index]

            frame.names[name] = Lazy(compute, name)
            frame.record.entries.setdefault(name, frame.names[name])
        for name in names:
            with self._collect(), _at(f"{pointer}/{name}"):
                force(frame.names[name])

    def _expression(self, text: str, frame: Frame, pointer: str) -> Any:
        with _at(pointer):
            return compile_term(parse_expression(text), frame.look)

    def _binding(self, raw: Any, frame: Frame, pointer: str, hint: str) -> Any:
        """The binding of a value as written; choices become genes named `hint` (or by their own name)."""
        if isinstance(raw, str):
            return self._expression(raw, frame, pointer) if raw.startswith("=") else constant(raw)
        if isinstance(raw, list):
            items = [
                self._binding(item, frame, f"{pointer}/{position}", f"{hint}{position}")
                for position, item in enumerate(raw)
            ]
            return ListValue(tuple(items))
        if not isinstance(raw, dict):
            return constant(raw)
        hint = raw.get("name") or hint
        if "one_of" in raw:
            return self._choice(raw["one_of"], raw.get("ordered"), frame, f"{pointer}/one_of", hint)
        if "int" in raw:
            low, high = (
                self._constant_int(end, frame, f"{pointer}/int/{position}") for position, end in enumerate(raw["int"])
            )
            options = list(range(low, high + 1, raw.get("step", 1))) if high - low < 1_000_000 else []
            if not 0 < len(options) <= MAX_OPTIONS:
                raise SpaceError(
                    pointer, "options", f"{low}..{high} gives {len(options)} options; 1 to 256 are allowed", "set step"
                )
            return self._choice(options, True, frame, f"{pointer}/int", hint)
        if "float" in raw:
            (low, high), levels = raw["float"], raw["levels"]
            if not low < high or (raw.get("log") and low <= 0):
                raise SpaceError(pointer, "options", "a float choice needs lo < hi (and lo > 0 with log)")
            spaced = np.geomspace(low, high, levels) if raw.get("log") else np.linspace(low, high, levels)
            return self._choice([float(f"{value:.12g}") for value in spaced], True, frame, f"{pointer}/float", hint)
        if "many_of" in raw:
            return self._many_of(raw["many_of"], frame, f"{pointer}/many_of", hint)
        if "choose" in raw:
            return self._choose(raw, frame, pointer, hint)
        record = Record(guards=frame.guards)
        for name in sorted(raw):

            def compute(name: str = name) -> Any:
                return self._binding(raw[name], frame, f"{pointer}/{name}", name)

            record.entries[name] = Lazy(compute, name)
        for binding in list(record.entries.values()):
            force(binding)
        return record

    def _constant_int(self, raw: Any, frame: Frame, pointer: str) -> int:
        value = to_value(self._binding(raw, frame, pointer, "bound"))
        if not value.is_constant or not isinstance(value.constant, int):
            raise SpaceError(pointer, "type", "needs a whole number known before the search")
        return value.constant

    def _gene(self, hint: str, options: list[Any], ordered: bool, frame: Frame, pointer: str) -> Value:
        if len(self.genes) >= MAX_GENES:
            raise LimitError(pointer, "limits", f"more than {MAX_GENES} choices", "share choices with let")
        if len(options) > MAX_OPTIONS:
            raise SpaceError(pointer, "options", f"{len(options)} options; at most {MAX_OPTIONS} are allowed")
        kinds = [(type(option), option) for option in options]
        if len(set(kinds)) < len(kinds):
            twice = next(json.dumps(kind[1]) for position, kind in enumerate(kinds) if kind in kinds[:position])
            raise SpaceError(pointer, "options", f"the option {twice} appears twice", "remove one")
        path = ".".join((*frame.gene_path, hint))
        if frame.share is not None:
            name = self._unique(path, frame.share.taken)
            before = self.shared_genes.get(name)
            if before is not None:
                return self._shared_gene(before, options, frame, pointer)
            self.shared_genes[name] = len(self.genes)
            if name in self.gene_names:
                raise SpaceError(pointer, "share", f"a choice outside is named '{name}' too", "rename the share")
            self.gene_names[name] = 1
        else:
            name = self._unique(path, self.gene_names)
        self.genes.append(Gene(name, tuple(options), ordered))
        self.gene_guards.append(self._minimal(frame.guards, frozenset()))
        return gene_index(len(self.genes) - 1)

    def _shared_gene(self, gene: int, options: list[Any], frame: Frame, pointer: str) -> Value:
        """The gene that an earlier occurrence of a share made, where the same choice stands again."""
        if list(self.genes[gene].options) != options:
            raise SpaceError(
                pointer, "share", f"'{self.genes[gene].name}' has other options at another place", "use two shares"
            )
        assert frame.share is not None
        outer = {id(guard) for guard in self.share_guards[frame.share.name]}
        if not outer <= {id(guard) for guard in frame.guards}:
            raise SpaceError(
                pointer, "share", "the first node of a share is optional", "make the choices in a let outside"
            )
        return gene_index(gene)

    def _minimal(self, guards: tuple[Value, ...], genes: frozenset[int]) -> tuple[Value, ...]:
        """Guards without those that the activity of the others' genes (or of `genes`) already implies."""
        implied: set[int] = set()
        for gene in genes:
            implied |= {id(guard) for guard in self._closure(gene)}
        for guard in guards:
            for gene in guard.genes:
                implied |= {id(other) for other in self._closure(gene) if other is not guard}
        return tuple(guard for guard in guards if id(guard) not in implied)

    def _closure(self, gene: int) -> list[Value]:
        """All guards that hold where a gene is active."""
        result: list[Value] = []
        for guard in self.gene_guards[gene]:
            result.append(guard)
            for other in guard.genes:
                result += self._closure(other)
        return result

    def _choice(self, raw: list[Any], ordered: bool | None, frame: Frame, pointer: str, hint: str) -> Any:
        return self._indexed_choice(raw, ordered, frame, pointer, hint)[1]

    def _indexed_choice(
        self, raw: list[Any], ordered: bool | None, frame: Frame, pointer: str, hint: str
    ) -> tuple[Value, Any]:
        """A choice among values: the gene's index and the chosen option."""
        labels: list[Any] = []
        for position, option in enumerate(raw):
            if isinstance(option, dict | list):
                text = json.dumps(option, sort_keys=True)
                named = option.get("name") if isinstance(option, dict) else None
                labels.append(named if isinstance(named, str) else text if len(text) <= 60 else f"option{position}")
            elif isinstance(option, str) and option.startswith("="):
                value = self._expression(option, frame, f"{pointer}/{position}")
                is_plain = isinstance(value, Value) and value.is_constant
                labels.append(value.constant if is_plain else option)
            else:
                labels.append(option)
        numbers = [label for label in labels if isinstance(label, int | float) and not isinstance(label, bool)]
        if ordered is None:
            ordered = len(numbers) == len(labels) and all(a < b for a, b in itertools.pairwise(numbers))
        index = self._gene(hint, labels, ordered, frame, pointer)
        options = []
        for position, option in enumerate(raw):
            if isinstance(option, dict | list):
                chosen = combine(lambda at, position=position: compare("==", at, position), index)
                inner = frame.child(
                    guards=(*frame.guards, chosen), record=Record(guards=frame.guards), **frame.along(hint)
                )
                options.append(self._binding(option, inner, f"{pointer}/{position}", str(position)))
            else:
                options.append(self._binding(option, frame, f"{pointer}/{position}", hint))
        binding = self._select(index, options, pointer)
        frame.record.entries.setdefault(hint, binding)
        return index, binding

    def _select(self, index: Value, options: list[Any], pointer: str) -> Any:
        if all(isinstance(option, Record) for option in options):
            names = set(options[0].entries)
            if any(set(option.entries) != names for option in options):
                raise SpaceError(pointer, "options", "all options need the same entries")
            return Record(
                {
                    name: self._select(index, [option.read(name) for option in options], pointer)
                    for name in sorted(names)
                }
            )
        if all(isinstance(option, ListValue) for option in options):
            length = len(options[0].items)
            if any(len(option.items) != length for option in options):
                raise SpaceError(pointer, "options", "all lists of a choice need one length")
            return ListValue(
                tuple(
                    self._select(index, [force(option.items[i]) for option in options], pointer) for i in range(length)
                )
            )
        with _at(pointer):
            return lookup(index, [to_value(option) for option in options])

    def _many_of(self, raw: Mapping[str, Any], frame: Frame, pointer: str, hint: str) -> ListValue:
        options, k = raw["from"], raw["k"]
        distinct, ordered = raw.get("distinct", True), raw.get("sorted", True)
        if distinct and k > len(options):
            raise SpaceError(pointer, "options", f"{k} distinct picks from {len(options)} options")
        picks = [
            self._indexed_choice(options, False, frame, f"{pointer}/from", f"{hint}{position}") for position in range(k)
        ]
        self._relate([index for index, _ in picks], distinct, ordered, pointer)
        return ListValue(tuple(binding for _, binding in picks))

    def _relate(self, picks: list[Value], distinct: bool, ordered: bool, pointer: str) -> None:
        """Order and distinctness among picks. They are active together, so inactive ones (-1) are let pass."""
        pairs = [(a, b) for i, a in enumerate(picks) for b in picks[i + 1 :]]
        if ordered:
            pairs = list(itertools.pairwise(picks))
        if not (distinct or ordered):
            return
        op = "<" if distinct and ordered else "<=" if ordered else "!="
        for a, b in pairs:
            holds = combine(lambda x, y: logical_or(compare(op, x, y), compare("<", y, 0)), a, b)
            self._add_constraint(holds, pointer, "distinct picks" if distinct else "sorted picks")

    def _choose(self, raw: Mapping[str, Any], frame: Frame, pointer: str, hint: str) -> Any:
        if frame.earlier is None:
            raise SpaceError(pointer, "choose", "edge choices stand inside a graph", "wrap the nodes in graph:")
        if raw["choose"] == "earlier":
            candidates = list(frame.earlier)
        else:
            by_label = {item.label: item for item in frame.earlier}
            for name in raw["choose"]:
                if name not in by_label:
                    raise SpaceError(
                        pointer, "reference", f"no earlier node is named '{name}'", did_you_mean(name, by_label)
                    )
            candidates = [by_label[name] for name in raw["choose"]]
        held = {id(guard) for guard in frame.guards}
        if any(id(guard) not in held for item in candidates for guard in item.guards):
            raise SpaceError(
                pointer, "choose", "an edge may end only at nodes that always exist", "use a fixed count in graphs"
            )
        labels = [item.label for item in candidates]
        registers = tuple(item.register for item in candidates)
        k = raw.get("k", 1)
        distinct = raw.get("distinct", True) and k > 1
        if distinct and k > len(labels):
            raise SpaceError(pointer, "options", f"{k} distinct edges among {len(labels)} earlier nodes")
        names = [hint] if k == 1 else [f"{hint}{position}" for position in range(k)]
        picks = [self._gene(name, list(labels), False, frame, pointer) for name in names]
        if k == 1:
            return Edge(registers, picks[0])
        self._relate(picks, distinct, raw.get("sorted", True), pointer)
        return ListValue(tuple(Edge(registers, pick) for pick in picks))

    # --- constraints -----------------------------------------------------------------------------------

    def _constraint(self, text: str, frame: Frame, pointer: str) -> None:
        with _at(pointer):
            for holds in self._conjuncts(parse_expression(text), frame.look):
                own = [gene for gene in holds.genes if self._inside(gene, frame.guards)]
                guards = self._minimal(frame.guards, frozenset(own))
                if guards or own:
                    here = conjunction([safe_guard(guard) for guard in guards])
                    holds = _implied(here, tuple(own), holds)
                self._add_constraint(holds, pointer, text)

    def _inside(self, gene: int, guards: tuple[Value, ...]) -> bool:
        """Whether a gene is inactive only where one of the guards fails (and not for a reason of its own)."""
        held = {id(guard) for guard in guards}
        return bool(self.gene_guards[gene]) and all(id(guard) in held for guard in self.gene_guards[gene])

    def _conjuncts(self, term: Term, look: Callable[[str], Any]) -> list[Value]:
        """A conjunction (of quantified parts too) as separate conditions: small supports keep counting cheap."""
        if term.op == "and":
            return [value for part in term.args for value in self._conjuncts(part, look)]
        if term.op == "quantifier" and term.args[0] == "all":
            return [
                combine(lambda here, holds: logical_or(logical_not(here), holds), present, value)
                for present, inner in quantified(term.args, look)
                for value in self._conjuncts(term.args[3], inner)
            ]
        return [compile_value(term, look)]

    def _add_constraint(self, holds: Value, pointer: str, text: str) -> None:
        if not holds.is_pure:
            raise SpaceError(pointer, "constraint", "a constraint reads choices, not shapes", "derive from let values")
        if holds.is_constant:
            if not holds.constant:
                raise SpaceError(pointer, "constraint", "the constraint is never met")
            return
        if len(self.constraints) >= MAX_CONSTRAINTS:
            raise LimitError(pointer, "limits", f"more than {MAX_CONSTRAINTS} single conditions")
        self.constraints.append(Constraint(holds, pointer, text))

    # --- nodes -----------------------------------------------------------------------------------------

    def _nodes(self, raw: list[Any], frame: Frame, ops: list[Op], pointer: str) -> None:
        for position, node in enumerate(raw):
            before = len(self.problems)
            with self._collect():
                self._node(node, frame, ops, f"{pointer}/{position}")
            if len(self.problems) > before and node.get("name"):
                # What refers to a broken node is not wrong as well.
                frame.labels.setdefault(node["name"], self._register())

    def _node(self, raw: Mapping[str, Any], outer: Frame, ops: list[Op], pointer: str, label: str = "") -> None:
        """Compiles a node behind `ops`. `outer` gets its name; `label` replaces it (branches of a choice)."""
        self.visits += 1
        if self.visits > MAX_VISITS:
            raise LimitError(pointer, "limits", "the document unrolls to too many nodes", "repeat less often")
        kind = next(kind for kind in _KINDS if kind in raw)
        frame = outer.child()
        if raw.get("share"):
            frame.share, frame.gene_path = Share(raw["share"]), (raw["share"],)
            frame.shared_as = label or raw.get("name") or ""
            self.share_guards.setdefault(raw["share"], outer.guards)
        body: list[Op] = []
        used: list[int] = []

        def place() -> Place:
            if not used:
                used.append(self._register())
            return Place(used[0])

        frame.place = place
        with _at(pointer):
            self._let(raw.get("let"), frame, f"{pointer}/let")
            sources = self._sources(raw.get("inputs"), frame, f"{pointer}/inputs", raw.get("name") or label)
            name = label or raw.get("name") or ""
            _KINDS[kind](self, raw, frame, body, pointer, name, sources)
            for position, text in enumerate(raw.get("constraints") or []):
                self._constraint(text, frame, f"{pointer}/constraints/{position}")
        if used and Register(used[0]) in sources:
            raise SpaceError(f"{pointer}/inputs", "cycle", "the input of a node is its own input", "name a node, or -1")
        if used:
            ops.append(Capture(used[0], sources[0] if sources else Back(1)))
        ops += body
        own_name = raw.get("name")
        in_graph = outer.earlier is not None and kind not in _SPLICED
        if own_name or in_graph:
            register = self._register()
            ops.append(Mark(register))
            if own_name:
                outer.labels[own_name] = register
            if in_graph and outer.earlier is not None:
                taken = {item.label: 1 for item in outer.earlier}
                shown = self._unique(own_name or f"node{sum(not i.is_input for i in outer.earlier)}", taken)
                outer.earlier.append(Earlier(shown, register, outer.guards, False))

    def _sources(self, raw: Any, frame: Frame, pointer: str, name: str) -> tuple[Reference, ...]:
        result: list[Reference] = []
        for position, item in enumerate(raw or []):
            at = f"{pointer}/{position}"
            with _at(at):
                if isinstance(item, int):
                    if not -32 <= item <= -1:
                        raise SpaceError(at, "reference", "references by number are -1 (last) to -32")
                    self.max_back = max(self.max_back, -item)
                    result.append(Back(-item))
                elif isinstance(item, dict):
                    hint = f"{name}.input{position}" if name else f"input{position}"
                    edge = self._choose(item, frame, at, item.get("name") or hint)
                    result += list(edge.items) if isinstance(edge, ListValue) else [edge]
                elif item.startswith("="):
                    bound = self._expression(item, frame, at)
                    for part in bound.items if isinstance(bound, ListValue) else (bound,):
                        if isinstance(part, Place):
                            part = Register(part.capture)
                        if not isinstance(part, Edge | Register):
                            raise SpaceError(at, "reference", "an input is a node", "write a node's name or choose")
                        result.append(part)
                else:
                    result.append(Register(frame.label(item)))
        return tuple(result)

    def _block(
        self, raw: Any, frame: Frame, ops: list[Op], pointer: str, name: str, sources: tuple[Reference, ...]
    ) -> None:
        kind = raw["block"]
        if kind not in BLOCKS:
            raise SpaceError(f"{pointer}/block", "block", f"no block '{kind}'", did_you_mean(kind, BLOCKS))
        block = BLOCKS[kind]
        inputs: tuple[Reference, ...] = sources or (Back(1),)
        if block.num_inputs is not None and len(inputs) != block.num_inputs:
            raise SpaceError(
                f"{pointer}/inputs", "inputs", f"{kind} reads {block.num_inputs} inputs, {len(inputs)} are given"
            )
        params = self._params(block, raw, frame, pointer)
        weights = raw.get("weights")
        if weights:
            key = f"shared.{weights}"
        else:
            key = self._unique(".".join((*frame.prefix, name or kind)), self.keys)
        ops.append(self._block_op(key, block, params, inputs, pointer))

    def _block_op(
        self, key: str, block: Block, params: dict[str, Value], inputs: tuple[Reference, ...], pointer: str
    ) -> BlockOp:
        self.num_steps += 1
        if self.num_steps > MAX_NODES:
            raise LimitError(pointer, "limits", f"more than {MAX_NODES} nodes when unrolled", "repeat less often")
        return BlockOp(self.num_steps - 1, key, block, params, inputs, pointer)

    def _params(self, block: Block, raw: Mapping[str, Any], frame: Frame, pointer: str) -> dict[str, Value]:
        declared = {param.name: param for param in block.params}
        values: dict[str, Value] = {}
        for name in sorted(set(raw) - _NODE_KEYS):
            if name not in declared:
                raise SpaceError(
                    f"{pointer}/{name}", "parameter", f"{block.kind} has no parameter '{name}'",
                    did_you_mean(name, declared),
                )  # fmt: skip
            with _at(f"{pointer}/{name}"):
                values[name] = to_value(self._binding(raw[name], frame, f"{pointer}/{name}", name))
                self._check_param(block, declared[name], values[name])
        for name, param in declared.items():
            if name not in values:
                if param.default is None:
                    raise SpaceError(pointer, "parameter", f"{block.kind} needs the parameter '{name}'", param.help)
                values[name] = constant(param.default)
        return values

    def _check_param(self, block: Block, param: Param, value: Value) -> None:
        if not value.is_pure:
            return
        found = tabulate(value, [len(gene.options) for gene in self.genes], limit=4_096)
        if found is None:
            return
        for item in list(dict.fromkeys(found)):
            problem = param_problem(param, item)
            if problem:
                raise SpaceError("", "parameter", f"{block.kind}.{param.name} = {item!r}: {problem}", param.help)

    def _spliced(self, frame: Frame, ops: list[Op], sources: tuple[Reference, ...], pointer: str) -> None:
        if len(sources) > 1:
            raise SpaceError(f"{pointer}/inputs", "inputs", "one input continues a sequence", "use graph for several")
        if sources:
            ops.append(Push(sources[0]))

    def _sequence(
        self, raw: Any, frame: Frame, ops: list[Op], pointer: str, name: str, sources: tuple[Reference, ...]
    ) -> None:
        self._spliced(frame, ops, sources, pointer)
        inner = frame.child(**frame.along(name))
        self._nodes(raw["sequence"], inner, ops, f"{pointer}/sequence")

    def _repeat(
        self, raw: Any, frame: Frame, ops: list[Op], pointer: str, name: str, sources: tuple[Reference, ...]
    ) -> None:
        self._spliced(frame, ops, sources, pointer)
        body, at = raw["repeat"], f"{pointer}/repeat/count"
        with _at(at):
            count = to_value(self._binding(body["count"], frame, at, "depth"))
        if not count.is_pure:
            raise SpaceError(at, "count", "a count reads choices, not shapes", "derive it from let values")
        counts = tabulate(count, [len(gene.options) for gene in self.genes], limit=65_536)
        if counts is None:
            raise LimitError(at, "limits", "the count depends on too many choices")
        if any(isinstance(n, bool) or not isinstance(n, int) or not 0 <= n <= 1_000 for n in counts):
            raise SpaceError(at, "count", f"a count is a whole number from 0 to 1000, not {counts[:4]}")
        least, most = min(counts), max(counts)
        base = name or "layer"
        records, iterations = [], []
        for position in range(most):
            guard = None
            if position >= least:
                guard = combine(lambda n, position=position: compare(">", n, position), count)
            guards = frame.guards if guard is None else (*frame.guards, guard)
            record = Record({"index": constant(position)}, guards=guards)
            inner = frame.child(
                names={body.get("index", "i"): constant(position)},
                **frame.along(f"{base}{position}"),
                guards=guards,
                record=record,
            )
            inside: list[Op] = []
            self._nodes(body["body"], inner, inside, f"{pointer}/repeat/body")
            records.append(record)
            iterations.append((guard, tuple(inside)))
        self._collection(frame, base, records)
        ops.append(RepeatOp(tuple(iterations)))

    def _collection(self, frame: Frame, name: str, records: list[Record]) -> None:
        """Iterations under their name's plural: those of this scope inside it, those of all scopes at the top."""
        plural = f"{name}s"
        scopes = [frame.record] if frame.record is self.root.record else [frame.record, self.root.record]
        for record in scopes:
            before = record.entries.get(plural, Collection(()))
            if isinstance(before, Collection):
                record.entries[plural] = Collection((*before.records, *records))
        holder = frame
        while holder.parent is not None and holder.parent.record is frame.record:
            holder = holder.parent
        for scope in (holder, self.root):
            if not isinstance(scope.names.get(plural, Collection(())), Collection):
                continue
            scope.names[plural] = scope.record.entries[plural]

    def _for_each(
        self, raw: Any, frame: Frame, ops: list[Op], pointer: str, name: str, sources: tuple[Reference, ...]
    ) -> None:
        self._spliced(frame, ops, sources, pointer)
        body = raw["for_each"]
        records = []
        for position, entries in enumerate(body["in"]):
            record = Record({"index": constant(position)}, guards=frame.guards)
            inner = frame.child(
                names={body["as"]: record}, record=record, **frame.along(name, f"{body['as']}{position}")
            )
            at = f"{pointer}/for_each/in/{position}"
            for entry in sorted(entries):

                def compute(entry: str = entry, entries: Any = entries, inner: Frame = inner, at: str = at) -> Any:
                    with _at(f"{at}/{entry}"):
                        return self._binding(entries[entry], inner, f"{at}/{entry}", entry)

                record.entries[entry] = Lazy(compute, entry)
            for entry in sorted(entries):
                with self._collect():
                    force(record.entries[entry])
            self._nodes(body["body"], inner, ops, f"{pointer}/for_each/body")
            records.append(record)
        self._collection(frame, body["as"], records)

    def _one_of(
        self, raw: Any, frame: Frame, ops: list[Op], pointer: str, name: str, sources: tuple[Reference, ...]
    ) -> None:
        if len(sources) > 1:
            raise SpaceError(f"{pointer}/inputs", "inputs", "a choice between nodes reads one input")
        branches = raw["one_of"]
        if isinstance(branches, dict):
            items = [(label, branches[label], f"{pointer}/one_of/{label}") for label in sorted(branches)]
        else:
            taken: dict[str, int] = {}
            items = [
                (
                    self._unique(node.get("name") or node.get("block") or f"option{position}", taken),
                    node,
                    f"{pointer}/one_of/{position}",
                )
                for position, node in enumerate(branches)
            ]
        index = self._gene(name or "op", [label for label, _, _ in items], False, frame, f"{pointer}/one_of")
        gene = next(iter(index.genes))
        shown = self.genes[gene].options
        frame.record.entries.setdefault(name or "op", lookup(index, [constant(label) for label in shown]))
        bodies: list[tuple[Op, ...]] = []
        for position, (label, node, at) in enumerate(items):
            chosen = combine(lambda at, position=position: compare("==", at, position), index)
            inner = frame.child(
                guards=(*frame.guards, chosen), record=Record(guards=frame.guards), earlier=None, **frame.along(name)
            )
            inside: list[Op] = []
            with self._collect():
                self._node(node, inner, inside, at, label=label)
            bodies.append(tuple(inside))
        ops.append(SwitchOp(index, sources[0] if sources else None, tuple(bodies), pointer))

    def _use(
        self, raw: Any, frame: Frame, ops: list[Op], pointer: str, name: str, sources: tuple[Reference, ...]
    ) -> None:
        self._spliced(frame, ops, sources, pointer)
        templates = self.raw.get("templates") or {}
        wanted = raw["use"]
        if wanted not in templates:
            raise SpaceError(f"{pointer}/use", "template", f"no template '{wanted}'", did_you_mean(wanted, templates))
        if wanted in frame.templates:
            path = " -> ".join((*frame.templates, wanted))
            raise SpaceError(f"{pointer}/use", "cycle", f"a template uses itself: {path}", "use repeat")
        template, given = templates[wanted], raw.get("with") or {}
        parameters = template.get("parameters") or []
        for wrong in sorted(set(given) - set(parameters)):
            raise SpaceError(
                f"{pointer}/with/{wrong}", "template", f"{wanted} has no parameter '{wrong}'",
                did_you_mean(wrong, parameters),
            )  # fmt: skip
        missing = sorted(set(parameters) - set(given))
        if missing:
            raise SpaceError(f"{pointer}/with", "template", f"{wanted} needs {', '.join(missing)}")
        args = frame.child(**frame.along(name))
        names = {key: self._binding(given[key], args, f"{pointer}/with/{key}", key) for key in sorted(given)}
        inner = frame.child(names=names, parent=self.root, templates=(*frame.templates, wanted), **frame.along(name))
        self._nodes(template["body"], inner, ops, f"/templates/{wanted}/body")

    def _graph(
        self, raw: Any, frame: Frame, ops: list[Op], pointer: str, name: str, sources: tuple[Reference, ...]
    ) -> None:
        graph = raw["graph"]
        inputs: tuple[Reference, ...] = sources or (Back(1),)
        labels = graph.get("inputs") or ["x"]
        if len(inputs) != len(labels) or len(set(labels)) != len(labels):
            raise SpaceError(
                f"{pointer}/graph/inputs", "inputs", f"{len(inputs)} inputs come in, {len(labels)} are named",
                "give the node as many inputs: as the graph names, each name once",
            )  # fmt: skip
        registers = tuple(self._register() for _ in labels)
        earlier = [
            Earlier(label, register, frame.guards, True) for label, register in zip(labels, registers, strict=True)
        ]
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
            candidates = tuple(item.register for item in earlier if not item.is_input)
            held = {id(guard) for guard in frame.guards}
            if any(id(guard) not in held for item in earlier for guard in item.guards):
                raise SpaceError(at, "output", "loose ends need nodes that always exist", "use a fixed count")
            key = self._unique(".".join((*inner.prefix, output["loose_ends"])), self.keys)
            node = self._block_op(key, BLOCKS[output["loose_ends"]], {}, (), at)
            loose = LooseEndsOp(node, candidates)
        elif output != "last":
            with _at(at):
                register = inner.label(output)
            if not (earlier and earlier[-1].register == register):
                key = self._unique(".".join((*inner.prefix, "output")), self.keys)
                body.append(self._block_op(key, BLOCKS["identity"], {}, (Register(register),), at))
        ops.append(GraphOp(inputs, registers, tuple(body), loose, pointer))

    def _residual(
        self, raw: Any, frame: Frame, ops: list[Op], pointer: str, name: str, sources: tuple[Reference, ...]
    ) -> None:
        if len(sources) > 1:
            raise SpaceError(f"{pointer}/inputs", "inputs", "a residual reads one input")
        inner = frame.child(earlier=None, **frame.along(name))
        body: list[Op] = []
        self._nodes(raw["residual"], inner, body, f"{pointer}/residual")
        shortcut: list[Op] | None = None
        if raw.get("shortcut"):
            shortcut = []
            self._node(raw["shortcut"], inner, shortcut, f"{pointer}/shortcut", label="shortcut")
        key = self._unique(".".join((*inner.prefix, "add")), self.keys)
        node = self._block_op(key, BLOCKS["add"], {}, (), pointer)
        ops.append(
            ResidualOp(
                sources[0] if sources else None,
                tuple(body),
                None if shortcut is None else tuple(shortcut),
                node,
            )
        )


_KINDS: dict[str, Callable[..., None]] = {
    "block": _Compiler._block,
    "sequence": _Compiler._sequence,
    "repeat": _Compiler._repeat,
    "for_each": _Compiler._for_each,
    "one_of": _Compiler._one_of,
    "use": _Compiler._use,
    "graph": _Compiler._graph,
    "residual": _Compiler._residual,
}
_SPLICED = frozenset({"sequence", "repeat", "for_each", "use"})
_NODE_KEYS = frozenset({"block", "name", "let", "inputs", "constraints", "weights", "share"})


def _stand_in(value: Any, default: int) -> Any:
    """The number that stands in where the document says that the data set decides."""
    if value == "data":
        return default
    return value["data"] if isinstance(value, dict) and "data" in value else value


def _implied(here: Value, own: tuple[int, ...], holds: Value) -> Value:
    """`holds` where `here` is true and the genes `own` are active; true elsewhere."""

    def run(env: Any) -> Any:
        active = logical_and(here(env), *[env.index(gene) >= 0 for gene in own])
        return logical_or(logical_not(active), holds(env))

    return Value(run=run, genes=here.genes | holds.genes | frozenset(own), captures=holds.captures)
