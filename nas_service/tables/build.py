"""From the rows that came in to a table: sorted, without repeats, in the smallest arrays that hold everything."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas_service.errors import InvalidInput, Problem
from nas_service.tables.definition import TableDefinition
from nas_service.tables.flat_space import flat_space
from nas_service.tables.rows import MAX_PROBLEMS, Problems, Row, encode_choices
from nas_service.tables.table import Table
from search_spaces.space import SearchSpace

MAX_CELLS = 40_000_000
Pieces = Callable[[], Iterable[tuple[int, Sequence[Row]]]]


def build_table(definition: TableDefinition, pieces: Pieces, space: SearchSpace | None) -> Table:
    """The table of all rows; ``pieces()`` gives (number of the first row, rows) in order, as often as it is called.

    Equal content gives an equal table, whatever the order of the rows. Raises InvalidInput for rows that say the same
    thing twice, for choices with too many options, and for an empty table.
    """
    flat = space is None
    if not any(rows for _, rows in pieces()):
        raise InvalidInput.at("/rows", "the table has no rows")
    if space is None:
        space = flat_space(definition.name, definition.choices, _options(definition, pieces))
        definition = _renamed(definition, space)
    genes, fidelity, replicate, values = _columns(definition, pieces, space)
    fidelities, f = np.unique(fidelity, return_inverse=True)
    labels = sorted(set(replicate))
    r = np.array([labels.index(label) for label in replicate]) if len(labels) > 1 else np.zeros(len(genes), dtype=int)
    unique, n = np.unique(genes, axis=0, return_inverse=True)
    n = n.reshape(-1)
    shape = (len(unique), len(fidelities), max(1, len(labels)), len(definition.metrics))
    if np.prod(shape, dtype=np.int64) > MAX_CELLS:
        sizes = "{} architectures x {} fidelities x {} replicates x {} metrics".format(*shape)
        raise InvalidInput.at("/rows", f"{sizes} are more than {MAX_CELLS:,} values")
    _refuse_repeats(np.ravel_multi_index((n, f, r), shape[:3]))
    cube = np.full(shape, np.nan)
    cube[n, f, r] = values
    return Table(
        space=space,
        flat=flat,
        metrics=definition.metrics,
        genes=unique,
        fidelities=fidelities,
        values=cube,
        costs={} if flat else {name: np.asarray(found) for name, found in space.costs(unique).items()},
        fidelity=definition.fidelity,
        replicates=tuple(labels) if definition.replicate else (),
        attribution=definition.attribution,
    )


def _options(definition: TableDefinition, pieces: Pieces) -> list[set[Any]]:
    found: list[set[Any]] = [set() for _ in definition.choices]
    kinds: list[set[bool]] = [set() for _ in definition.choices]
    for _, rows in pieces():
        for row in rows:
            for values, truths, value in zip(found, kinds, row, strict=False):
                values.add(value)
                truths.add(isinstance(value, bool))
    for name, values, truths in zip(definition.choices, found, kinds, strict=True):
        if len(truths) > 1 and not {0, 1}.isdisjoint(values):
            raise InvalidInput.at("/choices", f"column '{name}' mixes true and false with numbers or texts")
    return found


def _renamed(definition: TableDefinition, space: SearchSpace) -> TableDefinition:
    """The definition with the names that the flat space gave to its choices, which are in the order of the columns."""
    by_column = {
        column: gene.name for column, gene in zip(definition.choices, _in_order(definition, space), strict=True)
    }
    renamed = tuple(by_column[column] for column in definition.choices)
    return TableDefinition.from_json({**definition.to_json(), "choices": renamed})


def _in_order(definition: TableDefinition, space: SearchSpace) -> list[Any]:
    names = list(space.document.to_json()["let"])
    genes = {gene.name: gene for gene in space.genes}
    return [genes[name] for name in names[: len(definition.choices)]]


def _columns(
    definition: TableDefinition, pieces: Pieces, space: SearchSpace
) -> tuple[NDArray[np.int16], NDArray[np.float64], list[str], NDArray[np.float64]]:
    """Genes (n, G), fidelities (n,), replicates and metrics (n, K) of all rows."""
    genes, fidelity, replicate, values = [], [], [], []
    at = len(definition.choices)
    first_metric = len(definition.columns) - len(definition.metrics)
    for first_row, rows in pieces():
        problems = Problems(definition, first_row)
        genes.append(encode_choices(definition, space, rows, problems))
        problems.raise_any()
        fidelity += [row[at] if definition.fidelity else 1.0 for row in rows]
        replicate += [str(row[first_metric - 1]) if definition.replicate else "" for row in rows]
        numbers = [[np.nan if value is None else value for value in row[first_metric:]] for row in rows]
        values.append(np.array(numbers, dtype=np.float64).reshape(len(rows), len(definition.metrics)))
    return np.concatenate(genes), np.array(fidelity, dtype=np.float64), replicate, np.concatenate(values)


def _refuse_repeats(places: NDArray[np.int64]) -> None:
    order = np.argsort(places, kind="stable")
    again = np.flatnonzero(places[order][1:] == places[order][:-1])
    if not len(again):
        return
    problems = tuple(
        Problem("/rows", "duplicate", f"rows {order[i] + 1} and {order[i + 1] + 1} say the same of one architecture")
        for i in again[:MAX_PROBLEMS]
    )
    hint = "give the column that tells them apart as fidelity or replicate"
    raise InvalidInput(f"{problems[0].message}; {hint}", problems=problems)
