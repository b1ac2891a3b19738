"""Which columns of a file are results, which way they are better, and in which unit."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from nas_service.cli.table_files import TableFile
from nas_service.cli.table_profile import Profile, TableOptions, shown
from nas_service.errors import InvalidInput
from nas_service.tables.column_names import NEVER_NEGATIVE, clean_name, goal_of, unit_of, words
from nas_service.tables.definition import TableMetric

GOALS = {
    **dict.fromkeys(("maximize", "maximise", "max"), "maximize"),
    **dict.fromkeys(("minimize", "minimise", "min"), "minimize"),
}


@dataclass(frozen=True)
class Measured:
    """A metric and the column that holds it at each of the fidelities (one where the file has no suffixes)."""

    metric: TableMetric
    columns: tuple[str | None, ...]


class Results:
    """Finds the results of a file whose columns were looked at; what is inferred is added to ``notes``."""

    def __init__(
        self, file: TableFile, options: TableOptions, profiles: Mapping[str, Profile], notes: list[str]
    ) -> None:
        self.file, self.options, self.profiles, self.notes = file, options, profiles, notes

    def measured(self, taken: Collection[str | None]) -> tuple[Measured, ...]:
        """The metrics that were named, or else those that columns other than ``taken`` are by their names."""
        if self.options.metrics:
            found = [self._metric(text) for text in self.options.metrics]
        else:
            found = self._inferred([name for name in self.file.columns if name not in taken])
        for measured in found:
            for column in measured.columns:
                self._check_results(column)
        names = [measured.metric.name for measured in found]
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            raise InvalidInput.at("--metrics", f"named twice: {', '.join(repeated)}")
        return tuple(found)

    def _inferred(self, columns: list[str]) -> list[Measured]:
        """Numeric columns whose names say which way is better; with suffixes, those that have the last one."""
        found: list[Measured] = []
        empty: list[str] = []
        last = self.options.suffixes[-1][0] if self.options.suffixes else ""
        for column in columns:
            base = column.removesuffix(last)
            if any(column.endswith(suffix) for suffix, _ in self.options.suffixes) and not column.endswith(last):
                continue
            if goal_of(base) is not None:
                empty.append(column)
                if self.profiles[column].numbers:
                    found.append(self._metric(base))
        if not found:
            for column in empty:
                self._check_results(column)
            numeric = shown(self.profiles, numeric=True)
            raise InvalidInput.at(
                "--metrics",
                "no column is a result by its name; say which are",
                suggestion=f"e.g. --metrics NAME:maximize:percent; numeric columns: {numeric or 'none'}",
            )
        self.notes.append("results by their names; --metrics says others")
        return found

    def _metric(self, text: str) -> Measured:
        """``column``, ``column:goal`` or ``column:goal:unit``; a column may have colons in its own name."""
        name, goal, unit = text.strip(), "", ""
        columns = self._columns_of(name)
        if columns is None:
            parts = [part.strip() for part in name.split(":")]
            for count in (1, 2):
                head, rest = ":".join(parts[:-count]), parts[-count:]
                if len(parts) > count and (columns := self._columns_of(head)) is not None:
                    name, goal, unit = head, rest[0], rest[1] if count == 2 else ""
                    break
        if columns is None:
            raise InvalidInput.at(
                "--metrics",
                f"{self.file.path.name} has no column for {text.strip()!r}",
                suggestion=f"column:goal:unit with one of: {shown(self.profiles, numeric=True)}",
            )
        if goal and goal not in GOALS:
            raise InvalidInput.at("--metrics", f"{goal!r} is no goal", suggestion="maximize or minimize")
        chosen = GOALS[goal] if goal else goal_of(name)
        if chosen is None:
            raise InvalidInput.at(
                "--metrics", f"is more or less of '{name}' better?", suggestion=f"{name}:maximize or {name}:minimize"
            )
        largest = max((self.profiles[column].high for column in columns if column is not None), default=None)
        unit = "percent" if unit in ("%", "pct") else unit or unit_of(name, largest)
        metric = TableMetric(clean_name(name), chosen, unit)  # type: ignore[arg-type]
        return Measured(metric, columns)

    def _columns_of(self, name: str) -> tuple[str | None, ...] | None:
        """The columns of a metric at each fidelity: its own, or with suffixes those of its name with each of them."""
        if name in self.file.columns:
            return (name,) * max(1, len(self.options.suffixes))
        found = [name + suffix if name + suffix in self.file.columns else None for suffix, _ in self.options.suffixes]
        return tuple(found) if any(found) else None

    def _check_results(self, column: str | None) -> None:
        if column is None:
            return
        profile = self.profiles[column]
        if profile.num_not_numbers:
            where = "; ".join(f"row {row}: {str(cell)[:40]!r}" for row, cell in profile.not_numbers)
            raise InvalidInput.at(
                "--metrics",
                f"column '{column}' has {profile.num_not_numbers} cells that are no finite numbers ({where})",
                suggestion="leave the cell empty where there is no result",
            )
        if not profile.numbers:
            raise InvalidInput.at("--metrics", f"column '{column}' is empty")

    def negative(self, measured: Sequence[Measured]) -> frozenset[str]:
        """Columns of quantities that are never negative, in which a negative number stands for a missing one."""
        found = set()
        for column in sorted({name for m in measured for name in m.columns if name is not None}):
            count = self.profiles[column].negative
            if count and set(words(column)) & NEVER_NEGATIVE and self.profiles[column].high > 0:
                found.add(column)
                self.notes.append(f"column '{column}': {count} negative values are taken as missing")
        return frozenset(found)
