"""What a table is to one search: the outcome of every evaluation, the problem for the strategy, the true front."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas_service.domain.search import SearchSpec, TableEvaluatorSpec
from nas_service.methods.strategies.base import Genes, Problem, Status
from nas_service.tables.table import Table
from nas_service.tables.true_front import TrueFront

_LARGEST_EXACT_FRONT = 1_500  # with four objectives or more; beyond, its hypervolume takes minutes


@dataclass(frozen=True)
class Outcome:
    """One looked-up evaluation: minimised ``objectives`` if it succeeded, else why not; all recorded ``metrics``.

    ``replicate`` is the one that was drawn, -1 for the mean.
    """

    status: Status
    objectives: tuple[float, ...] | None
    metrics: dict[str, float]
    error: dict[str, Any] | None
    costs: dict[str, int]
    replicate: int


class TableLookup:
    """Evaluations of one search in memory. Raises KeyError for a metric that neither table nor space has."""

    def __init__(self, spec: SearchSpec, table: Table) -> None:
        evaluator = spec.evaluator
        if not isinstance(evaluator, TableEvaluatorSpec):
            raise ValueError(f"evaluator {evaluator.kind!r} is no table")
        self.spec, self.table = spec, table
        self._drawn = evaluator.replicate == "draw" and table.values.shape[2] > 1
        needed = [objective.metric for objective in spec.objectives]
        self._recorded = list(dict.fromkeys([*needed, *evaluator.report]))
        self._values = np.stack([self._column(name) for name in self._recorded], axis=-1)
        at = [self._recorded.index(name) for name in needed]
        self._complete: NDArray[np.bool_] = np.asarray(np.isfinite(self._values[..., at]).all(axis=-1))
        self._inside: NDArray[np.bool_] = np.ones(self._complete.shape, dtype=bool)
        for objective, k in zip(spec.objectives, at, strict=True):
            if objective.constraint is not None:
                self._inside &= objective.constraint.keeps(self._values[..., k])
        axes = [self._recorded.index(axis.metric) for axis in spec.axes]
        self._objectives = self._values[..., axes] * np.array([axis.sign for axis in spec.axes])
        self._fidelity_at = {share: f for f, share in enumerate(table.shares)}

    def evaluate(self, genes: Genes, fidelity: float, repeat: int) -> Outcome:
        """The outcome for genes (G,) at one of the table's fidelities; ``repeat`` counts evaluations of the same."""
        row = self.table.row_of.get(np.ascontiguousarray(genes, dtype=np.int16).tobytes())
        if row is None:
            error: dict[str, Any] = {"reason": "missing", "message": "the table has no entry for this architecture"}
            return Outcome("infeasible", None, {}, error, {}, -1)
        f = self._fidelity_at[fidelity]
        r = self._draw(row, f, repeat) if self._drawn else 0
        found = self._values[row, f, r].tolist()
        metrics = {name: value for name, value in zip(self._recorded, found, strict=True) if value == value}
        costs = {name: int(values[row]) for name, values in self.table.costs.items()}
        shown = r if self._drawn else -1
        if not self._complete[row, f, r]:
            names = [o.metric for o in self.spec.objectives if o.metric not in metrics]
            error = {"reason": "missing", "message": f"the table has no value of {', '.join(names)}"}
            return Outcome("infeasible", None, metrics, error, costs, shown)
        if not self._inside[row, f, r]:
            error = {"reason": "constraint", "violations": self.spec.violations(metrics)}
            return Outcome("infeasible", None, metrics, error, costs, shown)
        return Outcome("succeeded", tuple(self._objectives[row, f, r].tolist()), metrics, None, costs, shown)

    @cached_property
    def feasible_rows(self) -> NDArray[np.bool_]:
        """Whether each row (N,) can succeed at full fidelity, in the mean of its replicates."""
        return self._full[0]

    def full_values(self) -> dict[str, NDArray[np.float64]]:
        """Every value (n,) by recorded metric that a full evaluation can come to: one for each that a search may draw,
        where it draws, and NaN in all of them where one that the search needs is missing."""
        there = np.where(self._complete[:, -1, :, None], self._values[:, -1], np.nan)
        return {name: there[..., k].ravel() for k, name in enumerate(self._recorded)}

    @cached_property
    def true_front(self) -> TrueFront | None:
        """The front of the whole table at full fidelity, in the mean of its replicates; None where nothing succeeds
        or, with four objectives or more, where it is too large for an exact hypervolume."""
        feasible, objectives = self._full
        points = objectives[feasible]
        if len(points) == 0:
            return None
        relevant = np.ones(len(points), dtype=bool)
        for k, axis in enumerate(self.spec.axes):
            best = -points[:, k].min()
            if axis.goal == "maximize" and (points[:, k] <= 0).all():
                relevant &= -points[:, k] >= best / 2
        if points.shape[1] >= 4 and TrueFront.size_of(points) > _LARGEST_EXACT_FRONT:
            return None
        return TrueFront(points, relevant)

    def reference_point(self) -> list[float]:
        """Where hypervolumes of the search are measured from, minimised, in the units of the metrics."""
        if self.true_front is not None:
            return self.true_front.raw_reference.tolist()
        known = self._objectives[self._complete]
        return known.max(axis=0).tolist() if len(known) else [0.0] * len(self.spec.axes)

    def problem(self) -> Problem:
        """What the strategy is to solve: the table's metrics are unknown until evaluated, costs of the space known."""
        spec, space = self.spec, self.table.space
        known = {o.metric for o in spec.objectives if self.table.metric(o.metric) is None}
        constraints = {
            o.metric: o.constraint for o in spec.objectives if o.constraint is not None and o.metric in known
        }

        def costs(genes: Genes) -> dict[str, np.ndarray]:
            return {} if self.table.flat else dict(space.costs(genes))

        def feasible(genes: Genes) -> NDArray[np.bool_]:
            keeps = np.ones(len(genes), dtype=bool)
            if constraints and len(genes):
                found = costs(genes)
                for name, bound in constraints.items():
                    keeps &= bound.keeps(found[name])
            return keeps

        return Problem(
            space=space,
            num_objectives=len(spec.axes),
            seed=spec.seed,
            feasible=feasible,
            bounds={name: (bound.minimum, bound.maximum) for name, bound in constraints.items()},
            costs=costs,
            objective_names=tuple(axis.metric for axis in spec.axes),
            known=tuple(axis.metric in known and axis.sign > 0 for axis in spec.axes),
            budget=spec.budget.trials,
            fidelities=self.table.shares,
            members=self.table.genes if self.table.is_sparse else None,
        )

    @cached_property
    def _full(self) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
        """Feasibility (N,) and objectives (N, M) at full fidelity in the mean of the replicates."""
        if not self._drawn:
            return (self._complete & self._inside)[:, -1, 0], self._objectives[:, -1, 0]
        mean = TableLookup(_with_mean(self.spec), self.table)
        return mean._full

    def _column(self, name: str) -> NDArray[np.float64]:
        """Values (N, F, R), R = 1 for means."""
        if self.table.metric(name) is None:
            shape = self._draws_shape()
            return np.broadcast_to(self.table.costs[name].astype(np.float64)[:, None, None], shape)
        if self._drawn:
            return self.table.column(name)
        k = [metric.name for metric in self.table.metrics].index(name)
        return self.table.mean_values[:, :, k : k + 1]

    def _draws_shape(self) -> tuple[int, ...]:
        num_rows, num_fidelities, num_replicates, _ = self.table.values.shape
        return num_rows, num_fidelities, num_replicates if self._drawn else 1

    def _draw(self, row: int, f: int, repeat: int) -> int:
        """One of the replicates with a value, by the seed of the search and what is evaluated: no draw depends on
        how many came before."""
        there = np.flatnonzero(self._complete[row, f])
        if len(there) == 0:
            return 0
        text = f"{self.spec.seed}:{self.table.genes[row].tobytes().hex()}:{f}:{repeat}"
        number = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
        return int(there[number % len(there)])


def _with_mean(spec: SearchSpec) -> SearchSpec:
    data = spec.to_json()
    return SearchSpec.from_json({**data, "evaluator": {**data["evaluator"], "replicate": "mean"}})
