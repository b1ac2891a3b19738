"""Compiles nodes: unrolls structure, resolves references to registers, names weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from search_spaces.compiling.frames import Earlier, Frame, LimitError, Share, located
from search_spaces.compiling.graph_nodes import GraphCompiler
from search_spaces.compiling.program import (
    LOST,
    Back,
    BlockOp,
    Capture,
    Mark,
    Op,
    Push,
    Reference,
    Register,
    RepeatOp,
    SwitchOp,
)
from search_spaces.errors import SpaceError, did_you_mean
from search_spaces.language.operations import compare
from search_spaces.language.terms import to_value
from search_spaces.language.values import (
    Collection,
    Place,
    Record,
    Value,
    combine,
    constant,
    force,
    lookup,
)

MAX_VISITS = 20_000


class NodeCompiler(GraphCompiler):
    """The part of the compiler that knows how nodes nest."""

    def _nodes(self, raw: list[Any], frame: Frame, ops: list[Op], pointer: str) -> None:
        for position, node in enumerate(raw):
            self._tried_node(node, frame, ops, f"{pointer}/{position}")

    def _tried_node(self, raw: Mapping[str, Any], frame: Frame, ops: list[Op], pointer: str, label: str = "") -> None:
        """Compiles a node; where it is wrong, one of which nothing is known: what refers to it is not wrong as well."""
        before = len(ops)
        with self._collect():
            self._node(raw, frame, ops, pointer, label)
            return
        name, register = raw.get("name") or "", self._register()
        self.block_at[register] = self._block_op(pointer, LOST, {}, (), pointer)
        ops[before:] = [self.block_at[register], Mark(register)]
        if name:
            frame.labels[name] = register
        if frame.earlier is not None and name not in {item.label for item in frame.earlier}:
            self._add_earlier(frame.earlier, name, register, frame)

    def _node(self, raw: Mapping[str, Any], outer: Frame, ops: list[Op], pointer: str, label: str = "") -> None:
        """Compiles a node behind `ops`. `outer` gets its name; `label` replaces it (branches of a choice)."""
        self.visits += 1
        if self.visits > MAX_VISITS:
            raise LimitError(pointer, "limits", "the document unrolls to too many nodes", "repeat less often")
        kind = next(kind for kind in _KINDS if kind in raw)
        frame = outer.child()
        one_node = outer.earlier is not None and kind in ("sequence", "use") and bool(raw.get("name"))
        if one_node:
            frame.earlier = outer.inside()
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
        with located(pointer):
            self._let(raw.get("let"), frame, f"{pointer}/let")
            if raw.get("source"):
                raise SpaceError(
                    f"{pointer}/source",
                    "reserved",
                    f"'source: {raw['source']}' is reserved for parts with pretrained weights, which cannot be "
                    "loaded yet",
                    "leave it out: all weights are trained",
                )
            sources = self._sources(raw.get("inputs"), frame, ops, f"{pointer}/inputs", raw.get("name") or label)
            if raw.get("weights_per"):
                frame.separate += self._choices_among(sources, pointer)
            name = label or raw.get("name") or ""
            _KINDS[kind](self, raw, frame, body, pointer, name, sources)
            for position, text in enumerate(raw.get("constraints") or []):
                self._constraint(text, frame, f"{pointer}/constraints/{position}")
        if used and Register(used[0]) in sources:
            raise SpaceError(f"{pointer}/inputs", "cycle", "the input of a node is its own input", "name a node, or -1")
        if used:
            ops.append(Capture(used[0], sources[0] if sources else Back(1)))
        self._mark(raw.get("name"), outer, one_node or kind not in _SPLICED, body)
        ops += body

    def _mark(self, name: str | None, frame: Frame, is_one: bool, body: list[Op]) -> None:
        """Stores what a node puts out, where something may refer to it: by its name, or as one node of a graph."""
        earlier = frame.earlier if is_one else None
        if not name and earlier is None:
            return
        register = self._register()
        if name:
            frame.labels[name] = register
            if body and isinstance(body[-1], BlockOp):
                self.block_at[register] = body[-1]
        if earlier is not None:
            self._add_earlier(earlier, name or "", register, frame)
        body.append(Mark(register))

    def _add_earlier(self, earlier: list[Earlier], name: str, register: int, frame: Frame) -> None:
        taken = {item.label: 1 for item in earlier}
        shown = self._unique(name or f"node{sum(not item.is_input for item in earlier)}", taken)
        earlier.append(Earlier(shown, register, frame.guards, False))

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
        body = raw["repeat"]
        try:
            count, least, most = self._count(body["count"], frame, f"{pointer}/repeat/count")
        except LimitError:
            raise
        except SpaceError as error:
            self.problems += error.problems
            inner = frame.child(names={body.get("index", "i"): constant(0)}, **frame.along(name or "layer"))
            self._nodes(body["body"], inner, [], f"{pointer}/repeat/body")
            raise SpaceError([]) from None  # which is told, and so is what is wrong in the body
        base = name or "layer"
        made_by = f"repeat {'' if name else 'without a name '}at {pointer}"
        records, iterations = [], []
        for position in range(most):
            guard = None
            if position >= least:
                guard = combine(lambda n, position=position: compare(">", n, position), count)
            guards = frame.guards if guard is None else (*frame.guards, guard)
            path = ".".join((*frame.prefix, f"{base}{position}"))
            record = Record({"index": constant(position)}, guards, path, made_by)
            inner = frame.child(
                names={body.get("index", "i"): constant(position)},
                **frame.along(f"{base}{position}"),
                guards=guards,
                record=record,
            )
            made: list[Op] = []
            self._nodes(body["body"], inner, made, f"{pointer}/repeat/body")
            records.append(record)
            iterations.append((guard, tuple(made)))
        self._collection(frame, base, records)
        ops.append(RepeatOp(tuple(iterations)))

    def _count(self, raw: Any, frame: Frame, pointer: str) -> tuple[Value, int, int]:
        """How often a body is repeated, and the least and the most that this may be."""
        with located(pointer):
            count = to_value(self._binding(raw, frame, pointer, "depth"))
        if not count.is_pure:
            raise SpaceError(pointer, "count", "a count reads choices, not shapes", "derive it from let values")
        counts = self._results(count, limit=65_536)
        if counts is None:
            raise LimitError(pointer, "limits", "the count depends on too many choices")
        if any(isinstance(n, bool) or not isinstance(n, int) or not 0 <= n <= 1_000 for n in counts):
            told = next((n for n in counts if isinstance(n, str)), None)
            advice = f'an expression begins with =: "={told[:60]}"' if told else ""
            raise SpaceError(pointer, "count", f"a count is a whole number from 0 to 1000, not {counts[:4]}", advice)
        return count, min(counts), max(counts)

    def _collection(self, frame: Frame, name: str, records: list[Record]) -> None:
        """Iterations under their name's plural: those of this scope inside it, those of all scopes at the top.

        Where repeats are named `layer`, `layers` are theirs alone.
        """
        plural = f"{name}s"
        scopes = [frame.record] if frame.record is self.root.record else [frame.record, self.root.record]
        for record in scopes:
            before = record.entries.get(plural, Collection(()))
            if isinstance(before, Collection):
                together = (*before.records, *records)
                named = tuple(item for item in together if not item.is_of_unnamed)
                record.entries[plural] = Collection(named or together)
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
            record.entries |= self._lazily(entries, inner, at)
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
            raise SpaceError(
                f"{pointer}/inputs",
                "inputs",
                "a choice between nodes reads one input",
                "in a graph name those that come in, and let each of its nodes read them: inputs: [a, b]",
            )
        branches = raw["one_of"]
        if isinstance(branches, dict):
            items = [(label, branches[label], f"{pointer}/one_of/{label}") for label in sorted(branches)]
        else:
            taken: dict[str, int] = {}
            items = [
                (self._unique(_label_of(node), taken), node, f"{pointer}/one_of/{position}")
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
                guards=(*frame.guards, chosen),
                record=Record(guards=frame.guards),
                earlier=frame.inside(),
                **frame.along(name),
            )
            body: list[Op] = []
            self._tried_node(node, inner, body, at, label=label)
            bodies.append(tuple(body))
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
            raise SpaceError(
                f"{pointer}/use", "cycle", f"a template uses itself: {path}", "repeat, or write one for each level"
            )
        template, given = templates[wanted], raw.get("with") or {}
        parameters = template.get("parameters") or []
        for wrong in sorted(set(given) - set(parameters)):
            raise SpaceError(
                f"{pointer}/with/{wrong}", "template", f"{wanted} has no parameter '{wrong}'",
                did_you_mean(wrong, parameters),
            )  # fmt: skip
        missing = sorted(set(parameters) - set(given))
        if missing:
            raise SpaceError(
                f"{pointer}/with", "template", f"{wanted} needs {', '.join(missing)}",
                f"write with: {{{missing[0]}: ...}}",
            )  # fmt: skip
        args = frame.child(**frame.along(name))
        names = {key: self._binding(given[key], args, f"{pointer}/with/{key}", key) for key in sorted(given)}
        inner = frame.child(names=names, parent=self.root, templates=(*frame.templates, wanted), **frame.along(name))
        self._nodes(template["body"], inner, ops, f"/templates/{wanted}/body")


def _label_of(node: Mapping[str, Any]) -> str:
    """What a branch without a label is called: its name, its block or template, or its kind."""
    named = node.get("name") or node.get("block") or node.get("use")
    return named if isinstance(named, str) else next(kind for kind in _KINDS if kind in node)


_KINDS: dict[str, Callable[..., None]] = {
    "block": NodeCompiler._block,
    "sequence": NodeCompiler._sequence,
    "repeat": NodeCompiler._repeat,
    "for_each": NodeCompiler._for_each,
    "one_of": NodeCompiler._one_of,
    "use": NodeCompiler._use,
    "graph": NodeCompiler._graph,
    "residual": NodeCompiler._residual,
    "adapt": NodeCompiler._adapt,
}
_SPLICED = frozenset({"sequence", "repeat", "for_each", "use"})
