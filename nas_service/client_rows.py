"""Rows of a table in groups that each fit into one request."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

PIECE_BYTES = 400_000
PIECE_VALUES = 40_000
PIECE_ROWS = 5_000


def pieces(rows: Iterable[Sequence[Any]]) -> Iterator[list[Sequence[Any]]]:
    """The rows in order, as many together as the service takes at once."""
    piece: list[Sequence[Any]] = []
    size = num_values = 0
    for row in rows:
        length = len(json.dumps(row, ensure_ascii=False).encode()) + 2
        full = size + length > PIECE_BYTES or num_values + len(row) + 1 > PIECE_VALUES or len(piece) >= PIECE_ROWS
        if piece and full:
            yield piece
            piece, size, num_values = [], 0, 0
        piece.append(row)
        size, num_values = size + length, num_values + len(row) + 1
    if piece:
        yield piece
