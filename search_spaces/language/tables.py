"""Truth and value tables of values over the genes they read: the exact small-scale view of an expression."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from search_spaces.errors import SpaceError
from search_spaces.language.values import Value
from search_spaces.shapes import Shape


class ColumnEnv:
    """Option indices by gene as int64 columns of equal length; shapes are unknown."""

    def __init__(self, columns: dict[int, np.ndarray]) -> None:
        self.columns = columns

    def index(self, gene: int) -> Any:
        return self.columns[gene]

    def shape(self, capture: int) -> Shape:
        raise SpaceError("", "shape", "the value reads a shape")


def product_columns(genes: Sequence[int], sizes: Sequence[int]) -> dict[int, np.ndarray]:
    """Every combination of indices 0..size-1, one row each, the last gene running fastest."""
    grid = np.indices(tuple(sizes)).reshape(len(genes), -1)
    return {gene: grid[position].astype(np.int64) for position, gene in enumerate(genes)}


def tabulate(value: Value, sizes: Sequence[int], limit: int) -> list[Any] | None:
    """Distinct results over all combinations of options (`sizes` per gene); None when there are more than `limit`."""
    if value.is_constant:
        return [value.constant]
    genes = sorted(value.genes)
    if math.prod(sizes[gene] for gene in genes) > limit:
        return None
    with np.errstate(all="ignore"):
        result = value(ColumnEnv(product_columns(genes, [sizes[gene] for gene in genes])))
    items = result.tolist() if isinstance(result, np.ndarray) else [result]
    return list(dict.fromkeys(items))


def value_table(value: Value, genes: Sequence[int], sizes: Sequence[int], conditional: Sequence[bool]) -> np.ndarray:
    """A value's results, one axis per gene: its options, then (for conditional genes) a last entry for inactive."""
    shape = tuple(sizes[gene] + conditional[gene] for gene in genes)
    columns = product_columns(genes, shape)
    for gene in genes:
        if conditional[gene]:
            columns[gene] = np.where(columns[gene] == sizes[gene], -1, columns[gene])
    with np.errstate(all="ignore"):
        results = np.asarray(value(ColumnEnv(columns)))
    return np.broadcast_to(results, (math.prod(shape),)).reshape(shape)
