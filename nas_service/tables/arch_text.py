"""Architectures written into one cell: a text of parts, a JSON object or list, or a pattern of one's own.

The parts of a text are what lies between its separators: ``|conv~0|+|pool~0|skip~1|`` has conv, 0, pool, 0, skip and 1,
``8:16:24`` has 8, 16 and 24. Where nothing separates, letters and digits do (``k3e6``), and at last each character is a
part (``01220011``). Every row must have as many parts as the first; parts that never change are no choices.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nas_service.errors import InvalidInput
from nas_service.tables.rows import option_finder

# A hyphen may be part of an option (conv-3x3, -1), but not just before another separator (a->b).
_SEPARATED = tuple(map(re.compile, (r"-*[^\w.\-]+", r"[^\w.]+", r"[^A-Za-z0-9.]+")))
_LETTERS_OR_DIGITS = re.compile(r"\d+|[^\W\d]+")
_MOST_PARTS = 1_000
_MOST_VALUES = 5_000
_SHOWN = 8
Parts = dict[str, Any]


@dataclass(frozen=True)
class Choice:
    """A choice of the space that a table belongs to."""

    name: str
    options: tuple[Any, ...]


class ArchitectureReader:
    """Is shown every cell in order (``see``), decides how they are written (``decide``), then gives their choices."""

    def __init__(self, column: str, pattern: str | None = None, renamed: Mapping[str, str] | None = None) -> None:
        """``pattern``: a regular expression with a named group for each choice; ``renamed``: options by what the cells
        call them. Raises InvalidInput."""
        self._column = column
        self._renamed = renamed or {}
        self._pattern = None if pattern is None else _compiled(pattern)
        self._forms: list[_Form] = []
        self.num_seen = 0

    def see(self, row: int, cell: Any) -> None:
        """Take in the cell of a row. Raises InvalidInput where it cannot be written like those before."""
        if cell is None:
            raise self._wrong(row, "is empty")
        cell = cell if isinstance(cell, list | dict) else str(cell)
        if not self.num_seen:
            self._forms = self._candidates(cell)
        self.num_seen += 1
        kept = [form for form in self._forms if form.take(cell)]
        if not kept:
            raise self._wrong(row, f"{str(cell)[:120]!r} {self._forms[0].complaint(cell)}")
        self._forms = kept

    def decide(self, genes: Sequence[Choice] | None) -> ArchitectureColumns:
        """How the cells are written, with the choices of the space if there is one. Raises InvalidInput."""
        form = self._forms[0]
        varied = [part for part, values in form.values.items() if len(values) > 1 or form.named]
        if genes is None:
            if not varied:
                raise InvalidInput.at("--arch", f"all architectures of column '{self._column}' are the same")
            names = varied if form.named else [f"choice{i}" for i in range(1, len(varied) + 1)]
            return ArchitectureColumns(tuple(names), tuple(varied), form.parts)
        by_name = {gene.name: gene.name for gene in genes if gene.name in form.values}
        unknown = [part for part in form.values if part not in by_name]
        if form.named and by_name and (not unknown or len(by_name) == len(genes)):
            return ArchitectureColumns(tuple(by_name), tuple(by_name), form.parts)
        return ArchitectureColumns(tuple(gene.name for gene in genes), self._matched(form, genes), form.parts)

    def _matched(self, form: _Form, genes: Sequence[Choice]) -> tuple[str, ...]:
        """The part of each choice: in order, the next part all of whose values are options of the choice."""
        left, matched = list(form.values), []
        for gene in genes:
            find = option_finder(gene.options)
            fits = (part for part in left if all(find(value) is not None for value in form.values[part]))
            part = next(fits, None)
            if part is None:
                options = ", ".join(map(str, gene.options[:_SHOWN]))
                held = "; ".join(", ".join(sorted(map(str, form.values[part]))[:_SHOWN]) for part in left[:3])
                raise InvalidInput.at(
                    "--arch",
                    f"no part of column '{self._column}' has only options of choice '{gene.name}' ({options}); "
                    f"the next parts have: {held or 'nothing'}",
                    suggestion="name the options with --values, or leave out --space for a space of the parts alone",
                )
            matched.append(part)
            left = left[left.index(part) + 1 :]
        return tuple(matched)

    def _candidates(self, first: str | list[Any] | dict[str, Any]) -> list[_Form]:
        """The forms that the first cell can have, best first."""
        if self._pattern is not None:
            return [self._form(_by_pattern(self._pattern), "does not match --arch-pattern", named=True)]
        data = _json_of(first)
        if isinstance(data, dict):
            return [self._form(_of_json, "is no JSON object like the first", named=True)]
        if isinstance(data, list):
            return [self._form(_of_json, "is no JSON list as long as the first")]
        text = str(first)
        for separator in _SEPARATED:
            if len(_split(separator, text)) > 1:
                return [self._form(_by_separator(separator), "has not as many parts as the first")]
        return [
            self._form(_by_kind, "has not as many parts as the first"),
            self._form(_by_character, "is not as long as the first (leading zeros lost?)"),
        ]

    def _form(self, parts: Callable[[Any], Parts | None], complaint: str, *, named: bool = False) -> _Form:
        def renamed(cell: Any) -> Parts | None:
            found = parts(cell)
            return found and {part: self._renamed.get(str(value), value) for part, value in found.items()}

        return _Form(renamed if self._renamed else parts, complaint, named=named)

    def _wrong(self, row: int, message: str) -> InvalidInput:
        return InvalidInput.at(
            "--arch",
            f"row {row}, column '{self._column}': {message}",
            suggestion="say how it is written with --arch-pattern, e.g. '(?P<op1>.*)-(?P<op2>.*)'",
        )


@dataclass(frozen=True)
class ArchitectureColumns:
    """``names`` of the choices; ``values`` reads them from a cell, None where one does not exist."""

    names: tuple[str, ...]
    _keys: tuple[str, ...]
    _parts: Callable[[Any], Parts | None]

    def values(self, cell: Any) -> list[Any]:
        """The choices of a cell that was seen before, in the order of ``names``."""
        parts = self._parts(cell if isinstance(cell, list | dict) else str(cell)) or {}
        return [parts.get(key) for key in self._keys]


class _Form:
    """One way of writing; ``named``: its parts have names of their own, and not every cell must have each."""

    def __init__(self, parts: Callable[[Any], Parts | None], complaint: str, *, named: bool = False) -> None:
        self.parts, self.named = parts, named
        self.values: dict[str, set[Any]] = {}
        self._complaint = complaint

    def take(self, cell: Any) -> bool:
        """Note the parts of a cell; False where it is not written in this way."""
        parts = self.parts(cell)
        if not parts or len(parts) > _MOST_PARTS:
            return False
        if self.values and not self.named and parts.keys() != self.values.keys():
            return False
        for part, value in parts.items():
            values = self.values.setdefault(part, set())
            if len(values) < _MOST_VALUES:
                values.add(value)
        return True

    def complaint(self, cell: Any) -> str:
        """What is wrong with a cell that was not taken."""
        count = len(self.parts(cell) or ())
        return (
            f"{self._complaint} ({count} instead of {len(self.values)})" if self.values and count else self._complaint
        )


def _compiled(pattern: str) -> re.Pattern[str]:
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise InvalidInput.at("--arch-pattern", f"is no regular expression: {error}") from None
    if not compiled.groupindex:
        raise InvalidInput.at("--arch-pattern", "names no choices", suggestion="e.g. '(?P<op1>.*)-(?P<op2>.*)'")
    return compiled


def _by_pattern(pattern: re.Pattern[str]) -> Callable[[Any], Parts | None]:
    def parts(cell: Any) -> Parts | None:
        found = pattern.fullmatch(cell) if isinstance(cell, str) else None
        return None if found is None else dict(found.groupdict())

    return parts


def _by_separator(separator: re.Pattern[str]) -> Callable[[Any], Parts | None]:
    return lambda cell: _numbered(_split(separator, cell)) if isinstance(cell, str) else None


def _by_kind(cell: Any) -> Parts | None:
    found = _LETTERS_OR_DIGITS.findall(cell) if isinstance(cell, str) and cell.isalnum() else []
    return _numbered(found) if len(found) > 1 else None


def _by_character(cell: Any) -> Parts | None:
    return _numbered(cell) if isinstance(cell, str) and cell.isalnum() else None


def _of_json(cell: Any) -> Parts | None:
    data = _json_of(cell)
    return None if data is None else dict(_flat("", data))


def _json_of(cell: Any) -> Any:
    """A JSON object or list, from text or as it is; None for anything else."""
    if isinstance(cell, list | dict):
        return cell
    if not cell.startswith(("{", "[")):
        return None
    try:
        return json.loads(cell)
    except (ValueError, RecursionError):
        return None


def _flat(path: str, value: Any) -> list[tuple[str, Any]]:
    """Values by path: ``{"a": {"b": 1}}`` has ``a.b``, and the items of lists have their numbers."""
    if isinstance(value, dict | list):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        return [pair for key, item in items for pair in _flat(f"{path}.{key}" if path else str(key), item)]
    return [(path, value)]


def _split(separator: re.Pattern[str], text: str) -> list[str]:
    return [part for part in separator.split(text) if part]


def _numbered(parts: Sequence[str]) -> Parts:
    return {str(i): part for i, part in enumerate(parts)}
