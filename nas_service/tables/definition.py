"""What a table says of itself before any row: its choices, metrics, fidelity and replicate, and the shape of a row."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from nas_service.domain.metrics import Goal


@dataclass(frozen=True)
class TableMetric:
    """A column with results: unit and direction belong to the table, not to the search."""

    name: str
    goal: Goal
    unit: str


@dataclass(frozen=True)
class TableDefinition:
    """A row is a list: the choices, the fidelity if there is one, the replicate if there is one, the metrics.

    With ``space_id`` the choices are names of that space's choices; without, a flat space is made of them and of the
    values found. ``fidelity`` and ``replicate`` name their columns.
    """

    name: str
    choices: tuple[str, ...]
    metrics: tuple[TableMetric, ...]
    space_id: str | None = None
    fidelity: str | None = None
    replicate: str | None = None
    attribution: str | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the entries of a row, in order."""
        extra = [name for name in (self.fidelity, self.replicate) if name is not None]
        return (*self.choices, *extra, *(metric.name for metric in self.metrics))

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> TableDefinition:
        """The inverse of ``to_json``."""
        metrics = tuple(TableMetric(**metric) for metric in data["metrics"])
        return cls(**{**data, "choices": tuple(data["choices"]), "metrics": metrics})
