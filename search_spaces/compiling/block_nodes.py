"""Compiles single blocks: their inputs, their parameters, the names of their weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from search_spaces.blocks.base import Block, Param
from search_spaces.blocks.registry import BLOCKS
from search_spaces.compiling.edges import EdgeCompiler, Subset
from search_spaces.compiling.frames import Frame, LimitError, located
from search_spaces.compiling.parameters import param_problem, parameter_advice
from search_spaces.compiling.program import LOST, Back, BlockOp, GatherOp, Op, Reference, Register, SwitchOp
from search_spaces.errors import Problem, SpaceError, called_elsewhere, did_you_mean, meant
from search_spaces.language.operations import where
from search_spaces.language.terms import to_value
from search_spaces.language.values import (
    Edge,
    ListValue,
    Place,
    Value,
    all_hold,
    combine,
    constant,
    force,
    gene_index,
    restricted,
)

MAX_NODES = 5_000
NODE_KEYS = frozenset(
    {"block", "name", "let", "inputs", "constraints", "weights", "tied", "share", "weights_per", "source"}
)


def _advice_on_kind(kind: str) -> str:
    """What to write in place of a block that there is not."""
    everything = "all blocks: nas space blocks"
    hint = did_you_mean(kind, BLOCKS)
    if "did you mean" in hint:
        return f"{hint} ({everything})"
    owners = [other for other, known in BLOCKS.items() if kind.lower() in {param.name for param in known.params}]
    if owners:
        return f"{kind.lower()} is a parameter, of {', '.join(owners[:4])} and others ({everything})"
    return everything


def _advice_on_parameter(name: str, declared: Mapping[str, Param]) -> str:
    """What to write in place of a parameter that a block does not have."""
    names = sorted(declared)
    if name in BLOCKS and not called_elsewhere(name, names):
        return f"{name} is a block by itself: {{block: {name}}}"
    found = meant(name, names)
    example = next((f" {declared[other].help}" for other in found if "`=" in declared[other].help), "")
    return did_you_mean(name, names) + example


class BlockCompiler(EdgeCompiler):
    """The part of the compiler that knows single blocks."""

    def _sources(self, raw: Any, frame: Frame, ops: list[Op], pointer: str, name: str) -> tuple[Reference, ...]:
        """What a node reads; nodes that join several into one input go to `ops`."""
        result: list[Reference] = []
        faults: list[Problem] = []
        for position, item in enumerate(raw or []):
            at = f"{pointer}/{position}"
            try:
                with located(at):
                    result += self._source(
                        item, frame, ops, at, f"{name}.input{position}" if name else f"input{position}"
                    )
            except LimitError:
                raise
            except SpaceError as error:
                faults += error.problems
        if faults:
            raise SpaceError(faults)
        return tuple(result)

    def _source(self, item: Any, frame: Frame, ops: list[Op], pointer: str, hint: str) -> list[Reference]:
        """What one entry of a node's inputs stands for; `hint` names the choice of an entry that is one."""
        if isinstance(item, int):
            if not -32 <= item <= -1:
                raise SpaceError("", "reference", "references by number are -1 (last) to -32")
            self.max_back = max(self.max_back, -item)
            return [Back(-item)]
        if isinstance(item, dict):
            edge = self._choose(item, frame, pointer, item.get("name") or hint)
            if item.get("merge") or isinstance(edge, Subset):
                return [self._gathered(item, edge, frame, ops, pointer, hint.rpartition(".")[0])]
            return list(edge.items) if isinstance(edge, ListValue) else [edge]
        if not item.startswith("="):
            return [Register(frame.label(item))]
        bound = self._expression(item, frame, pointer)
        found = [
            Register(part.capture) if isinstance(part, Place) else part
            for part in (bound.items if isinstance(bound, ListValue) else (bound,))
        ]
        if not all(isinstance(part, Edge | Register) for part in found):
            raise SpaceError("", "reference", "an input is a node", "write a node's name or choose")
        return found

    def _gathered(
        self, raw: Mapping[str, Any], edge: Any, frame: Frame, ops: list[Op], pointer: str, name: str
    ) -> Register:
        """The register of several picked nodes joined into one."""
        how = raw.get("merge")
        if how is None:
            raise SpaceError(
                pointer, "choose", "'k: any' may pick several nodes", "write merge: add, mean or concat beside it"
            )
        key = self._key(*frame.prefix, name, how)
        register = self._register()
        if isinstance(edge, Subset):
            inputs: tuple[Reference, ...] = tuple(Register(number) for number in edge.registers)
            flags: tuple[Value, ...] | None = edge.flags
        else:
            inputs, flags = tuple(edge.items) if isinstance(edge, ListValue) else (edge,), None
        ops.append(GatherOp(self._block_op(key, BLOCKS[how], {}, (), pointer), inputs, flags, register))
        return Register(register)

    def _choices_among(self, sources: tuple[Reference, ...], pointer: str) -> tuple[tuple[Value, tuple[str, ...]], ...]:
        """The edge choices that decide what a node reads."""
        found = [
            (source.index, source.labels) if isinstance(source, Edge) else self.edge_of[source.number]
            for source in sources
            if isinstance(source, Edge) or (isinstance(source, Register) and source.number in self.edge_of)
        ]
        if not found:
            raise SpaceError(
                f"{pointer}/weights_per",
                "weights",
                "'weights_per: source' needs an input that is a choice among nodes",
                "write it where inputs: has a choose, or names a graph's input that does",
            )
        return tuple(found)

    def _block(
        self, raw: Any, frame: Frame, ops: list[Op], pointer: str, name: str, sources: tuple[Reference, ...]
    ) -> None:
        kind = raw["block"]
        if kind not in BLOCKS:
            raise SpaceError(f"{pointer}/block", "block", f"no block '{kind}'", _advice_on_kind(kind))
        block = BLOCKS[kind]
        inputs: tuple[Reference, ...] = sources or (Back(1),)
        if block.num_inputs is not None and len(inputs) != block.num_inputs:
            raise SpaceError(
                f"{pointer}/inputs", "inputs", f"{kind} reads {block.num_inputs} inputs, {len(inputs)} are given"
            )
        if raw.get("tied"):
            ops.append(self._tied(raw, frame, pointer, inputs))
            return
        params = self._params(block, raw, frame, pointer)
        weights = raw.get("weights")
        if weights:
            key = self._shared_key(weights, frame)
            if self.shared_kinds.setdefault(key, kind) != kind:
                raise SpaceError(
                    f"{pointer}/weights",
                    "weights",
                    f"'{weights}' are the weights of a {self.shared_kinds[key]}, not of a {kind}",
                    "use another name; a language_head shares those of a token_embedding by tied: NAME",
                )
        else:
            key = self._key(*frame.prefix, name or kind)
        ops.append(
            self._separated((*frame.separate, *self._selected(block, params)), key, block, params, inputs, pointer)
        )

    def _shared_key(self, weights: str, frame: Frame) -> str:
        """The key of weights that several blocks use: of the document, or (./NAME) of one list of nodes."""
        if not weights.startswith("./") or frame.parent is None:
            return f"shared.{weights}"
        own = frame.parent.own_weights
        if weights not in own:
            own[weights] = self._key(*frame.prefix, weights[2:])
        return own[weights]

    def _tied(self, raw: Any, frame: Frame, pointer: str, inputs: tuple[Reference, ...]) -> BlockOp:
        """A head with the weights of a token embedding: that embedding once more, applied to vectors."""
        if raw["block"] != "language_head":
            raise SpaceError(
                f"{pointer}/tied",
                "weights",
                "only a language_head can be tied, to a token_embedding",
                "blocks of one kind share weights by weights: NAME",
            )
        for extra in sorted(set(raw) - NODE_KEYS | set(raw) & {"weights"}):
            raise SpaceError(
                f"{pointer}/{extra}",
                "parameter",
                "a tied head has the vocabulary and the weights of the embedding, and no bias",
                "leave it out, and write {block: bias} behind the head" if extra == "bias" else f"leave '{extra}' out",
            )
        with located(f"{pointer}/tied"):
            found = self.block_at.get(frame.label(raw["tied"]))
        if found is not None and found.block is LOST:
            raise SpaceError([])  # that one is wrong, which is told
        if found is None or found.block.kind != "token_embedding":
            raise SpaceError(
                f"{pointer}/tied",
                "weights",
                f"'{raw['tied']}' is not a token_embedding",
                "name the block that reads the token ids",
            )
        return self._block_op(found.key, found.block, found.params, inputs, pointer)

    def _selected(self, block: Block, params: dict[str, Value]) -> tuple[tuple[Value, tuple[str, ...]], ...]:
        """The choices behind parameters whose options cannot share weights."""
        genes = sorted(frozenset().union(*(params[name].genes for name in block.selected)))
        return tuple((gene_index(gene), tuple(map(str, self.genes[gene].options))) for gene in genes)

    def _separated(
        self,
        choices: tuple[tuple[Value, tuple[str, ...]], ...],
        key: str,
        block: Block,
        params: dict[str, Value],
        inputs: tuple[Reference, ...],
        pointer: str,
    ) -> Op:
        """The block; where its weights are separate by choices, one block per option."""
        if not choices:
            return self._block_op(key, block, params, inputs, pointer)
        (index, labels), *others = choices
        gene = next(iter(index.genes))
        branches = []
        for option, label in enumerate(labels):
            here = {name: restricted(value, gene, option) for name, value in params.items()}
            branches.append((self._separated(tuple(others), f"{key}.{label}", block, here, inputs, pointer),))
        return SwitchOp(index, None, tuple(branches), pointer)

    def _block_op(
        self, key: str, block: Block, params: dict[str, Value], inputs: tuple[Reference, ...], pointer: str
    ) -> BlockOp:
        self.num_steps += 1
        if self.num_steps > MAX_NODES:
            raise LimitError(pointer, "limits", f"more than {MAX_NODES} nodes when unrolled", "repeat less often")
        self.key_uses[key] += 1
        return BlockOp(self.num_steps - 1, key, block, params, inputs, pointer)

    def _params(self, block: Block, raw: Mapping[str, Any], frame: Frame, pointer: str) -> dict[str, Value]:
        declared = {param.name: param for param in block.params}
        values: dict[str, Value] = {}
        faults: list[Problem] = []
        for name in sorted(set(raw) - NODE_KEYS):
            try:
                values[name] = self._param(block, declared, name, raw[name], frame, f"{pointer}/{name}")
            except LimitError:
                raise
            except SpaceError as error:
                faults += [_sibling_named(problem, block, name) for problem in error.problems]
        sizes = self.root.names["input"].entries
        for name, param in declared.items():
            if name in raw:
                continue
            if param.follows in sizes:
                values[name] = to_value(force(sizes[param.follows]))
            elif param.default is not None:
                values[name] = constant(param.default)
            elif raw.keys() - NODE_KEYS <= declared.keys():  # else one of the unknown names may be meant for it
                message = f"{block.kind} needs the parameter '{name}'"
                faults.append(Problem(pointer, "parameter", message, parameter_advice(param)))
        if faults:
            raise SpaceError(faults)
        return values

    def _param(
        self, block: Block, declared: Mapping[str, Param], name: str, raw: Any, frame: Frame, pointer: str
    ) -> Value:
        """The value of one parameter as written."""
        if name not in declared:
            message = f"{block.kind} has no parameter '{name}'"
            raise SpaceError(pointer, "parameter", message, _advice_on_parameter(name, declared))
        if isinstance(raw, list) and f"{name}_width" in declared:
            advice = f"for a choice write {{one_of: [...]}}; the second of two sides is {name}_width"
            raise SpaceError(pointer, "type", "a list is not a single value", advice)
        with located(pointer):
            return self._checked(
                block, declared[name], to_value(self._binding(raw, frame, pointer, name)), frame.guards
            )

    def _checked(self, block: Block, param: Param, value: Value, guards: tuple[Value, ...]) -> Value:
        """The value, which a block may have wherever it exists; elsewhere it is made one that it may have."""
        wrong, fine = self._among(param, value)
        if wrong and fine and guards:
            value = combine(where, all_hold(guards), value, constant(fine[0]))
            wrong, _ = self._among(param, value)
        if wrong:
            message = f"{block.kind}.{param.name} = {wrong[0]!r}: {param_problem(param, wrong[0])}"
            raise SpaceError("", "parameter", message, parameter_advice(param, wrong[0]))
        return value

    def _among(self, param: Param, value: Value) -> tuple[list[Any], list[Any]]:
        """The results that the parameter may not have, and those it may; none where it reads shapes or too much."""
        found = (self._results(value, limit=4_096) if value.is_pure else None) or []
        wrong = [item for item in found if param_problem(param, item)]
        return wrong, [item for item in found if item not in wrong]


def _sibling_named(problem: Problem, block: Block, name: str) -> Problem:
    """A problem; where an expression reads another parameter of its block, with what to write instead."""
    if problem.rule != "name":
        return problem
    for other in {param.name for param in block.params} - {name}:
        if problem.message.startswith(f"the name '{other}' is not"):
            advice = f'a parameter is no name: write let: {{{other}: ...}} in this node, {other}: "={other}"'
            return replace(problem, suggestion=advice)
    return problem
