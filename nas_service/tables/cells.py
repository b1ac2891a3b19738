"""What the cells of somebody's file mean: numbers, results, options of a choice."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from typing import Any

MISSING = frozenset({"", "-", "--", "?", "nan", "na", "n/a", "#n/a", "<na>", "null", "none", "missing"})
NO_VALUE = "none"
"""The option that an empty cell of a choice becomes where no space says that the choice does not exist."""

_WHOLE = re.compile(r"[+-]?\d{1,15}")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_LEADING_ZERO = re.compile(r"[+-]?0\d")
_TRUTHS = {"true": True, "false": False}


def number_of(text: str, decimal_comma: bool = False) -> int | float | None:
    """The finite number that a text spells, or None. Underscores, spaces and thousands separators are no digits."""
    if decimal_comma and text.count(",") == 1 and "." not in text:
        text = text.replace(",", ".")
    if _WHOLE.fullmatch(text):
        return int(text)
    value = float(text) if _NUMBER.fullmatch(text) else math.inf
    return value if math.isfinite(value) else None


def result_of(cell: Any, decimal_comma: bool = False) -> float | None:
    """A result; None where it is missing. A percent sign is dropped. Raises ValueError for what is no finite number."""
    if cell is None:
        return None
    if isinstance(cell, str):
        if cell.lower() in MISSING:
            return None
        found = number_of(cell.removesuffix("%").strip(), decimal_comma)
        if found is None:
            raise ValueError(cell)
        return float(found)
    if isinstance(cell, bool) or not isinstance(cell, int | float) or not math.isfinite(cell):
        raise ValueError(str(cell))
    return float(cell)


def option_values(cells: Iterable[Any], flat: bool, decimal_comma: bool = False) -> dict[Any, Any]:
    """From each different cell of a choice to the option that it means.

    Cells are read as one column: all truth values, or numbers where they spell them (not where leading zeros would be
    lost), else texts. An empty cell is the option "none" in a ``flat`` space and None elsewhere, where a choice may not
    exist. Raises ValueError when both an empty cell and the option "none" occur.
    """
    found = set(cells)
    texts = {cell for cell in found if isinstance(cell, str)}
    if texts and {text.lower() for text in texts} <= set(_TRUTHS) and not any(map(_is_number, found)):
        values = {cell: _TRUTHS[cell.lower()] if isinstance(cell, str) else cell for cell in found}
    elif any(_LEADING_ZERO.match(text) for text in texts if number_of(text) is not None):
        values = {cell: cell if cell is None else str(cell) for cell in found}
    else:
        values = {cell: cell for cell in found}
        for text in texts:
            number = number_of(text, decimal_comma)
            values[text] = text if number is None else number
    numbers = [value for value in values.values() if _is_number(value)]
    if all(float(value).is_integer() for value in numbers):
        values = {cell: int(value) if _is_number(value) else value for cell, value in values.items()}
    if len({isinstance(value, bool) for value in values.values() if value is not None}) > 1:
        values = {cell: value if value is None else str(value) for cell, value in values.items()}
    if flat and None in found:
        if NO_VALUE in values.values():
            raise ValueError(f"some cells are empty and others say {NO_VALUE!r}")
        values[None] = NO_VALUE
    return values


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
