"""What the user said of a file, and what its columns hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from nas_service.tables.cells import result_of

MOST_DIFFERENT = 5_000
_SHOWN_CELLS = 3
_SHOWN_COLUMNS = 40


@dataclass(frozen=True)
class TableOptions:
    """What the user said; None or empty where nothing. ``suffixes``: (suffix, fidelity) ascending."""

    metrics: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()
    arch: str | None = None
    arch_pattern: str | None = None
    values: dict[str, str] = field(default_factory=dict)
    fidelity: str | None = None
    suffixes: tuple[tuple[str, float], ...] = ()
    replicate: str | None = None


class Profile:
    """What the cells of one column are: as numbers, and which different ones while they are few."""

    def __init__(self) -> None:
        self.different: set[Any] = set()
        self.numbers = self.missing = self.negative = 0
        self.low, self.high = float("inf"), float("-inf")
        self.not_numbers: list[tuple[int, Any]] = []
        self.num_not_numbers = 0

    def see(self, row: int, cell: Any, decimal_comma: bool) -> None:
        """Take in the cell of a row."""
        if len(self.different) <= MOST_DIFFERENT:
            self.different.add(str(cell) if isinstance(cell, list | dict) else cell)
        try:
            value = result_of(cell, decimal_comma)
        except ValueError:
            self.num_not_numbers += 1
            if len(self.not_numbers) < _SHOWN_CELLS:
                self.not_numbers.append((row, cell))
            return
        if value is None:
            self.missing += 1
            return
        self.numbers += 1
        self.negative += value < 0
        self.low, self.high = min(self.low, value), max(self.high, value)

    @property
    def is_numeric(self) -> bool:
        return self.numbers > 0 and not self.num_not_numbers


def shown(profiles: Mapping[str, Profile], *, numeric: bool = False) -> str:
    """The names of the columns, or of those that hold numbers, for people."""
    names = [name for name, profile in profiles.items() if not numeric or profile.is_numeric]
    return ", ".join(names[:_SHOWN_COLUMNS]) + (", ..." if len(names) > _SHOWN_COLUMNS else "")
