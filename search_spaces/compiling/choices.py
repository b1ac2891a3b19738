"""Compiles values of a document: scopes to bindings, choices to genes."""

from __future__ import annotations

import functools
import itertools
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np

from search_spaces.compiling.conditions import ConditionCompiler
from search_spaces.compiling.frames import Frame, LimitError, located
from search_spaces.compiling.program import Gene
from search_spaces.errors import Problem, SpaceError
from search_spaces.language.expressions import parse_expression
from search_spaces.language.operations import compare, logical_or
from search_spaces.language.terms import compile_term, to_value
from search_spaces.language.values import (
    Lazy,
    ListValue,
    Record,
    Value,
    combine,
    constant,
    force,
    gene_index,
    lookup,
    table_lookup,
)

MAX_GENES = 1_000
MAX_OPTIONS = 256


class ChoiceCompiler(ConditionCompiler, ABC):
    """The part of the compiler that knows values; choices among nodes are added by `EdgeCompiler`."""

    def _let(self, let: Mapping[str, Any] | None, frame: Frame, pointer: str) -> None:
        self._define(let, frame, pointer)
        self._force(let, frame, pointer)

    def _define(self, let: Mapping[str, Any] | None, frame: Frame, pointer: str) -> None:
        """Makes the names of a `let` known; their values are compiled when they are first read."""
        for name in sorted(let or {}):
            if name == "in" or name in ("true", "false", "null", "and", "or", "not"):
                self.problems.append(Problem(f"{pointer}/{name}", "name", f"'{name}' is a reserved word"))
        bindings = self._lazily(let or {}, frame, pointer)
        frame.names |= bindings
        for name, binding in bindings.items():
            frame.record.entries.setdefault(name, binding)

    def _lazily(self, raw: Mapping[str, Any], frame: Frame, pointer: str) -> dict[str, Lazy]:
        """Bindings by name, in sorted order; each is compiled when it is first read."""

        def binding(name: str) -> Any:
            with located(f"{pointer}/{name}"):
                return self._binding(raw[name], frame, f"{pointer}/{name}", name)

        return {name: Lazy(functools.partial(binding, name), name) for name in sorted(raw)}

    def _force(self, let: Mapping[str, Any] | None, frame: Frame, pointer: str) -> None:
        for name in sorted(let or {}):
            with self._collect(), located(f"{pointer}/{name}"):
                force(frame.names[name])

    def _expression(self, text: str, frame: Frame, pointer: str) -> Any:
        with located(pointer):
            return compile_term(parse_expression(text), self._meanings(frame))

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
            options = self._options(raw["one_of"], frame, f"{pointer}/one_of")
            return self._choice(options, raw.get("ordered"), frame, f"{pointer}/one_of", hint)
        if "int" in raw:
            return self._choice(self._whole_numbers(raw, frame, pointer), True, frame, f"{pointer}/int", hint)
        if "float" in raw:
            return self._choice(_levels(raw, pointer), True, frame, f"{pointer}/float", hint)
        if "many_of" in raw:
            return self._many_of(raw["many_of"], frame, f"{pointer}/many_of", hint)
        if "choose" in raw:
            return self._choose(raw, frame, pointer, hint)
        bindings = self._lazily(raw, frame, pointer)
        for binding in bindings.values():
            force(binding)
        return Record({**bindings}, frame.guards)

    def _options(self, raw: list[Any] | str, frame: Frame, pointer: str) -> list[Any]:
        """The options as written, or the numbers and words of the list that an expression names."""
        if isinstance(raw, list):
            return raw
        found = self._expression(raw, frame, pointer)
        items = [force(item) for item in found.items] if isinstance(found, ListValue) else []
        if not items or not all(isinstance(item, Value) and item.is_constant for item in items):
            raise SpaceError(
                pointer,
                "options",
                "needs a list of numbers or words that are known before the search",
                'write the options, or name a list of them: one_of: "=stage.kernels"',
            )
        return [item.constant for item in items]

    def _whole_numbers(self, raw: Mapping[str, Any], frame: Frame, pointer: str) -> list[Any]:
        """The options of an `int` choice."""
        low, high = (self._constant_int(end, frame, f"{pointer}/int/{place}") for place, end in enumerate(raw["int"]))
        options = range(low, high + 1, raw.get("step", 1))
        if not 0 < len(options) <= MAX_OPTIONS:
            message = f"{low}..{high} gives {len(options)} options; 1 to {MAX_OPTIONS} are allowed"
            raise SpaceError(pointer, "options", message, "set step")
        return list(options)

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
        if {bool, int} <= {kind for kind, _ in kinds} or {bool, float} <= {kind for kind, _ in kinds}:
            raise SpaceError(pointer, "options", "the options mix true or false with numbers", "write 0 and 1")
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
                pointer,
                "share",
                "the first node of a share is optional",
                "make the choices in a let outside; nodes follow it by count: \"=op == 'conv' ? 1 : 0\"",
            )
        return gene_index(gene)

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
        if not any(
            isinstance(option, dict | list) or (isinstance(option, str) and option[:1] == "=") for option in raw
        ):
            plain = table_lookup(index, tuple(raw))
            frame.record.entries.setdefault(hint, plain)
            return index, plain
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
        with located(pointer):
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

    @abstractmethod
    def _choose(self, raw: Mapping[str, Any], frame: Frame, pointer: str, hint: str) -> Any:
        """A choice among nodes."""


def _levels(raw: Mapping[str, Any], pointer: str) -> list[float]:
    """The options of a `float` choice."""
    (low, high), levels, log = raw["float"], raw["levels"], raw.get("log")
    if not low < high or (log and low <= 0):
        raise SpaceError(pointer, "options", "a float choice needs lo < hi (and lo > 0 with log)")
    return [float(f"{value:.12g}") for value in (np.geomspace if log else np.linspace)(low, high, levels)]
