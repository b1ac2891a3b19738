"""From a file and what the user said of it to a table: which columns are choices, results, fidelity or replicate.

What was said is checked against the whole file before anything is sent; what was not said is inferred from names and
values where they leave no doubt, and everything inferred is told in the notes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from nas_service.cli.table_files import TableFile
from nas_service.cli.table_profile import MOST_DIFFERENT, Profile, TableOptions, shown
from nas_service.cli.table_results import Measured, Results
from nas_service.errors import InvalidInput, TooLarge
from nas_service.tables.arch_text import ArchitectureColumns, ArchitectureReader, Choice
from nas_service.tables.cells import option_values, result_of
from nas_service.tables.column_names import ARCHITECTURE, FIDELITY, REPLICATE, clean_name, goal_of, words
from nas_service.tables.definition import TableMetric
from nas_service.tables.flat_space import MAX_OPTIONS

MAX_ROWS = 1_000_000
_NO_CHOICE = frozenset(("index", "idx", "id", "uid", "hash", "name", "std", "stderr", "var", "runs"))


@dataclass(frozen=True)
class Reading:
    """A file understood: the definition of a table, its rows as often as they are asked for, and what was inferred."""

    file: TableFile
    choices: tuple[str, ...]
    measured: tuple[Measured, ...]
    fidelity: str | None
    replicate: str | None
    num_rows: int
    notes: tuple[str, ...]
    options: dict[str, list[Any]]
    _sources: tuple[str, ...]
    _architecture: ArchitectureColumns | None
    _mappings: tuple[dict[Any, Any], ...]
    _given: TableOptions
    _negative_is_missing: frozenset[str]

    @property
    def metrics(self) -> tuple[TableMetric, ...]:
        return tuple(measured.metric for measured in self.measured)

    def rows(self) -> Iterator[list[Any]]:
        """Rows as a table takes them: choices, fidelity, replicate, results."""
        fidelities: list[float | None] = [value for _, value in self._given.suffixes] or [None]
        extra = [name for name in (self._fidelity_column, self.replicate) if name is not None]
        columns = sorted({name for m in self.measured for name in m.columns if name is not None})
        at = {name: i for i, name in enumerate(columns, start=len(self._sources) + len(extra))}
        for _, cells in self.file.rows([*self._sources, *extra, *columns]):
            head = cells[: len(self._sources)]
            raw = self._architecture.values(head[0]) if self._architecture is not None else head
            choices = [mapping[value] for mapping, value in zip(self._mappings, raw, strict=True)]
            tail = cells[len(self._sources) : len(self._sources) + len(extra)]
            if self._fidelity_column is not None:
                tail[0] = _number(tail[0], self.file.decimal_comma)
            results = {name: self._result(name, cells[i]) for name, i in at.items()}
            for f, fidelity in enumerate(fidelities):
                values = [_at(results, m.columns, f) for m in self.measured]
                yield [*choices, *([] if fidelity is None else [fidelity]), *tail, *values]

    @property
    def _fidelity_column(self) -> str | None:
        return None if self._given.suffixes else self.fidelity

    def _result(self, name: str, cell: Any) -> float | None:
        value = result_of(cell, self.file.decimal_comma)
        return None if value is not None and value < 0 and name in self._negative_is_missing else value


def understand(file: TableFile, options: TableOptions, genes: Sequence[Choice] | None = None) -> Reading:
    """Read the whole file once. ``genes`` are the choices of a given space.

    Raises InvalidInput that names option, row or column, and TooLarge.
    """
    return _Understanding(file, options, genes).reading()


class _Understanding:
    """The steps of ``understand``, with what they share."""

    def __init__(self, file: TableFile, options: TableOptions, genes: Sequence[Choice] | None) -> None:
        self.file, self.options, self.genes = file, options, genes
        self.notes: list[str] = []
        for name, given in (("--fidelity", options.fidelity), ("--replicate", options.replicate)):
            if given is not None and not (name == "--fidelity" and options.suffixes):
                file.require([given], name)
        file.require(options.choices, "--choices")
        if options.arch is not None:
            file.require([options.arch], "--arch")
            if options.choices:
                raise InvalidInput.at("--choices", "the choices are in the column of --arch already")
        self.fidelity, self.replicate = options.fidelity, options.replicate
        if options.suffixes:
            self.fidelity = options.fidelity or "fidelity"
        self.arch = options.arch or self._arch_by_name()
        self.unread: InvalidInput | None = None  # why that column is none, where nobody said that it is
        self._profile()

    def reading(self) -> Reading:
        results = Results(self.file, self.options, self.profiles, self.notes)
        named = (self.arch, *self.options.choices, self.options.fidelity, self.options.replicate)
        measured = results.measured({*named, *(gene.name for gene in self.genes or ())})
        sources, architecture, names, values = self._choices({name for m in measured for name in m.columns if name})
        negative = results.negative(measured)
        mappings = tuple(self._mapping(name, found) for name, found in zip(names, values, strict=True))
        self._check_fidelity_and_replicate()
        cleaned = tuple(clean_name(name) for name in names)
        shown = {name: list(dict.fromkeys(found.values())) for name, found in zip(cleaned, mappings, strict=True)}
        return Reading(
            file=self.file,
            choices=cleaned,
            measured=measured,
            fidelity=self.fidelity,
            replicate=self.replicate,
            num_rows=self.num_rows,
            notes=tuple(self.notes),
            options=shown,
            _sources=sources,
            _architecture=architecture,
            _mappings=mappings,
            _given=self.options,
            _negative_is_missing=negative,
        )

    def _arch_by_name(self) -> str | None:
        """The column that holds whole architectures by its name, where the choices are not said."""
        if self.options.choices or (self.genes and all(gene.name in self.file.columns for gene in self.genes)):
            return None
        return next((name for name in self.file.columns if name.lower() in ARCHITECTURE), None)

    def _profile(self) -> None:
        """One pass over everything."""
        columns = self.file.columns
        self.profiles = {name: Profile() for name in columns}
        reader = None
        if self.arch is not None:
            reader = ArchitectureReader(self.arch, self.options.arch_pattern, self.options.values)
            at = columns.index(self.arch)
        self.num_rows = 0
        for row, cells in self.file.rows(columns):
            self.num_rows = row
            if row > MAX_ROWS:
                raise TooLarge(f"{self.file.path.name} has more rows than a table may have ({MAX_ROWS:,})")
            for profile, cell in zip(self.profiles.values(), cells, strict=True):
                profile.see(row, cell, self.file.decimal_comma)
            if reader is not None:
                try:
                    reader.see(row, cells[at])
                except InvalidInput as error:
                    if self.options.arch is not None:
                        raise
                    reader, self.unread = None, error
        if not self.num_rows:
            raise InvalidInput.at(str(self.file.path), "has no rows under its header")
        self.reader = reader

    def _choices(
        self, results: set[str]
    ) -> tuple[tuple[str, ...], ArchitectureColumns | None, tuple[str, ...], list[set[Any]]]:
        """Columns to read, how to read architectures from one, names of the choices, their different cells."""
        if self.reader is not None and self._prefers_arch(results):
            architecture = self.reader.decide(self.genes)
            if self.options.arch is None:
                self.notes.append(f"architectures from column '{self.arch}'; --arch or --choices says otherwise")
            values: list[set[Any]] = [set() for _ in architecture.names]
            column = str(self.arch)
            for _, (cell,) in self.file.rows([column]):
                for held, value in zip(values, architecture.values(cell), strict=True):
                    if len(held) <= MOST_DIFFERENT:
                        held.add(value)
            return (column,), architecture, architecture.names, values
        columns = self.options.choices
        if self.genes is not None:
            columns = columns or tuple(gene.name for gene in self.genes)
            self.file.require(columns, "--choices")
            if len(columns) != len(self.genes):
                message = f"{len(columns)} columns for the {len(self.genes)} choices of the space"
                raise InvalidInput.at("--choices", message)
            names = columns if set(columns) == {gene.name for gene in self.genes} else [g.name for g in self.genes]
            return columns, None, tuple(names), [self.profiles[column].different for column in columns]
        columns = columns or self._inferred_choices(results)
        return columns, None, columns, [self.profiles[column].different for column in columns]

    def _prefers_arch(self, results: set[str]) -> bool:
        """Whether the column was named, or is all there is: other columns may hold the choices one by one."""
        if self.options.arch is not None or self.genes is not None:
            return True
        return len(self.profiles[str(self.arch)].different) > MAX_OPTIONS or not self._possible_choices(results)

    def _possible_choices(self, results: set[str]) -> list[str]:
        """Columns with few different values that are no results by their names."""
        taken = {*results, self.options.fidelity, self.options.replicate}
        if self.arch is not None and len(self.profiles[self.arch].different) == self.num_rows:
            taken.add(self.arch)  # names each row, beside columns that say what it consists of
        return [
            name
            for name, profile in self.profiles.items()
            if name not in taken
            and 1 < len(profile.different) <= MAX_OPTIONS
            and not name.startswith("column ")
            and not _NO_CHOICE & set(words(name))
            and not (profile.is_numeric and goal_of(name) is not None)
        ]

    def _inferred_choices(self, results: set[str]) -> tuple[str, ...]:
        possible = self._possible_choices(results)
        for role, names, taken in (("fidelity", FIDELITY, self.fidelity), ("replicate", REPLICATE, self.replicate)):
            found = [name for name in possible if name.lower() in names]
            if taken is None and len(found) == 1:
                setattr(self, role, found[0])
                self.notes.append(f"column '{found[0]}' is the {role}; --choices says otherwise")
            possible = [name for name in possible if name not in found]
        if not possible and self.unread is not None:
            raise self.unread
        if not possible:
            raise InvalidInput.at(
                "--choices",
                "name the columns with the choices, or --arch with the one that holds whole architectures",
                suggestion=f"columns: {shown(self.profiles)}",
            )
        self.notes.append(f"choices are the columns {', '.join(possible)}; --choices says others")
        return tuple(possible)

    def _mapping(self, name: str, cells: set[Any]) -> dict[Any, Any]:
        flat = self.genes is None
        limit = MAX_OPTIONS if flat else MOST_DIFFERENT
        if len(cells) > limit:
            raise InvalidInput.at(
                "--choices",
                f"'{name}' has more than {limit} different values, which is too many for a choice",
                suggestion="is it a result? then name it with --metrics",
            )
        try:
            found = option_values(cells, flat, self.file.decimal_comma)
        except ValueError as error:
            raise InvalidInput.at("--choices", f"'{name}': {error}", suggestion="fill the empty cells") from None
        if flat and None in cells:
            self.notes.append(f"choice '{name}': empty cells are the option '{found[None]}'")
        renamed = self.options.values
        return {cell: renamed.get(str(value), value) for cell, value in found.items()}

    def _check_fidelity_and_replicate(self) -> None:
        if self.fidelity is not None and not self.options.suffixes:
            profile = self.profiles[self.fidelity]
            if not profile.is_numeric or profile.missing or profile.low <= 0:
                raise InvalidInput.at("--fidelity", f"column '{self.fidelity}' must hold positive numbers, e.g. epochs")
        if self.replicate is not None and None in self.profiles[self.replicate].different:
            raise InvalidInput.at("--replicate", f"column '{self.replicate}' has empty cells")


def _number(cell: Any, decimal_comma: bool) -> float | int | None:
    value = result_of(cell, decimal_comma)
    return int(value) if value is not None and value.is_integer() else value


def _at(results: dict[str, float | None], columns: tuple[str | None, ...], place: int) -> float | None:
    column = columns[place]
    return None if column is None else results[column]
