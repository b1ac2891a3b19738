"""State of one compilation, and its conditions: problems found, constraints, when genes exist."""

from __future__ import annotations

import itertools
import math
import re
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from search_spaces.compiling.frames import Frame, LimitError, located
from search_spaces.compiling.program import BlockOp, Constraint, Gene
from search_spaces.errors import Problem, SpaceError
from search_spaces.language.document import Document
from search_spaces.language.expressions import Term, parse_expression
from search_spaces.language.tables import tabulate, value_table
from search_spaces.language.terms import compile_value, quantified
from search_spaces.language.values import Value, all_hold, conjunction, gene_active, implied, safe_guard

MAX_CONSTRAINTS = 5_000
_OF_SHAPE = re.compile(r"\.(channels|height|width|length|features)\b")


class ConditionCompiler:
    """What all parts of the compiler share."""

    root: Frame

    def __init__(self, document: Document, scale: str) -> None:
        self.raw = document.to_json()
        self.scale = scale
        self.genes: list[Gene] = []
        self.gene_guards: list[tuple[Value, ...]] = []
        self.gene_names: dict[str, int] = {}
        self.shared_genes: dict[str, int] = {}
        self.share_guards: dict[str, tuple[Value, ...]] = {}
        self.keys: dict[str, int] = {}
        self.shared_kinds: dict[str, str] = {}  # names of shared weights and the kind of block they belong to
        self.key_uses: Counter[str] = Counter()  # how many operations use the weights of a key
        self.block_at: dict[int, BlockOp] = {}  # named single blocks by their register
        self.constraints: list[Constraint] = []
        self.problems: list[Problem] = []
        self.edge_of: dict[int, tuple[Value, tuple[str, ...]]] = {}  # inputs of graphs that are edge choices
        self.edge_genes: set[int] = set()
        self.num_registers = 1  # register 0 is the network input
        self.num_steps = 0
        self.max_back = 1
        self.visits = 0
        self.input_values: dict[str, Value] = {}
        self.input_kind = "image"

    # --- problems and limits ---------------------------------------------------------------------------

    @contextmanager
    def _collect(self) -> Iterator[None]:
        try:
            yield
        except LimitError:
            raise
        except SpaceError as error:
            known = {(problem.pointer, problem.rule, problem.message): problem for problem in self.problems}
            for problem in error.problems:  # what a repeat unrolls is wrong once, whatever else is known there
                known.setdefault((problem.pointer, problem.rule, problem.message), problem)
            self.problems[:] = known.values()
            if len(self.problems) > 50:
                raise LimitError(self.problems) from None

    def _meanings(self, frame: Frame) -> Callable[[str], Any]:
        """What names mean at a place; of choices outside a `let` it is told how their names come to mean a value."""

        def look(name: str) -> Any:
            try:
                return frame.look(name)
            except SpaceError as error:
                is_choice = any(gene.name.rsplit(".", 1)[-1] == name for gene in self.genes)
                if not is_choice or error.suggestion.startswith("did you mean"):
                    raise
                advice = f"a choice is called so, which is no value: write it as let: {{{name}: ...}} where both see it"
                raise SpaceError("", "name", error.message, advice) from None

        return look

    def _unique(self, name: str, taken: dict[str, int]) -> str:
        """The name, with a number where it is taken; `taken` counts how often each name was asked for."""
        unique = name
        while unique in taken:
            taken[name] += 1
            unique = f"{name}_{taken[name]}"
        taken[unique] = 1
        return unique

    def _key(self, *path: str) -> str:
        """A name for weights that no others have, from the path of their node without empty parts."""
        return self._unique(".".join(filter(None, path)), self.keys)

    def _results(self, value: Value, limit: int) -> list[Any] | None:
        """The different results of a value that reads no shapes; None for more than `limit` combinations of options."""
        return tabulate(value, [len(gene.options) for gene in self.genes], limit)

    def _register(self) -> int:
        self.num_registers += 1
        return self.num_registers - 1

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

    def _implies(self, guards: tuple[Value, ...], wanted: tuple[Value, ...]) -> bool:
        """Whether the wanted guards hold wherever the guards hold, as far as a small table can tell."""
        held = {id(guard) for guard in guards}
        if all(id(guard) in held for guard in wanted):
            return True
        holds = implied(all_hold(guards), all_hold(wanted))
        genes = sorted(holds.genes)
        sizes, conditional = [len(gene.options) for gene in self.genes], [bool(found) for found in self.gene_guards]
        if math.prod(sizes[gene] + conditional[gene] for gene in genes) > 4_096:
            return False
        return bool(value_table(holds, genes, sizes, conditional).all())

    def _constraint(self, text: str, frame: Frame, pointer: str) -> None:
        with located(pointer):
            try:
                conditions = self._conjuncts(parse_expression(text), self._meanings(frame))
            except SpaceError as error:
                if error.rule == "name" and _OF_SHAPE.search(text) and "mean" not in error.suggestion:
                    advice = (
                        "constraints read choices, no shapes: put the number in a let, and read that in both places"
                    )
                    raise SpaceError(pointer, "constraint", error.message, advice) from None
                raise
            for holds in conditions:
                own = [gene for gene in holds.genes if self._inside(gene, frame.guards)]
                guards = self._minimal(frame.guards, frozenset(own))
                if guards or own:
                    here = conjunction([*map(safe_guard, guards), *map(gene_active, own)])
                    holds = implied(here, holds)
                self._add_constraint(holds, pointer, text)

    def _inside(self, gene: int, guards: tuple[Value, ...]) -> bool:
        """Whether a gene is inactive only where one of the guards fails (and not for a reason of its own)."""
        held = {id(guard) for guard in guards}
        return bool(self.gene_guards[gene]) and all(id(guard) in held for guard in self.gene_guards[gene])

    def _conjuncts(self, term: Term, look: Callable[[str], Any]) -> list[Value]:
        """A conjunction (of quantified parts too) as separate conditions: small supports keep counting cheap."""
        room = MAX_CONSTRAINTS - len(self.constraints)
        parts = list(itertools.islice(_parts(term, look, ()), room + 1))
        if len(parts) > room:
            raise LimitError(
                "", "limits", f"more than {MAX_CONSTRAINTS} single conditions", "range over fewer elements"
            )
        found = []
        for part, inner, present in parts:
            holds = compile_value(part, inner)
            for here in present:
                holds = implied(here, holds)
            found.append(holds)
        return found

    def _add_constraint(self, holds: Value, pointer: str, text: str) -> None:
        if not holds.is_pure:
            raise SpaceError(pointer, "constraint", "a constraint reads choices, not shapes", "derive from let values")
        if holds.is_constant:
            if not holds.constant:
                raise SpaceError(pointer, "constraint", "the constraint is never met")
            return
        if len(self.constraints) >= MAX_CONSTRAINTS:
            raise LimitError(pointer, "limits", f"more than {MAX_CONSTRAINTS} single conditions", "state fewer")
        self.constraints.append(Constraint(holds, pointer, text))


_Part = tuple[Term, Callable[[str], Any], tuple[Value, ...]]


def _parts(term: Term, look: Callable[[str], Any], present: tuple[Value, ...]) -> Iterator[_Part]:
    """The parts of a conjunction with what their names mean and, innermost first, where their elements exist."""
    if term.op == "and":
        for part in term.args:
            yield from _parts(part, look, present)
    elif term.op == "quantifier" and term.args[0] == "all":
        for here, inner in quantified(term.args, look):
            yield from _parts(term.args[3], inner, (here, *present))
    else:
        yield term, look, present
