"""Runs a program on behind what is wrong in it, so that faults that do not follow from one another are told together.

What a fault leaves unknown are single numbers of a shape, or its kind. An unknown number is a column of guesses: a
condition on it has no one answer, and what has none is no fault.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from search_spaces.blocks.arithmetic import noting
from search_spaces.blocks.base import Cost, Param
from search_spaces.compiling.parameters import MAX_SIZE, within
from search_spaces.compiling.program import LOST, BlockOp, Op, Program, Reference
from search_spaces.errors import Problem, SpaceError
from search_spaces.interpreting.block_calls import FAULTS, made_shape, refusal
from search_spaces.interpreting.flows import Flow, Unknown, all_of, equal_numbers, none_of, numbers_of
from search_spaces.interpreting.machine import Machine
from search_spaces.language.operations import logical_and, logical_not, where
from search_spaces.language.values import Value
from search_spaces.shapes import SHAPE_KINDS, Shape

_UNKNOWN: Any = Unknown()
_GUESSES = np.array([1, 3, 8, 1001])
MAX_MENDED = 300


@dataclass(frozen=True)
class Fault:
    """A problem and the weight key of the node that has it ("" for no single node)."""

    key: str
    problem: Problem


class FaultFinder(Machine):
    """Runs one architecture (genes (G,), `n` is None), whose faults are `found`; or n of them, to see where (`wrong`).

    `wrong` has for each place and node (pointer, key) the architectures, True for all, in which something seems wrong
    there: more than there are, since behind a fault the others go on with numbers that may never occur. Of the n only
    that is `found` which no single one shows.
    """

    def __init__(self, program: Program, genes: np.ndarray) -> None:
        super().__init__(program, genes, with_cost=False)
        self.n = None if genes.ndim == 1 else len(genes)
        self.found: list[Fault] = []
        self.wrong: dict[tuple[str, str], Any] = {}
        self.known: dict[Any, tuple[list[Exception], Shape]] = {}  # of calls that went wrong, what is wrong and known
        self.num_mended = 0
        self.all_known = True

    def run(self) -> Flow:
        try:
            return super().run()
        except SpaceError as error:
            self.tell("", error)
            return Flow(_UNKNOWN, 0, (0,))

    def tell(self, key: str, error: SpaceError) -> None:
        """A fault of the architectures that are here."""
        if self.n is not None:
            self.doubt(error.pointer, key, False)
        elif not isinstance(self.mask, np.ndarray):  # else whether the node exists depends on something unknown
            self.found += [Fault(key, problem) for problem in error.problems]

    def doubt(self, pointer: str, key: str, holds: Any) -> None:
        """Remembers in which architectures, of those that have the node, a condition fails."""
        if self.n is None:
            return
        if self.rows is not None and isinstance(holds, np.ndarray):
            everywhere = np.ones(len(self.rows), dtype=bool)
            everywhere[self.rows] = holds
            holds = everywhere
        wrong = logical_and(self.mask, logical_not(holds))
        if not none_of(wrong):
            place = pointer, key
            self.wrong[place] = self.wrong[place] | wrong if place in self.wrong else wrong

    def unknown(self) -> np.ndarray:
        """A number that nobody knows."""
        n = len(_GUESSES) if self.n is None else self.n
        return np.resize(_GUESSES, n if self.rows is None else int(self.rows.sum()))

    # What a `Machine` raises is told here, and something unknown goes on in its place.
    def value(self, value: Value, pointer: str) -> Any:
        if any(isinstance(self.shape(capture), Unknown) for capture in value.captures):
            return self.unknown()
        with noting() as conditions:
            try:
                result = super().value(value, pointer)
            except SpaceError as error:
                self.tell("", error)
                result = self.unknown()
        for holds in conditions:  # of divisions, those of the other way of a condition among them
            self.doubt(pointer, "", holds)
        return result

    def flow(self, source: Reference, pointer: str) -> Flow:
        try:
            return super().flow(source, pointer)
        except SpaceError as error:
            self.tell("", error)
            return Flow(_UNKNOWN, 0, (0,))

    def merged(self, condition: Any, yes: Flow, no: Flow, pointer: str) -> Flow:
        lost = isinstance(yes.shape, Unknown) or isinstance(no.shape, Unknown)
        try:
            if not lost or all_of(condition) or none_of(condition):
                return super().merged(condition, yes, no, pointer)
        except SpaceError as error:
            if self.n is not None:
                self.found += [Fault("", problem) for problem in error.problems]
        return Flow(_UNKNOWN, where(condition, yes.ids, no.ids), tuple(sorted({*yes.among, *no.among})))

    def adapted(self, source: Flow, like: Flow, body: Sequence[Op], pointer: str) -> Flow:
        if isinstance(source.shape, Unknown) or isinstance(like.shape, Unknown):
            return Flow(_UNKNOWN, source.ids, source.among)
        return super().adapted(source, like, body, pointer)

    def added(self, node: BlockOp, made: Flow, source: Flow) -> Flow:
        return made if isinstance(source.shape, Unknown) else super().added(node, made, source)

    def partial(self, op: BlockOp, flows: list[Flow], used: list[Any]) -> Flow:
        undecided = self.n is None and any(isinstance(flag, np.ndarray) for flag in used)
        if undecided or any(isinstance(flow.shape, Unknown) for flow in flows):
            return self.made(op, _UNKNOWN)
        try:
            return super().partial(op, flows, used)
        except SpaceError as error:
            self.tell(op.key, error)
            return self.made(op, _UNKNOWN)

    def block(self, op: BlockOp, inputs: tuple[Flow, ...]) -> Flow:
        if op.block is LOST:
            self.all_known = False
            return self.made(op, _UNKNOWN)
        return super().block(op, inputs)

    def fitting(self, op: BlockOp, param: Param, raw: Any, pointer: str) -> Any:
        try:
            value = super().fitting(op, param, raw, pointer)
        except SpaceError as error:
            self.tell(op.key, error)
            return self.unknown()
        if isinstance(value, np.ndarray):
            self.doubt(pointer, op.key, logical_and(raw == value, within(param, value)))
        return value

    def look_ahead(self, op: BlockOp, params: dict[str, Any]) -> None:
        try:
            super().look_ahead(op, params)
        except SpaceError as error:
            self.tell(op.key, error)
        later = op.block.sees_later(params)
        if isinstance(later, np.ndarray):
            self.doubt(op.pointer, op.key, logical_not(later))

    def call(self, op: BlockOp, shapes: tuple[Shape, ...], params: dict[str, Any]) -> tuple[Shape, Cost | None]:
        if _UNKNOWN in shapes:
            return self.of_any_kind(op, shapes, params), None
        try:
            return super().call(op, shapes, params)
        except SpaceError:
            return self.as_far_as_known(op, shapes, params), None

    def computed(self, op: BlockOp, shapes: tuple[Shape, ...], params: dict[str, Any]) -> tuple[Shape, Cost | None]:
        with noting() as conditions:
            try:
                out = self.made_shape(op, shapes, params)
            except FAULTS as error:
                raise refusal(op, shapes, error) from None
        for size in vars(out).values():
            if isinstance(size, np.ndarray):
                conditions.append((size >= 1) & (size <= MAX_SIZE))
        for holds in conditions:
            self.doubt(op.pointer, op.key, holds)
        return out, None

    def made_shape(self, op: BlockOp, shapes: tuple[Shape, ...], params: dict[str, Any]) -> Shape:
        return made_shape(op, shapes, params, keeps_columns=self.n is None)

    # What is known of a block's output all the same.
    def as_far_as_known(self, op: BlockOp, shapes: tuple[Shape, ...], params: dict[str, Any]) -> Shape:
        """The output where the numbers on which its faults hinge are unknown; tells the faults."""
        num_rows = None if self.rows is None else int(self.rows.sum())  # the length of columns
        key: tuple[Any, ...] | None = (op.block.kind, shapes, tuple(params.items()), num_rows)
        try:
            found = self.known.get(key)
        except TypeError:  # columns are not hashable
            found = key = None
        if found is None:
            self.num_mended += 1
            found = self.faults_and_rest(op, shapes, params) if self.num_mended <= MAX_MENDED else ([], _UNKNOWN)
            if key is not None:
                self.known[key] = found
        faults, out = found
        for fault in faults:
            self.tell(op.key, refusal(op, shapes, fault))
        return out

    def faults_and_rest(
        self, op: BlockOp, shapes: tuple[Shape, ...], params: dict[str, Any]
    ) -> tuple[list[Exception], Shape]:
        """What is wrong with a block, and its output where the numbers on which that hinges are unknown."""
        faults: list[Exception] = []
        while True:
            try:
                return faults, self.made_shape(op, shapes, params)
            except FAULTS as error:
                faults.append(error)
                mended = self.mended(op, shapes, params, str(error))
                if mended is None:
                    return faults, _UNKNOWN
                shapes, params = mended

    def mended(
        self, op: BlockOp, shapes: tuple[Shape, ...], params: dict[str, Any], fault: str
    ) -> tuple[tuple[Shape, ...], dict[str, Any]] | None:
        """Inputs and parameters with a number unknown without which there is no such fault; None where there is none.

        A parameter if it may be, and the one that leaves most of the output known; else all such numbers of the inputs.
        """
        trials = [params | {name: self.unknown()} for name, value in params.items() if not isinstance(value, str)]
        trials = [trial for trial in trials if self.tried(op, shapes, trial)[0] != fault]
        if trials:
            return shapes, min(trials, key=lambda trial: self.tried(op, shapes, trial)[1])
        loose = list(shapes)
        for position, shape in enumerate(shapes):
            for name in numbers_of(shape):
                one: dict[str, Any] = {name: self.unknown()}
                others = (*shapes[:position], replace(shape, **one), *shapes[position + 1 :])
                if self.tried(op, others, params)[0] != fault:
                    loose[position] = replace(loose[position], **one)
        return (tuple(loose), params) if any(a is not b for a, b in zip(loose, shapes, strict=True)) else None

    def tried(self, op: BlockOp, shapes: tuple[Shape, ...], params: dict[str, Any]) -> tuple[str, int]:
        """What is wrong with a block first, "" for nothing for sure; and how many numbers of its output are unknown."""
        try:
            out = self.made_shape(op, shapes, params)
        except FAULTS as error:
            return str(error), len(SHAPE_KINDS)
        return "", sum(isinstance(number, np.ndarray) for number in vars(out).values())

    def of_any_kind(self, op: BlockOp, shapes: tuple[Shape, ...], params: dict[str, Any]) -> Shape:
        """What is the same of the output whatever kind, of those that the block may read, the unknown inputs are of."""
        outs = list(self._of_each_kind(op, shapes, params))
        if len({type(out) for out in outs}) != 1:
            return _UNKNOWN
        first, *others = outs
        differing: dict[str, Any] = {
            name: self.unknown()
            for name, number in numbers_of(first).items()
            if not all(equal_numbers(number, getattr(other, name)) for other in others)
        }
        return replace(first, **differing)

    def _of_each_kind(self, op: BlockOp, shapes: tuple[Shape, ...], params: dict[str, Any]) -> Iterator[Shape]:
        for kind in SHAPE_KINDS.values():
            guess = kind(*(self.unknown() for _ in fields(kind)))
            try:
                given = tuple(guess if isinstance(shape, Unknown) else shape for shape in shapes)
                yield self.made_shape(op, given, params)
            except FAULTS:
                continue
