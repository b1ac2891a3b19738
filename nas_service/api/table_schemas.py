"""What clients send about tables: a table to create, its rows, and a search over one."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Discriminator, Field, StringConstraints, Tag, model_validator

from nas_service.api.schemas import (
    BudgetIn,
    ConstraintIn,
    Label,
    MethodIn,
    Name,
    SearchIn,
    SpaceIn,
    Whole,
    WireModel,
    strategy_of,
)
from nas_service.domain.search import Budget, Constraint, Finalists, Objective, SearchSpec, TableEvaluatorSpec
from nas_service.tables.definition import TableDefinition, TableMetric

MAX_ROWS_AT_ONCE = 5_000

TableId = Annotated[str, StringConstraints(pattern=r"^tab_[0-9a-f]{32}$")]
UploadId = Annotated[str, StringConstraints(pattern=r"^upl_[0-9a-f]{32}$")]
# Also the name of a column of somebody's file; the characters left out separate parts on the command line.
ColumnName = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[^\x00-\x1f\x7f:@<>=,]+$")]
Entry = bool | int | float | str | None


class TableMetricIn(WireModel):
    """A column with results."""

    name: ColumnName
    goal: Literal["maximize", "minimize"]
    unit: Annotated[str, StringConstraints(min_length=1, max_length=32, pattern=r"^[^\x00-\x1f\x7f]+$")]


class TableIn(WireModel):
    """A table to create; its rows follow in pieces. Without ``space`` a flat one is made of the choices."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "name": "my-benchmark",
                    "choices": ["depth", "width"],
                    "metrics": [{"name": "accuracy", "goal": "maximize", "unit": "percent"}],
                }
            ]
        }
    )

    name: Label
    space: SpaceIn | None = None
    choices: list[ColumnName] = Field(min_length=1, max_length=1000, description="With a space: names of its choices.")
    metrics: list[TableMetricIn] = Field(min_length=1, max_length=200)
    fidelity: ColumnName | None = Field(None, description="Name of the column with positive numbers, e.g. epochs.")
    replicate: ColumnName | None = Field(None, description="Name of the column that tells repetitions apart.")
    attribution: Annotated[str, StringConstraints(max_length=2000)] | None = None

    @model_validator(mode="after")
    def _columns_once(self) -> TableIn:
        names = [*self.choices, *(metric.name for metric in self.metrics)]
        names += [name for name in (self.fidelity, self.replicate) if name is not None]
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            raise ValueError(f"columns are named twice: {', '.join(repeated)}")
        return self

    def to_definition(self, space_id: str | None) -> TableDefinition:
        """The domain object."""
        return TableDefinition(
            name=self.name,
            choices=tuple(self.choices),
            metrics=tuple(TableMetric(metric.name, metric.goal, metric.unit) for metric in self.metrics),
            space_id=space_id,
            fidelity=self.fidelity,
            replicate=self.replicate,
            attribution=self.attribution,
        )


class RowsIn(WireModel):
    """Some rows; ``first_row`` is the number of rows sent before. A row: choices, fidelity, replicate, metrics."""

    first_row: Whole = Field(ge=0, le=10_000_000)
    rows: list[list[Entry]] = Field(min_length=1, max_length=MAX_ROWS_AT_ONCE)


class TableEvaluatorIn(WireModel):
    """Results are looked up in a table, by id or name."""

    kind: Literal["table"]
    table: Label
    replicate: Literal["mean", "draw"] = Field(
        "mean", description="Of several replicates: their mean, or one drawn by the seed."
    )
    report: list[ColumnName] = Field(
        default_factory=list,
        max_length=50,
        description="Further metrics to record with each trial; they steer nothing.",
    )


class TableObjectiveIn(WireModel):
    """One axis of the front, or, with ``optimize: false``, a bound alone; a metric of the table or a cost."""

    metric: ColumnName
    goal: Literal["maximize", "minimize"] | None = Field(None, description="Left out: the table's own direction.")
    constraint: ConstraintIn | None = None
    optimize: bool = True


class TableSearchIn(WireModel):
    """A search over a table: nothing is trained, every trial is looked up."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "name": "cells on an edge GPU",
                    "objectives": [{"metric": "cifar10_test_e200"}, {"metric": "cifar10_edgegpu_latency"}],
                    "evaluator": {"kind": "table", "table": "nasbench201"},
                    "budget": {"trials": 500},
                }
            ]
        }
    )

    name: Name
    space: SpaceIn | None = Field(None, description="Left out: the table's.")
    objectives: list[TableObjectiveIn] = Field(min_length=1, max_length=16)
    evaluator: TableEvaluatorIn
    strategy: MethodIn = Field(default_factory=lambda: MethodIn(name="auto"))
    budget: BudgetIn
    parallelism: Whole = Field(8, ge=1, le=1024)
    seed: Whole = Field(0, ge=0, le=2**63 - 1)

    def to_spec(self, space_id: str, goals: dict[str, Literal["maximize", "minimize"]]) -> SearchSpec:
        """The domain object, with complete method parameters; ``goals`` are the table's. Raises InvalidInput."""
        return SearchSpec(
            name=self.name,
            space_id=space_id,
            dataset_id=None,
            objectives=tuple(
                Objective(
                    metric=item.metric,
                    goal=item.goal or goals.get(item.metric, "minimize"),
                    constraint=Constraint(item.constraint.minimum, item.constraint.maximum)
                    if item.constraint
                    else None,
                    optimize=item.optimize,
                )
                for item in self.objectives
            ),
            evaluator=TableEvaluatorSpec(
                "table", self.evaluator.table, self.evaluator.replicate, tuple(self.evaluator.report)
            ),
            strategy=strategy_of(self.strategy),
            budget=Budget(self.budget.trials, self.budget.wall_s),
            finalists=Finalists(count=0),
            parallelism=self.parallelism,
            seed=self.seed,
        )


def _kind(body: Any) -> str:
    """By the evaluator; a request that names none is one over a supernet. Tags in < > stay out of pointers."""
    evaluator = body.get("evaluator") if isinstance(body, dict) else getattr(body, "evaluator", None)
    kind = evaluator.get("kind") if isinstance(evaluator, dict) else getattr(evaluator, "kind", None)
    return "<table>" if kind == "table" else "<supernet>"


AnySearchIn = Annotated[
    Annotated[SearchIn, Tag("<supernet>")] | Annotated[TableSearchIn, Tag("<table>")], Discriminator(_kind)
]
