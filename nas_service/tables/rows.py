"""Rows of a table as they come in: judged one by one, with the number of the row and the name of the column."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from nas_service.errors import InvalidInput, Problem
from nas_service.tables.definition import TableDefinition
from search_spaces.errors import SpaceError
from search_spaces.space import SearchSpace

MAX_PROBLEMS = 20
MAX_OPTION_LENGTH = 200
Row = Sequence[Any]


class Problems:
    """Collects what is wrong with rows, up to a limit; the number of a row counts from 1 over the whole table."""

    def __init__(self, definition: TableDefinition, first_row: int) -> None:
        self._columns = definition.columns
        self._first_row = first_row
        self.found: list[Problem] = []

    @property
    def full(self) -> bool:
        return len(self.found) >= MAX_PROBLEMS

    def add(self, row: int, column: int | None, code: str, message: str, allowed: str | None = None) -> None:
        """Note that entry ``column`` of the row at position ``row`` of this piece is wrong."""
        pointer = f"/rows/{row}" if column is None else f"/rows/{row}/{column}"
        where = f"row {self._first_row + row + 1}"
        if column is not None:
            where += f", column '{self._columns[column]}'"
        self.found.append(Problem(pointer, code, f"{where}: {message}", allowed))

    def raise_any(self) -> None:
        if self.found:
            raise InvalidInput(self.found[0].message, problems=tuple(self.found))


def check_rows(
    definition: TableDefinition, rows: Sequence[Row], first_row: int, space: SearchSpace | None
) -> np.ndarray | None:
    """Judge a piece of rows; with a space their genes (n, G). Raises InvalidInput naming rows and columns."""
    problems = Problems(definition, first_row)
    width = len(definition.columns)
    for i, row in enumerate(rows):
        if problems.full:
            break
        if len(row) != width:
            names = ", ".join(definition.columns)
            problems.add(i, None, "row_length", f"{len(row)} entries instead of {width}", f"in this order: {names}")
            continue
        if space is None:
            for j in range(len(definition.choices)):
                _check_option(problems, i, j, row[j])
        _check_results(definition, problems, i, row)
    problems.raise_any()
    if space is None:
        return None
    genes = encode_choices(definition, space, rows, problems)
    problems.raise_any()
    return genes


def encode_choices(
    definition: TableDefinition, space: SearchSpace, rows: Sequence[Row], problems: Problems
) -> np.ndarray:
    """Genes (n, G) of the choices of each row; null is a choice that does not exist for this architecture."""
    position = {gene.name: i for i, gene in enumerate(space.genes)}
    genes = np.full((len(rows), len(space.genes)), -1, dtype=np.int16)
    for j, name in enumerate(definition.choices):
        gene = space.genes[position[name]]
        find = option_finder(gene.options)
        for i, row in enumerate(rows):
            option = None if row[j] is None else find(row[j])
            if option is not None:
                genes[i, position[name]] = option
            elif row[j] is not None and not problems.full:
                shown = ", ".join(map(str, gene.options[:20]))
                problems.add(i, j, "option", f"{row[j]!r} is no option", f"allowed: {shown}")
    if not problems.found:
        _check_members(definition, space, rows, genes, problems)
    return genes


def option_finder(options: Sequence[Any]) -> Callable[[Any], int | None]:
    """From a value to the position of its option: equal in kind and value, or else written the same."""
    exact = {_key(option): i for i, option in enumerate(options)}
    texts: dict[str, int] = {}
    for i, option in enumerate(options):
        texts.setdefault(str(option).lower() if isinstance(option, bool) else str(option), i)

    def find(value: Any) -> int | None:
        found = exact.get(_key(value))
        return found if found is not None else texts.get(str(value))

    return find


def _check_members(
    definition: TableDefinition, space: SearchSpace, rows: Sequence[Row], genes: np.ndarray, problems: Problems
) -> None:
    """Inactive choices are null, and the constraints of the space hold."""
    for i in np.flatnonzero(~space.valid(genes)):
        if problems.full:
            return
        given = {
            gene.name: gene.options[option] for gene, option in zip(space.genes, genes[i], strict=True) if option >= 0
        }
        try:
            space.genes_of(given)
        except SpaceError as error:
            for item in error.problems:
                name = item.pointer.removeprefix("/")
                column = definition.choices.index(name) if name in definition.choices else None
                problems.add(int(i), column, item.rule or "choice", item.message, item.suggestion or None)


def _check_results(definition: TableDefinition, problems: Problems, i: int, row: Row) -> None:
    """What stands behind the choices: fidelity, replicate, metrics."""
    at = len(definition.choices)
    if definition.fidelity is not None:
        if not _is_number(row[at]) or row[at] <= 0:
            problems.add(i, at, "fidelity", f"{row[at]!r} is no fidelity", "a positive number")
        at += 1
    if definition.replicate is not None:
        if not isinstance(row[at], int | str) or isinstance(row[at], bool):
            problems.add(i, at, "replicate", f"{row[at]!r} is no replicate", "a whole number or a text")
        at += 1
    for j, value in enumerate(row[at:], start=at):
        if value is not None and not _is_number(value):
            problems.add(i, j, "not_finite", f"{value!r} is no finite number", "a finite number, or null: missing")


def _check_option(problems: Problems, row: int, column: int, value: Any) -> None:
    allowed = "a text, a finite number, true or false"
    if value is None:
        problems.add(row, column, "missing", "a choice is missing", "conditional choices need --space")
    elif isinstance(value, str):
        if not 0 < len(value) <= MAX_OPTION_LENGTH or value.startswith("=") or not value.isprintable():
            problems.add(row, column, "option", f"{value[:80]!r} is no option", "printable, at most 200, not after =")
    elif not isinstance(value, bool) and not _is_number(value):
        problems.add(row, column, "option", f"{value!r} is no option", allowed)


def _key(value: Any) -> tuple[str, Any]:
    if isinstance(value, bool):
        return ("truth", value)
    return ("number", float(value)) if isinstance(value, int | float) else ("text", value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
