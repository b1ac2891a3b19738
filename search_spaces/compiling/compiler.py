"""Unrolls a document to its maximal program: scopes, choices to genes, references to registers, guards.

Mapping order never matters: names of a mapping are processed in sorted order, so that gene order is a function
of the canonical document. All problems of sibling nodes are collected before SpaceError is raised.
"""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from search_spaces.compiling.frames import Frame, located
from search_spaces.compiling.nodes import NodeCompiler
from search_spaces.compiling.parameters import MAX_SIZE
from search_spaces.compiling.program import IncompleteError, Op, Program
from search_spaces.errors import Problem, SpaceError, did_you_mean
from search_spaces.language.document import Document
from search_spaces.language.terms import to_value
from search_spaces.language.values import Record, Value, constant, force
from search_spaces.shapes import SHAPE_KINDS

INPUT_DEFAULTS = {
    "channels": 3, "resolution": 32, "height": 32, "width": 32, "length": 128, "vocabulary": 1000, "features": 64,
}  # fmt: skip
DEFAULT_CLASSES = 10
INPUT_NAMES = {"image": {"channels", "height", "width"}, "tokens": {"length", "vocabulary"}, "vector": {"features"}}
TASK_INPUTS = {
    "image_classification": "image", "sequence_classification": "tokens", "vector_classification": "vector",
    "masked_lm": "tokens", "causal_lm": "tokens",
}  # fmt: skip


def compile_document(document: Document, scale: str) -> Program:
    """The maximal program of a document at a scale. Raises IncompleteError with every problem found."""
    return _Compiler(document, scale).run()


class _Compiler(NodeCompiler):
    def run(self) -> Program:
        constants = self._scale_constants()
        names: dict[str, Any] = {name: constant(value) for name, value in constants.items()}
        root = Frame(names, (), (), Record(), labels={"input": 0})
        classes = self._classes(root)
        self._define(self.raw.get("let"), root, "/let")  # the resolution may follow from one
        with self._collect():
            self._input(root)
        self._force(self.raw.get("let"), root, "/let")
        self.root = root
        ops: list[Op] = []
        self._nodes(self.raw["network"], root.child(), ops, "/network")
        for position, text in enumerate(self.raw.get("constraints") or []):
            with self._collect():
                self._constraint(text, root, f"/constraints/{position}")
        program = Program(
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
            edge_genes=frozenset(self.edge_genes),
            shared_keys=frozenset(key for key, uses in self.key_uses.items() if uses > 1),
        )
        if self.problems:
            # Without the input nothing is known; without a constraint what it forbids would seem wrong.
            known = len(self.input_values) == len(fields(SHAPE_KINDS[self.input_kind]))
            free = any("/constraints" in problem.pointer for problem in self.problems)
            raise IncompleteError(self.problems, program if known and not free else None)
        return program

    # --- the head of the document ----------------------------------------------------------------------

    def _scale_constants(self) -> dict[str, Any]:
        scales = self.raw.get("scale") or {}
        if not scales:
            if self.scale not in ("search", "final"):
                raise SpaceError("/scale", "scale", f"the scale '{self.scale}' is unknown", "use search or final")
            return {}
        if "search" not in scales:
            raise SpaceError("/scale", "scale", "there is no scale 'search'", "name the scale of the search 'search'")
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
            root.names["classes"] = constant(DEFAULT_CLASSES)  # what reads it is not wrong as well
            self.problems.append(
                Problem("/task/classes", "missing", "'classes' is required", "write a number, or: classes: data")
            )
        return classes

    def _input(self, root: Frame) -> None:
        given = {name: value for name, value in self.raw["input"].items() if value is not None}
        record = root.names["input"] = Record()
        plain = {name: _stand_in(value, INPUT_DEFAULTS[name]) for name, value in given.items()}
        record.entries |= self._lazily(plain, root, "/input")
        for name in sorted(given):
            with located(f"/input/{name}"):
                force(record.entries[name])
        if "resolution" in given:
            record.entries.setdefault("height", record.entries["resolution"])
            record.entries.setdefault("width", record.entries["resolution"])
        complete = [kind for kind, names in INPUT_NAMES.items() if record.entries.keys() >= names]
        if not complete:
            raise SpaceError(
                "/input",
                "input",
                "an input is {channels, resolution}, {channels, height, width}, {length, vocabulary} or {features}",
            )
        self.input_kind = complete[0]
        self._check_task()
        sizes = record.entries | {"features": constant(1)} if self.input_kind == "tokens" else record.entries
        for part in fields(SHAPE_KINDS[self.input_kind]):
            with located(f"/input/{part.name if part.name in given else 'resolution'}"):
                self.input_values[part.name] = self._input_value(to_value(force(sizes[part.name])))

    def _check_task(self) -> None:
        task = self.raw["task"]["kind"]
        if TASK_INPUTS[task] != self.input_kind:
            called = {"image": "images", "tokens": "token ids", "vector": "rows of numbers"}
            fitting = [kind for kind, read in TASK_INPUTS.items() if read == self.input_kind]
            message = f"{task} reads {called[TASK_INPUTS[task]]}, and the input is one of {called[self.input_kind]}"
            self.problems.append(Problem("/task/kind", "task", message, f"kinds that read those: {', '.join(fitting)}"))

    def _input_value(self, value: Value) -> Value:
        found = self._results(value, limit=4_096) if value.is_pure else None
        if found is None or any(type(size) is not int or not 1 <= size <= MAX_SIZE for size in found):
            raise SpaceError("", "input", "an input size is a whole number or a choice of some", "give plain numbers")
        return value


def _stand_in(value: Any, default: int) -> Any:
    """The number that stands in where the document says that the data set decides."""
    if value == "data":
        return default
    return value["data"] if isinstance(value, dict) and "data" in value else value
