"""What of an architecture still has influence on its output, for a whole gene matrix at once: features for models.

Where a space has parts that compute zeros ("none" edges of a cell), a choice upstream of them, or one that sees zeros
alone, changes nothing. The rule of what is zero is ``algebra`` of ``search_spaces.views.equivalence``: a node that
reads only zeros gives zeros. Costs and tables keep every choice; a model of accuracy learns faster without the dead
ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from search_spaces.compiling.program import SwitchOp
from search_spaces.interpreting.machine import Machine, Visit
from search_spaces.language.operations import logical_and
from search_spaces.language.values import Value
from search_spaces.space import SearchSpace

SHAPE_FEATURES = ("longest", "shortest", "mean_length", "log_paths", "heaviest")
_PROBED = 256
_CHUNK = 2_048  # rows whose intermediate values stay in the processor's cache
_FAR = 1e9


@dataclass(frozen=True)
class Influence:
    """``live``: genes (n, G) with -1 where the chosen part changes nothing. ``shape``: (n, 5), ``SHAPE_FEATURES``.

    The features describe the chains of nodes with weights from input to output: most and fewest of them on a chain,
    their mean number, the logarithm of the number of chains, and the largest sum of square roots of weights.
    """

    live: NDArray[np.int16]
    shape: NDArray[np.float64]


def has_zeros(space: SearchSpace) -> bool:
    """Whether architectures of the space contain nodes that compute zeros (seen among a few hundred of them)."""
    genes = space.sample(_PROBED, np.random.default_rng(0))
    machine = Machine(space.program, genes, with_cost=False)
    machine.run()
    return any(visit.op.block.kind == "zero" for visit in machine.visits)


def influence(space: SearchSpace, genes: NDArray[np.int16]) -> Influence:
    """What matters of genes (n, G)."""
    parts = [_influence(space, genes[start : start + _CHUNK]) for start in range(0, len(genes), _CHUNK)]
    return Influence(np.concatenate([part.live for part in parts]), np.concatenate([part.shape for part in parts]))


def _influence(space: SearchSpace, genes: NDArray[np.int16]) -> Influence:
    machine = _Tracer(space.program, genes, with_cost=True)
    output = machine.run()
    n, rows = len(genes), np.arange(len(genes))
    num_values = machine.program.num_steps + 1

    def at(values: NDArray[Any], ids: Any) -> NDArray[Any]:
        return values[ids, rows] if isinstance(ids, np.ndarray) else values[ids]

    zero = np.zeros((num_values, n), dtype=bool)
    for visit in machine.visits:
        dead = np.ones(n, dtype=bool)
        if visit.op.block.kind != "zero":
            for k, flow in enumerate(visit.inputs):
                here = True if visit.used is None else visit.used[k]
                dead &= at(zero, flow.ids) | ~np.broadcast_to(np.asarray(here, dtype=bool), (n,))
        value = machine.value_of(visit)
        zero[value] = np.where(visit.mask, dead, zero[value])

    needed = np.zeros((num_values, n), dtype=bool)
    needed[output.ids, rows] = True
    alive: list[NDArray[np.bool_]] = []
    for visit in reversed(machine.visits):
        value = machine.value_of(visit)
        own = needed[value] & ~zero[value] & visit.mask
        alive.append(own)
        for k, flow in enumerate(visit.inputs):
            reads = own if visit.used is None else logical_and(own, visit.used[k])
            needed[flow.ids, rows] |= reads
    alive.reverse()

    live = np.array(genes, dtype=np.int16)
    for gene in {gene for index, _, _ in machine.spans for gene in index.genes if len(index.genes) == 1}:
        used = np.zeros(n, dtype=bool)
        for index, first, last in machine.spans:
            if index.genes == {gene}:
                for own in alive[first:last]:
                    used |= own
        live[~used, gene] = -1
    return Influence(live, _shape(machine, output.ids, zero, at, n))


class _Tracer(Machine):
    """Keeps every visit, and which belong to which chosen part: (index of the choice, first visit, end)."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.spans: list[tuple[Value, int, int]] = []

    def switch(self, op: SwitchOp) -> None:
        first = len(self.visits)
        super().switch(op)
        self.spans.append((op.index, first, len(self.visits)))

    def fuse(self, *_: Any) -> None:
        """Branches stay apart: which of them computes zeros is the question here."""

    def value_of(self, visit: Visit) -> int:
        """The number of the value that a visit makes; branches of one choice may share it."""
        return self.slot(visit.op.step + 1)


def _shape(machine: _Tracer, output: Any, zero: NDArray[np.bool_], at: Any, n: int) -> NDArray[np.float64]:
    """``SHAPE_FEATURES`` (n, 5) over the chains that carry more than zeros; 0 where there is none."""
    size = len(zero)
    longest, shortest, mean, heaviest = (np.zeros((size, n)) for _ in range(4))
    paths = np.zeros((size, n))  # logarithms
    for visit in machine.visits:
        assert visit.cost is not None
        value = machine.value_of(visit)
        weights = np.broadcast_to(np.asarray(visit.cost.params, dtype=np.float64), (n,))
        step, heavy = (weights > 0).astype(np.float64), np.sqrt(weights)
        most, fewest, most_heavy = np.full(n, -_FAR), np.full(n, _FAR), np.full(n, -_FAR)
        count, total = np.full(n, -np.inf), np.zeros(n)
        for k, flow in enumerate(visit.inputs):
            open_ = ~at(zero, flow.ids)
            if visit.used is not None:
                open_ = open_ & np.asarray(visit.used[k], dtype=bool)
            most = np.where(open_, np.maximum(most, at(longest, flow.ids)), most)
            fewest = np.where(open_, np.minimum(fewest, at(shortest, flow.ids)), fewest)
            most_heavy = np.where(open_, np.maximum(most_heavy, at(heaviest, flow.ids)), most_heavy)
            both = np.where(open_, np.logaddexp(count, at(paths, flow.ids)), count)
            share = np.where(open_, np.exp(at(paths, flow.ids) - np.where(open_, both, 0.0)), 0.0)
            total = np.where(open_, total * (1.0 - share) + at(mean, flow.ids) * share, total)
            count = both
        some = np.isfinite(count)
        made = (most + step, fewest + step, total + step, count, most_heavy + heavy)
        for values, new in zip((longest, shortest, mean, paths, heaviest), made, strict=True):
            values[value] = np.where(visit.mask, np.where(some, new, 0.0), values[value])
    found = np.stack([at(values, output) for values in (longest, shortest, mean, paths, heaviest)], axis=1)
    return np.where(at(zero, output)[:, None], 0.0, found)
